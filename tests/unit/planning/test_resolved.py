"""What a cell's config names is made once."""

import hydra.utils
import pytest

from memlaw.config import instantiation
from memlaw.core.errors import ConfigError
from memlaw.planning import resolved
from memlaw.planning.machine import Machine
from memlaw.planning.make_plan import make_plan
from memlaw.planning.resolved import resolve


@pytest.fixture
def made(monkeypatch) -> list[str]:
    """The `_target_`s that have been called, by their last names."""
    targets = []

    def counting(node, **options):
        targets.append(node._target_.rpartition(".")[2])
        return hydra.utils.instantiate(node, **options)

    monkeypatch.setattr(instantiation, "instantiate", counting)
    resolved._resolve_model.cache_clear()
    resolved._adapt.cache_clear()
    return targets


def test_a_plan_makes_data_and_method_once_per_cell_and_the_model_once(tiny, made):
    grid = [tiny(f"lora.rank={rank}", "seq_len=16", "lora.layers=[1]", f"seed={rank}") for rank in (1, 2, 4)]
    assert made == []
    plan = make_plan([cell for cell, _ in grid], grid[0][1], Machine.here("cpu", workers=1))
    for pack in plan.packs:
        assert all(member.forecast["step_flops"] > 0 for member in pack.members)
        pack.cell_seconds(plan.cost)
    assert sorted(made) == sorted(["fictional", "Plain"] * 3 + ["RandomModel", "WandbService"])


def test_cells_of_one_model_and_place_share_modules_whatever_their_rank_and_seed(tiny):
    first, same = (resolve(tiny(f"lora.rank={rank}", f"seed={rank}")[0]) for rank in (1, 4))
    other = resolve(tiny("lora.layers=[0]")[0])
    assert first.adapted is same.adapted
    assert (first.spec.rank, same.spec.seed) == (1, 4)
    assert other.adapted is not first.adapted
    assert other.adapted.model is first.adapted.model
    assert [target.layer for target in other.adapted.targets] == [0]


def test_a_resolved_cell_knows_its_steps_and_shape(tiny):
    cell = resolve(tiny("data=phonebook", "steps=null", "epochs=3", "batch_size=2", "seq_len=64")[0])
    pairs, row_tokens = cell.expected_shape
    assert pairs > 1 < row_tokens
    assert cell.timetable.total_steps == 3 * -(-pairs // 2)


def test_a_model_that_is_not_there_is_refused_when_it_is_asked_for(tiny, tmp_path):
    cell = resolve(tiny("model=local", f"model.path={tmp_path}/none", "lora.layers=[1]")[0])
    with pytest.raises(ConfigError, match=r"model\.path"):
        _ = cell.adapted
