"""Every YAML composes, and every experiment trains one step on a random model."""

import json
import re
from pathlib import Path

import pytest
from helpers.configs import TINY, composed
from omegaconf import OmegaConf

from memlaw.core.errors import ConfigError
from memlaw.core.paths import config_dir
from memlaw.data.chat_template import SYSTEM
from memlaw.planning.cells import compose_cell
from memlaw.planning.checks import check_cell
from memlaw.training.pack import train_pack

CONF = Path(config_dir())
GROUPS = sorted(
    (str(path.parent.relative_to(CONF)), path.stem)
    for path in CONF.rglob("*.yaml")
    if path.parent not in (CONF, CONF / "experiment", CONF / "hydra/launcher", CONF / "hydra/job_logging")
)
EXPERIMENTS = sorted(path.stem for path in (CONF / "experiment").glob("*.yaml"))
MANDATORY = {"hub": ["model.id=org/name"], "local": ["model.path=/x"]}
PATHS = {"text": "x.txt", "hub": "x", "table": "x.jsonl"}


@pytest.mark.parametrize(("group", "name"), GROUPS)
def test_every_option_composes_to_a_checked_cell(group: str, name: str, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "x").mkdir()
    for path in ("x.txt", "x.jsonl", "x/train.jsonl"):
        (tmp_path / path).write_text('{"text": "a text", "query": "A?", "target": "b"}')
    overrides = [f"{group}={name}"]
    if group == "model":
        overrides += MANDATORY.get(name, [])
    if group == "data" and name in PATHS:
        overrides += [f"data.path={PATHS[name]}"]
    cell = compose_cell(composed(*overrides))
    check_cell(cell)
    assert cell.name


def test_options_are_named_as_their_files():
    for group, name in GROUPS:
        if group in ("model", "data", "method") and name not in ("hub", "local", "random"):
            extra = [f"data.path={PATHS[name]}"] if group == "data" and name in PATHS else []
            assert composed(f"{group}={name}", *extra)[group].name == name


def released_files(directory: Path) -> None:
    """Files of the form that the paper released: one long target with its question, and tables of queries."""
    rows = {f"phonebook/pb_train_random/{model}/PB1000.jsonl": book(100) for model in ("qwen", "llama")}
    rows["long_context/random.jsonl"] = [{"question": "Output it.", "matching": " a text of some length"}]
    for path, lines in rows.items():
        (directory / path).parent.mkdir(parents=True, exist_ok=True)
        (directory / path).write_text("\n".join(map(json.dumps, lines)))


def book(rows: int) -> list[dict]:
    return [{"id": n, "query": f"Ann B{n}:", "target": f"{n:010}", "target_len": 10} for n in range(rows)]


@pytest.mark.parametrize("name", EXPERIMENTS)
def test_every_experiment_trains_one_step_on_a_random_model(name: str, tiny, tmp_path):
    short = ["seq_len=1000", "batch_size=50"] if "phonebook" in name else ["seq_len=16"]  # a length of the paper's
    if name.startswith("paper"):
        short += ["data.system_prompt=null", "data.template_arguments=null"]  # the random model has no chat template
    if name.startswith("paper_released"):
        released_files(tmp_path)
        short += [f"lookup.datasets={tmp_path}"]
    one_step = ["steps=1", "epochs=null", *short, "lora.rank=2"]
    cell, cfg = tiny(f"experiment={name}", *TINY, "model.sizes.num_hidden_layers=3", *one_step)
    check_cell(cell)
    cell.plan()
    train_pack([cell], cfg)
    assert cell.state == "done", cell.status


def test_experiments_give_the_papers_protocol():
    qwen = composed("experiment=paper_long_context_qwen3_8b")
    assert (qwen.model.id, qwen.lora.layers, qwen.lora.placement) == ("Qwen/Qwen3-8B", [24], "block")
    assert (qwen.steps, qwen.optimizer.lr, qwen.batch_size, qwen.precision) == (2000, 1e-2, 1, "bf16")
    assert not qwen.stop.when_recalled
    assert OmegaConf.to_container(qwen.lora) == {
        "rank": 8, "target_modules": "auto", "layers": [24], "placement": "block", "block_modules": ["mlp"],
        "scaling": "constant", "lora_alpha": 1, "init": "paper", "dropout": 0.1, "dtype": "bf16",
    }  # fmt: skip
    assert (qwen.data.system_prompt, qwen.data.template_arguments) == (SYSTEM, {"enable_thinking": False})
    assert (qwen.data.random_ratio, qwen.data.retokenize) == (1.0, True)
    llama = composed("experiment=paper_long_context_llama3.1_8b")
    assert (llama.model.name, llama.lora.layers) == ("llama3.1_8b", [18])
    assert (llama.data.system_prompt, llama.data.template_arguments) == (SYSTEM, None)
    book = composed("experiment=paper_phonebook_llama3.1_8b")
    assert (book.data.query, book.data.system_prompt, book.lora.init) == ("{name}:", SYSTEM, "paper")
    grid = OmegaConf.load(CONF / "experiment/paper_long_context.yaml").hydra.sweeper.params["lora.rank"]
    assert [int(rank) for rank in grid.split(",")][-1] == 512


@pytest.mark.parametrize("data", ["long_context", "phonebook"])
def test_memft_ot_falls_back_to_the_plain_mean_in_the_paper_alone(data: str):
    preset = f"paper_{data}_qwen3_8b"
    assert composed(f"experiment={preset}", "method=memft_ot").method.all_recalled == "mean"
    assert composed(f"experiment={preset}", "method=memft_sw").method.all_recalled == "zero"
    assert composed(f"data={data}", "method=memft_ot").method.all_recalled == "zero"


@pytest.mark.parametrize(
    ("data", "more", "digest"),
    [("long_context", "seq_len=50", "77bcc514"), ("phonebook", "method=memft_ot", "698325e6")],
)
def test_cells_of_the_presets_before_are_found_again(data: str, more: str, digest: str):
    before = f"experiment=[paper_{data}_qwen3_8b,paper_peft_defaults]"
    assert compose_cell(composed(before, f"data={data}", more)).hash == digest


@pytest.mark.parametrize("data", ["long_context", "phonebook"])
def test_released_files_that_are_not_there_are_named(data: str):
    cell = compose_cell(composed(f"experiment=paper_released_{data}_qwen3_8b", "lookup.datasets=/none"))
    with pytest.raises(ConfigError, match=r"^data\.path=/none/.*\.jsonl cannot be read: No such file"):
        check_cell(cell)


def test_users_add_their_own_options_with_a_search_path(train, tmp_path: Path):
    (tmp_path / "mine/model").mkdir(parents=True)
    (tmp_path / "mine/model/small.yaml").write_text("defaults: [random]\nname: small\nsizes: {hidden_size: 32}\n")
    shown = train("model=small", f"hydra.searchpath=[file://{tmp_path}/mine]", "--cfg", "job", "--package", "model")
    assert "hidden_size: 32" in shown.stdout


def test_a_phonebook_cell_looks_up_the_papers_hyper_parameters():
    def chosen(*overrides: str) -> tuple:
        c = compose_cell(composed(*overrides)).config
        until = list(c.method.curriculum.until_epochs) if c.method.name == "memft_sw" else []
        return c.epochs, c.batch_size, c.optimizer.lr, c.lora.layers, until

    qwen, llama = "experiment=paper_phonebook_qwen3_8b", "experiment=paper_phonebook_llama3.1_8b"
    assert chosen(qwen, "method=sft", "seq_len=4000") == (200, 4, 1e-2, [24], [])
    assert chosen(qwen, "method=memft_ot", "seq_len=32000") == (200, 16, 1e-2, [24], [])
    assert chosen(qwen, "method=memft_sw", "seq_len=8000") == (350, 40, 7e-3, [24], [30, 60, 90, 120])
    assert chosen(qwen, "method=memft_sw", "seq_len=32000") == (700, 80, 5e-3, [24], [100, 200, 300, 400])
    assert chosen(llama, "method=sft", "seq_len=16000") == (200, 10, 1e-2, [18], [])
    assert chosen(llama, "method=memft_ot", "seq_len=24000") == (200, 20, 1e-2, [18], [])
    own = {
        1000: (300, 25, 1e-2, 20), 2000: (400, 25, 1e-2, 40), 4000: (400, 50, 7e-3, 40), 8000: (600, 100, 5e-3, 80),
        12000: (700, 100, 5e-3, 100), 16000: (700, 100, 5e-3, 100), 24000: (700, 200, 3e-3, 100),
        32000: (800, 200, 3e-3, 120),
    }  # fmt: skip
    for length, (epochs, batch, lr, step) in own.items():
        expected = (epochs, batch, lr, [18], [step, 2 * step, 3 * step, 4 * step])
        assert chosen(llama, "method=memft_sw", f"seq_len={length}") == expected


def test_every_key_has_a_comment():
    presets = {"model": {"hub", "local", "random", "smollm2_135m"}}  # the other models are names and ids alone
    files = [CONF / "config.yaml", CONF / "hydra/launcher/slurm.yaml", CONF / "hydra/launcher/local.yaml"]
    files += [CONF / group / f"{name}.yaml" for group, name in GROUPS if name in presets.get(group, {name})]
    bare = []
    for path in files:
        lines = path.read_text(encoding="utf-8").split("\nhydra:")[0].splitlines()
        values = [line for line in lines if re.match(r" *[a-z]\w*: *[^ #]", line) and not line.startswith("defaults:")]
        bare += [f"{path.name}: {line}" for line in values if " # " not in line]
    assert bare == []
