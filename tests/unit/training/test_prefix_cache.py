import logging

import torch
from helpers.models import random_base
from helpers.prefixes import FIRST, adapted_names, random_ids

from memlaw.training.prefix import Prefix
from memlaw.training.prefix_cache import cache_prefix
from memlaw.training.token_table import TokenTable


def _table(rows: torch.Tensor) -> TokenTable:
    N = len(rows)
    return TokenTable((1,) * N, rows[:, None], torch.ones(N, 1, 1, dtype=torch.int64), torch.ones(N, 1, 1).bool())


def test_cells_with_the_same_rows_share_them():
    base = random_base()
    rows = random_ids(2, 12)[[0, 1, 0]]
    cache = cache_prefix(Prefix(base.model, FIRST, adapted_names(base)), _table(rows), 1, 1e9)
    assert cache is not None
    assert [len(value) for value in cache.values] == [2] * len(cache.values)
    assert cache.row_NP[0] == cache.row_NP[2] != cache.row_NP[1]


def test_a_small_budget_keeps_less_and_a_smaller_one_nothing(caplog):
    base = random_base()
    one_value = 4 * 12 * 32  # bytes of the input of a layer, for one row
    with caplog.at_level(logging.INFO):
        kept = [
            cache_prefix(Prefix(base.model, FIRST, adapted_names(base)), _table(random_ids(1, 12)), 1, budget)
            for budget in (1e9, one_value, one_value - 1)
        ]
    assert kept[0] is not None and kept[1] is not None
    assert len(kept[0].values) > 1
    assert len(kept[1].values) == 1
    assert kept[2] is None
    assert "its output takes 1.54e-06 GB, of 1.53e-06 allowed (trainer.prefix_cache_gb)" in caplog.text


def test_dropout_below_the_adapter_is_refused(caplog):
    base = random_base("gpt2")
    base.model.transformer.h[0].train()
    with caplog.at_level(logging.INFO):
        assert cache_prefix(Prefix(base.model, FIRST, adapted_names(base)), _table(random_ids(1, 12)), 1, 1e9) is None
    assert "transformer.h.0 is in training mode, where it may drop out at random" in caplog.text


def test_a_model_whose_later_layers_look_back_is_refused(caplog, monkeypatch):
    base = random_base()
    layers = base.model.model.layers
    seen = {}
    layers[0].register_forward_hook(lambda _module, _args, output: seen.update(first=output))
    layers[3].register_forward_hook(lambda _module, _args, output: output + seen["first"])
    with caplog.at_level(logging.INFO):
        assert cache_prefix(Prefix(base.model, FIRST, adapted_names(base)), _table(random_ids(1, 12)), 1, 1e9) is None
    assert "later layers read more from the first layers than the output of the last of them" in caplog.text
