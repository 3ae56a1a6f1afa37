import pytest
import torch
from helpers.architectures.sizes import tiny_sizes
from helpers.models import random_base
from hypothesis import given, settings
from hypothesis import strategies as st

from memlaw.data.memory import Pair
from memlaw.models.random_weights import RandomModel
from memlaw.training import decoding
from memlaw.training.decoding import reason_against_cache, write, write_by_rows

QUERIES = [list(range(100, 109)), list(range(40, 44)), list(range(60, 67))]
BASE = random_base()


def tiny_model(model_type: str, **sizes: object):
    base = RandomModel("m", model_type, tiny_sizes(model_type) | sizes).load(torch.float32, torch.device("cpu"))
    return base.model


def pairs(*queries: list[int], length: int = 10) -> list[Pair]:
    return [Pair(tuple(query), tuple(range(70, 70 + length))) for query in queries]


def greedy(model, query: list[int], length: int, row_tokens: int) -> list[int]:
    """Written by hand: the argmax after each prefix, in a row of zeros."""
    ids = [*query]
    for _ in range(length):
        row = torch.tensor([[*ids, *[0] * (row_tokens - len(ids))]])
        with torch.no_grad():
            ids.append(int(model(row, use_cache=False).logits[0, len(ids) - 1].argmax()))
    return ids[len(query) :]


def test_whole_rows_write_what_a_cache_writes():
    model = BASE.model
    expected = [[7] * 8, [8] * 8, [9] * 8]
    written = write_by_rows(model, QUERIES, expected, row_tokens=20)
    assert torch.equal(written, write(model, QUERIES, 8))
    assert written[1].tolist() == greedy(model, QUERIES[1], 8, 20)


@given(st.lists(st.lists(st.integers(0, 299), min_size=1, max_size=6), min_size=3, max_size=3))
@settings(max_examples=20)
def test_what_is_expected_does_not_change_what_is_written(expected: list[list[int]]):
    written = write_by_rows(BASE.model, QUERIES, expected, row_tokens=16)
    for row, (query, target) in enumerate(zip(QUERIES, expected, strict=True)):
        assert written[row, : len(target)].tolist() == greedy(BASE.model, query, len(target), 16)


def test_a_memory_that_is_recalled_takes_one_forward():
    model = BASE.model
    target = greedy(model, QUERIES[0], 6, 16)
    forwards = []
    with_hook = model.model.register_forward_hook(lambda *_: forwards.append(1))
    assert write_by_rows(model, QUERIES[:1], [target], row_tokens=16)[0].tolist() == target
    with_hook.remove()
    assert len(forwards) == 1


def test_sampling_by_rows_draws_from_the_same_distribution():
    model = BASE.model
    torch.manual_seed(0)
    cold = write_by_rows(model, QUERIES, [[7] * 4] * 3, row_tokens=16, temperature=1e-4)
    assert torch.equal(cold, write(model, QUERIES, 4))
    drawn = torch.stack([write_by_rows(model, QUERIES[:1], [[7]], 12, temperature=1.0)[0, 0] for _ in range(300)])
    with torch.no_grad():
        p = model(torch.tensor(QUERIES[:1])).logits[0, -1].softmax(-1)
    likely = int(p.argmax())
    share = (drawn == likely).float().mean().item()
    assert share == pytest.approx(p[likely].item(), abs=4 * (p[likely] * (1 - p[likely]) / 300).sqrt().item())


LONGROPE = {
    "rope_parameters": {
        "rope_type": "longrope",
        "rope_theta": 10000.0,
        "short_factor": [1.0] * 8,
        "long_factor": [4.0] * 8,
        "original_max_position_embeddings": 24,
    },
    "original_max_position_embeddings": 24,
}


@pytest.mark.parametrize(
    ("model_type", "row_tokens", "reason"),
    [
        ("llama", 20, None),
        ("gpt2", 20, None),
        ("trocr", 20, "it computes other values token by token"),  # its positions ignore padding
        ("jamba", 20, "generate fails"),  # its layers have no attention whose length could be asked for
    ],
)
def test_what_speaks_against_a_cache(model_type: str, row_tokens: int, reason: str | None):
    found = reason_against_cache(tiny_model(model_type), pairs(*QUERIES), row_tokens)
    assert (found or "")[: len(reason or "")] == (reason or "")
    assert (found is None) == (reason is None)


def test_positions_that_depend_on_the_rows_length_speak_against_it_beyond_that_length():
    model = tiny_model("phi3", **LONGROPE)
    query, target = QUERIES[0], list(range(70, 80))
    assert reason_against_cache(model, pairs(query), 20) is None
    assert "other values token by token than in a whole row" in reason_against_cache(model, pairs(query), 40)
    written = write_by_rows(model, [query], [target], row_tokens=40)[0].tolist()
    assert written == greedy(model, query, 10, 40)
    assert written != write(model, [query], 10)[0].tolist()


def test_it_is_tried_once_for_a_length(monkeypatch):
    model = random_base().model
    probes = []
    original = decoding._probe
    monkeypatch.setattr(decoding, "_probe", lambda *arguments: probes.append(1) or original(*arguments))
    for row_tokens in (20, 20, 24):
        reason_against_cache(model, pairs(QUERIES[0]), row_tokens)
    assert len(probes) == 2 * 2  # a query alone, and one padded
    reason_against_cache(model, pairs(*QUERIES), 20)
    assert len(probes) == 2 * 3


@pytest.mark.parametrize("queries", [([100], QUERIES[0]), (QUERIES[0], [100]), (QUERIES[0], QUERIES[0])])
@pytest.mark.parametrize("length", [1, 10])
def test_padding_is_tried_whatever_the_queries_and_targets(queries, length: int):
    tried = pairs(*queries, length=length)
    assert reason_against_cache(tiny_model("trocr"), tried, 9 + length)
    assert reason_against_cache(random_base().model, tried, 9 + length) is None


def test_a_router_that_rounding_tips_over_speaks_not_against_it():
    base = RandomModel("m", "mixtral", tiny_sizes("mixtral")).load(torch.bfloat16, torch.device("cpu"))
    assert reason_against_cache(base.model, pairs(*QUERIES), 20) is None
