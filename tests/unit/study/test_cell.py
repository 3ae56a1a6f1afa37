import json
from dataclasses import replace

import pytest
from helpers.configs import TINY, composed
from omegaconf import OmegaConf
from omegaconf.errors import ReadonlyConfigError

from memlaw.config import keys
from memlaw.core.errors import CellError, ConfigError
from memlaw.planning.cells import compose_cell
from memlaw.planning.resolved import resolve
from memlaw.study.cell import Cell
from memlaw.study.identity import LATER_KEYS, add_later_keys, config_hash
from memlaw.study.status import Status

OPERATIONAL = [
    "study=other",
    "runs_dir=/elsewhere",
    "rerun=all",
    "logger.mode=offline",
    "logger.project=other",
    "trainer.device=cuda",
    "trainer.prefix_cache_gb=0",
    "pack.max_cells=1",
    "pack.memory_gb=3",
]
SCIENTIFIC = [
    "model.init_seed=1",
    "model.sizes.hidden_size=32",
    "data.random_ratio=0.5",
    "data.query=Other",
    "data.chat_template=off",
    "data.system_prompt=Other",
    "data.template_arguments={a:1}",
    "data.retokenize=true",
    "data=phonebook",
    "seq_len=65",
    "lora.rank=3",
    "lora.layers=[0]",
    "lora.target_modules=[up_proj]",
    "lora.placement=block",
    "lora.scaling=constant",
    "lora.lora_alpha=16",
    "optimizer.lr=1e-3",
    "optimizer.clip_norm=null",
    "steps=100",
    "batch_size=2",
    "seed=1",
    "precision=bf16",
    "stop.when_recalled=false",
    "stop.p_above=0.8",
    "eval.per_decade=4",
]


def cell_of(*overrides: str) -> Cell:
    return compose_cell(composed(*TINY, *overrides))


@pytest.mark.parametrize("override", SCIENTIFIC)
def test_every_scientific_key_changes_the_hash(override: str):
    assert cell_of(override).hash != cell_of().hash


def test_the_scientific_cases_cover_every_scientific_group():
    assert {override.split("=")[0].split(".")[0] for override in SCIENTIFIC} >= set(keys.SCIENTIFIC) - {
        "epochs",
        "method",
    }


@pytest.mark.parametrize("override", OPERATIONAL)
def test_operational_keys_do_not_change_the_hash(override: str):
    assert cell_of(override).hash == cell_of().hash


def test_the_hash_is_stable_across_versions():
    # A change here orphans every study on disk: it must be meant.
    assert config_hash(OmegaConf.create({"model": {"_target_": "x", "name": "m"}, "seed": 1})) == "d09544a9"


def test_keys_of_later_versions_do_not_change_the_hash_of_an_earlier_cell():
    assert all(OmegaConf.select(cell_of().config, key) == neutral for key, neutral in LATER_KEYS.items())
    before = cell_of().config.copy()
    OmegaConf.set_readonly(before, False)
    for key in LATER_KEYS:
        section, _, name = key.rpartition(".")
        OmegaConf.select(before, section).pop(name, None)  # some are keys of other data than the default
    assert config_hash(before) == cell_of().hash == "2b900153"
    add_later_keys(before)
    assert resolve(Cell(before, cell_of().study)).data == resolve(cell_of()).data


def test_the_hash_ignores_code_locations_and_the_spelling_of_numbers():
    one = OmegaConf.create({"model": {"_target_": "a.B"}, "lr": 1.0, "b": 2})
    other = OmegaConf.create({"b": 2.0, "lr": 1, "model": {"_target_": "c.D"}})
    assert config_hash(one) == config_hash(other)


def test_the_name_is_readable_and_safe_for_a_file_system():
    cell = cell_of("lora.rank=4", "seq_len=256", "model.name=a/b c")
    assert cell.name == f"a_b_c-long_context-sft-r4-l256-s0-{cell.hash}"


@pytest.mark.parametrize("name", ["/models/" + "x" * 300 + "/mistral", "ℓ" * 150, "/a/b" * 2000], ids=range(3))
def test_a_name_is_as_long_as_file_systems_take_and_keeps_ends_and_hash(tiny, name: str):
    cell, _ = tiny(f"model.name='{name}'", f"data.name={'d' * 80}")
    cell.plan()
    assert len(f".{cell.name}.12345678.tmp".encode()) <= 255
    assert cell.name.endswith(f"-r8-l256-s0-{cell.hash}")
    assert cell.name.split("-")[0] in name.replace("/", "_")
    assert Cell.load(cell.paths.directory) == cell


def test_a_long_name_that_file_systems_take_is_kept(tiny):
    assert tiny(f"model.name={'m' * 180}")[0].name.startswith("m" * 180 + "-long_context-")


@pytest.mark.parametrize(
    ("key", "value"), [("study", "s" * 256), ("study", "ℓ" * 100), ("runs_dir", "/" + "r" * 256)], ids=range(3)
)
def test_a_directory_longer_than_file_systems_take_names_its_key(key: str, value: str):
    with pytest.raises(ConfigError, match=rf"^{key}=.*… is longer than a directory's name may be, 255 bytes"):
        cell_of(f"{key}='{value}'")
    with pytest.raises(ConfigError, match=r"^runs_dir=.*… is longer than a path"):
        cell_of("runs_dir=" + "/directory" * 400)


def test_a_planned_cell_is_read_back(tiny):
    cell, _ = tiny()
    cell.plan()
    assert Cell.load(cell.paths.directory) == cell
    assert cell.status.state == "pending"
    assert set(OmegaConf.load(cell.paths.config)) == set(keys.SCIENTIFIC)


def test_planning_again_keeps_the_config_and_forgets_the_attempt_before(tiny):
    cell, _ = tiny()
    cell.plan()
    frozen = cell.paths.config.stat().st_mtime_ns
    cell.start(step=5, loss_nats=1.0)
    cell.plan()
    assert replace(cell.status, updated=None) == Status("pending", attempt=1)
    assert cell.paths.config.stat().st_mtime_ns == frozen


def test_planning_rewrites_a_config_that_names_code_where_it_was_before(tiny):
    cell, _ = tiny()
    cell.plan()
    text = cell.paths.config.read_text()
    cell.paths.config.write_text(text.replace("_target_: memlaw.", "_target_: memlaw.old."))
    cell.plan()
    assert cell.paths.config.read_text() == text


def test_planning_leaves_a_cell_that_is_being_trained_alone(tiny):
    cell, _ = tiny()
    cell.plan()
    with cell.lock():
        cell.start()
        cell.plan()
    assert cell.state == "running"


def test_a_file_is_part_of_the_identity_by_its_content(tiny, tmp_path):
    path = tmp_path / "a.txt"
    path.write_text("one")
    before = tiny("data=text", f"data.path={path}")[0]
    path.write_text("two")
    after = tiny("data=text", f"data.path={path}")[0]
    assert before.hash != after.hash
    assert before.config.data.content != after.config.data.content


def test_a_directory_whose_config_was_edited_is_refused(tiny):
    cell, _ = tiny()
    cell.plan()
    text = cell.paths.config.read_text()
    cell.paths.config.write_text(text.replace("seq_len: 256", "seq_len: 257"))
    with pytest.raises(ConfigError, match="holds the config of another cell"):
        cell.check_directory()
    assert "seq_len: 257" in cell.paths.config.read_text()


@pytest.mark.parametrize("study", ["''", "..", ".", "a/b", "/a", "../a", "null", "'a\nb'"])
def test_a_study_is_the_name_of_one_directory(tiny, study: str):
    with pytest.raises(ConfigError, match="is not a directory's name: no slash, no control character"):
        tiny(f"study={study}")


@pytest.mark.parametrize("runs", ["null", "''", "'a\nb'"])
def test_runs_dir_is_a_path(runs: str):
    with pytest.raises(ConfigError, match=r"runs_dir=.* is not the path of a directory"):
        compose_cell(composed(*TINY, f"runs_dir={runs}"))


def test_missing_values_are_named():
    with pytest.raises(ConfigError, match=r"data\.path|model\.id"):
        compose_cell(composed("model=hub"))


def test_a_new_attempt_forgets_the_failure_before(tiny):
    cell, _ = tiny()
    cell.plan()
    cell.start()
    cell.fail(CellError("first line\nsecond line"))
    assert (cell.status.cause, cell.status.attempt) == ("first line", 1)
    assert "CellError" in cell.status.traceback
    cell.start()
    assert cell.status.cause is None
    assert cell.status.attempt == 2


def test_an_unexpected_failure_names_its_type(tiny):
    cell, _ = tiny()
    cell.plan()
    cell.fail(KeyError("x"))
    assert cell.status.cause == "KeyError: 'x'"


def test_the_flat_row_has_dotted_keys_and_no_code(tiny):
    flat = tiny("lora.rank=2")[0].flat
    assert flat["lora.rank"] == 2
    assert flat["lora.layers"] == "[1]"
    assert not any("_target_" in key for key in flat)
    json.dumps(flat)


def test_the_identity_of_a_cell_is_computed_once(tiny, monkeypatch):
    cell, _ = tiny()
    hashed = []
    monkeypatch.setattr("memlaw.study.cell.config_hash", lambda config: hashed.append(config) or "12345678")
    cell.plan()
    cell.start()
    assert (cell.hash, cell.state, cell.paths.directory.name) == ("12345678", "running", cell.name)
    assert len(hashed) == 1


def test_the_config_of_a_cell_is_read_only(tiny):
    cell, _ = tiny()
    with pytest.raises(ReadonlyConfigError):
        cell.config.seed = 1
