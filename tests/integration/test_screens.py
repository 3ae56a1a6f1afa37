"""A sweep of nine cells as users see it: in the browser (Trackio) while it trains, and in the terminal (`wandb leet`).

`MEMLAW_SCREENSHOTS=docs/wandb pytest tests/integration/test_screens.py` trains SmolLM2-135M instead of a tiny model,
and keeps the pictures there.
"""

import os
import re
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from helpers.configs import TINY
from helpers.processes import PATIENCE_S, wait_for
from rich.console import Console
from rich.text import Text

sync_api = pytest.importorskip("playwright.sync_api")
pytest.importorskip("trackio")

KEPT = os.environ.get("MEMLAW_SCREENSHOTS")
REAL = ["lora.rank=1,2,4", "seq_len=64,128,256"]
SMALL = [one for one in TINY if not one.startswith("logger.")] + ["lora.rank=1,2,4", "seq_len=8,16,32", "steps=2000"]
SWEEP = ["-m", *(REAL if KEPT else SMALL), "study=screens", "stop.when_recalled=false"]
CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
MISSING = [name for name, found in (("chromium", CHROMIUM), ("tmux", shutil.which("tmux"))) if not found]

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(bool(MISSING) and "MEMLAW_REQUIRE_BROWSER" not in os.environ, reason=f"needs {MISSING}"),
]


@pytest.fixture
def pictures(tmp_path) -> Path:
    """Where pictures are kept."""
    directory = Path(KEPT).resolve() if KEPT else tmp_path / "pictures"
    directory.mkdir(parents=True, exist_ok=True)
    return directory


@pytest.fixture
def chromium() -> Iterator:
    """A browser without a window."""
    with sync_api.sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        yield browser
        browser.close()


@pytest.fixture
def start(tmp_path) -> Iterator[Callable[..., subprocess.Popen]]:
    """Start a command in the background; it ends with the test."""
    running = []

    def begin(log: Path, *command: str, **environment: str) -> subprocess.Popen:
        with log.open("w") as output:
            process = subprocess.Popen(
                command, cwd=tmp_path, env={**os.environ, **environment}, stdout=output, stderr=subprocess.STDOUT
            )
        running.append(process)
        return process

    yield begin
    for process in running:
        process.kill()
        process.wait()


def test_trackio_shows_a_sweep_while_it_trains(start, chromium, tmp_path, pictures):
    at = {"TRACKIO_DIR": str(tmp_path / "trackio"), "BROWSER": "true", "GRADIO_ANALYTICS_ENABLED": "False"}
    sweep_log, show_log = tmp_path / "sweep.log", tmp_path / "show.log"
    trackio = ["logger=trackio", "logger.project=screens"]
    sweep = start(sweep_log, sys.executable, "-m", "memlaw.train", *SWEEP, *trackio, **at)
    wait_for(lambda: sweep.poll() is not None or list(tmp_path.glob("runs/screens/*/heartbeat")))
    assert sweep.poll() is None, sweep_log.read_text()
    wait_for(lambda: list((tmp_path / "trackio").glob("screens*.db")))
    start(show_log, str(Path(sys.executable).with_name("trackio")), "show", "--project", "screens", **at)
    url = wait_for(lambda: re.search(r"http://127[^\s?*\x1b]+", show_log.read_text()))[0]

    page = chromium.new_page(viewport={"width": 1500, "height": 950})
    page.set_default_timeout(1000 * PATIENCE_S)
    broken: list[object] = []
    page.on("pageerror", lambda error: broken.append(error))
    page.goto(f"{url.rstrip('/')}/?project=screens")
    runs = page.get_by_text(re.compile(r"Runs \(\d+\)"))
    runs.wait_for()
    assert sweep.poll() is None, "the sweep ended before the page was open"
    wait_for(lambda: sweep.poll() is not None)
    assert sweep.returncode == 0, sweep_log.read_text()
    page.get_by_text("Runs (9)").wait_for()  # without a reload

    page.get_by_label("Group by").click()
    page.get_by_role("option", name="rank", exact=True).click()
    page.locator("input[type=range]").first.fill("0")  # no smoothing
    page.get_by_placeholder("e.g.").last.fill("delta_loss|^loss_nats|recalled|min_p|learning|per_second")
    names = ("delta_loss_nats", "recalled_share", "min_p", "learning_rate")
    wanted = [*(f"{rank} (3)" for rank in (1, 2, 4)), *names]
    wait_for(lambda: [one for one in wanted if one in re.sub(r"\s+", " ", page.inner_text("body"))] == wanted)
    wait_for(lambda: page.locator("canvas, svg.marks").count() >= 6)
    page.wait_for_timeout(2000)  # what is drawn
    page.screenshot(path=pictures / "trackio-grouped.png")

    page.get_by_role("button", name="Media & Tables", exact=True).click()
    page.get_by_text("Images (9)").wait_for()
    page.get_by_text("Tables (9)").wait_for()
    page.wait_for_timeout(2000)
    page.screenshot(path=pictures / "trackio-media.png")

    page.get_by_role("button", name="Runs", exact=True).click()
    cell = page.locator("td").get_by_text(re.compile(r"-r2-l\d+-s0-\w{8}$")).first
    cell.wait_for()
    assert page.locator("tbody tr").count() == 9
    page.screenshot(path=pictures / "trackio-runs.png")
    cell.click()
    page.get_by_text('"rank": 2').first.wait_for()
    page.screenshot(path=pictures / "trackio-run.png")
    assert not broken


def test_the_terminal_shows_an_offline_study(start, chromium, tmp_path, pictures):
    sweep_log = tmp_path / "sweep.log"
    short = [] if KEPT else ["steps=200"]  # nobody looks while it trains
    sweep = start(sweep_log, sys.executable, "-m", "memlaw.train", *SWEEP, *short, "logger.mode=offline")
    assert sweep.wait(PATIENCE_S) == 0, sweep_log.read_text()

    socket = str(tmp_path / "tmux")
    wandb = str(Path(sys.executable).with_name("wandb"))

    def tmux(*arguments: str) -> str:
        command = ["tmux", "-S", socket, "-f", "/dev/null", *arguments]
        return subprocess.run(command, capture_output=True, text=True, check=True).stdout

    def shown(*options: str) -> str:
        return tmux("capture-pane", "-p", "-t", "leet", *options)

    leet = f"TERM=xterm-256color COLORTERM=truecolor {wandb} leet runs/screens/wandb"
    tmux("new-session", "-d", "-s", "leet", "-x", "170", "-y", "40", "-c", str(tmp_path), leet)
    try:
        wait_for(lambda: "Runs [9 items]" in shown())
        for chosen in range(8):  # the first one is chosen already; a dot more is in the last line
            tmux("send-keys", "-t", "leet", "Down")
            time.sleep(0.3)
            tmux("send-keys", "-t", "leet", "Space")
            wait_for(lambda wanted=chosen + 2: shown().count("●") >= wanted)
        tmux("send-keys", "-t", "leet", "/")
        time.sleep(0.5)
        tmux("send-keys", "-t", "leet", "-l", "delta_loss|^loss_nats|recalled_share|min_p|active_share|learning")
        time.sleep(0.5)
        tmux("send-keys", "-t", "leet", "Enter")
        wait_for(lambda: "6 filtered from" in shown())
        names = ("delta_loss_nats", "recalled_share", "min_p", "learning_rate", "loss_nats")
        wait_for(lambda: all(name in shown() for name in names))
        time.sleep(2)  # what is drawn
        text = shown()
        assert text.count("●") == 9
        assert "State: Finished" in text
        assert re.search(r"\brank [124]\b", text)
        console = Console(record=True, width=170, file=(tmp_path / "console").open("w"), force_terminal=True)
        console.print(Text.from_ansi(shown("-e")))
    finally:
        tmux("kill-server")
    page = chromium.new_page(viewport={"width": 1500, "height": 900})
    svg = re.sub(r"@font-face \{.*?\}", "", console.export_svg(title="wandb leet runs/screens/wandb"), flags=re.S)
    page.set_content(svg.replace("Fira Code", "DejaVu Sans Mono"))
    page.locator("svg").first.screenshot(path=pictures / "leet.png")
