import json
import os
import re

import pytest

from memlaw.core.errors import ConfigError
from memlaw.tracking.contents import CURVES, HISTOGRAM, STRIP, TABLE, run_summary
from memlaw.tracking.trackio_service import TrackioService, run_name
from memlaw.training.pack import train_pack


@pytest.fixture
def project(tmp_path_factory) -> str:
    """A project of the test's own, in the directory that all tests of this process share."""
    return re.sub(r"\W+", "-", tmp_path_factory.mktemp("project").name)


def trained(tiny, project: str, *overrides: str):
    """A pack of two cells that Trackio mirrors."""
    cells = []
    for rank in (1, 2):
        cell, cfg = tiny("steps=20", "seq_len=16", "stop.when_recalled=false", f"lora.rank={rank}", *overrides)
        cell.plan()
        cells.append(cell)
    train_pack(cells, cfg)
    return cells


def test_trackio_holds_each_cells_curves_media_and_config(tiny, project):
    from trackio.sqlite_storage import SQLiteStorage

    cells = trained(tiny, project, "logger=trackio", "logger.mode=local", f"logger.project={project}")
    for cell in cells:
        rows = SQLiteStorage.get_logs(project, run_name(cell))
        result = json.loads(cell.paths.result.read_text())
        curves = [row for row in rows if "learning_rate" in row]
        assert [row["step"] for row in curves][-1] == 20
        assert len({row["step"] for row in curves}) == len(curves)
        for name in CURVES:
            if result.get(name) is not None and name != "tokens_per_second":
                assert curves[-1][name] == pytest.approx(result[name])
        assert all(HISTOGRAM in row for row in curves)
        assert sum(TABLE in row for row in rows) == sum(STRIP in row for row in rows) == 1
        (last,) = (row for row in rows if "bits_per_parameter" in row)
        numbers = {name: value for name, value in run_summary(result).items() if isinstance(value, int | float)}
        assert {n: last[n] for n in numbers if n not in CURVES} == pytest.approx(
            {n: value for n, value in numbers.items() if n not in CURVES}
        )
        assert not set(CURVES) & set(last)
        config = SQLiteStorage.get_run_config(project, run_name(cell))
        assert config["rank"] == cell.config.lora.rank
        assert config["config"]["optimizer"]["lr"] == cell.config.optimizer.lr


def test_a_cell_that_goes_on_repeats_no_step(tiny, project):
    from trackio.sqlite_storage import SQLiteStorage

    cell, _ = tiny()
    service = TrackioService("local", project, 30)
    first = service.open(cell)
    for step in (0, 1, 5):
        first.log(step, {"loss_nats": float(step)})
    first.interrupt()
    second = service.open(cell)
    for step in (0, 1, 5, 10):
        second.log(step, {"loss_nats": float(step)})
    second.finish({})
    assert [row["step"] for row in SQLiteStorage.get_logs(project, run_name(cell)) if "loss_nats" in row] == [
        0,
        1,
        5,
        10,
    ]


def test_the_same_cell_of_two_studies_is_two_runs_and_opened_again_it_stays_as_it_is(tiny, project):
    from trackio.sqlite_storage import SQLiteStorage

    cells = [tiny(f"study={study}")[0] for study in ("one", "two")]
    service = TrackioService("local", project, 30)

    def tell(cell) -> list[dict]:
        run = service.open(cell)
        for step in (0, 1, 5):
            run.log(step, {"loss_nats": float(step)})
        run.finish({"loss_nats": 5.0, "bits_per_parameter": 0.5})
        return SQLiteStorage.get_logs(project, run_name(cell))

    told = [tell(cell) for cell in cells]
    for cell, rows in zip(cells, told, strict=True):
        assert [row["step"] for row in rows if "loss_nats" in row] == [0, 1, 5]
        assert [row["step"] for row in rows if "bits_per_parameter" in row] == [5]
        assert tell(cell) == rows
    assert len(SQLiteStorage.get_runs(project)) == 2


def test_impossible_settings_are_refused_by_key():
    with pytest.raises(ConfigError, match=r"logger\.mode=online is not one of local, disabled"):
        TrackioService("online", "p", 1)
    with pytest.raises(ConfigError, match=r"logger\.timeout_s=0"):
        TrackioService("local", "p", 0)
    with pytest.raises(ConfigError, match=r"logger\.project=a/b"):
        TrackioService("local", "a/b", 1)


def test_without_the_package_it_says_what_to_install(monkeypatch):
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    with pytest.raises(ConfigError, match=r"memlaw\[trackio\]"):
        TrackioService("local", "p", 1)


def test_tests_leave_the_users_own_projects_alone(tiny, project):
    from trackio.utils import TRACKIO_DIR

    assert str(TRACKIO_DIR) == os.environ["TRACKIO_DIR"]
