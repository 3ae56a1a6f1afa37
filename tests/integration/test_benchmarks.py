"""The benchmark runs end to end on a tiny model, and its gates notice other work."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

HERE = Path(__file__).resolve().parents[2] / "benchmarks"


def report(raw: Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run([sys.executable, HERE / "report.py", raw], capture_output=True, text=True)


@pytest.mark.slow
def test_the_benchmark_runs_and_its_gates_notice_other_work(tmp_path: Path):
    raw = tmp_path / "bench.jsonl"
    run = [sys.executable, HERE / "run.py", "--grid", "tiny", "--rounds", "1", "--steps", "6", "--short-steps", "4"]
    done = subprocess.run([*run, "--precision", "fp32", "--out", raw], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    good = report(raw)
    assert good.returncode == 0, good.stdout + good.stderr
    assert good.stdout.count("| yes |") == 7
    records = [json.loads(line) for line in raw.read_text().splitlines()]
    for record in records[1:]:
        if record["arm"] == "D":
            record["p"][0] += 0.01
    raw.write_text("\n".join(map(json.dumps, records)))
    bad = report(raw)
    assert bad.returncode == 1
    assert bad.stdout.count("| NO |") == 2
    assert "the arms did not do the same work" in bad.stderr
