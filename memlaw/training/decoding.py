"""Continues several queries at once: with a KV cache, or by whole rows for models whose cache changes the result.

Teacher forcing runs whole rows, padded on the right. Decoding with a cache runs a token at a time after rows that are
padded on the left. For most models both compute the same function. They differ for a model that rotates positions by
factors which depend on the row's length (longrope), ignores padding in its positions, or has layers without a cache.
Decoding by whole rows is teacher forcing itself. It is exact for all models, and takes a forward per unexpected token.

Shapes: B rows, Q tokens of the longest query, T positions of a row, L tokens to write.
"""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any
from weakref import WeakKeyDictionary

import torch
from torch import nn
from transformers import GenerationConfig, PreTrainedModel

from memlaw.core.errors import is_out_of_memory, one_line
from memlaw.data.memory import Pair
from memlaw.models.anatomy import decoder_of
from memlaw.models.head import Head
from memlaw.planning.soundness import alike
from memlaw.training.losses import token_losses

_PROBED_TOKENS, _AGREEING_SHARE = 8, 0.6
"""Tokens decoded to try a cache, and the share of them that must agree with whole rows. It is below 1 because in bf16
rounding may send a token to another expert."""

_against_cache: WeakKeyDictionary[nn.Module, dict[tuple[int, int, int], str | None]] = WeakKeyDictionary()
"""Results of `reason_against_cache`, per model and lengths."""


@contextmanager
def _without_generation_defaults(model: PreTrainedModel) -> Iterator[None]:
    """Remove the model's generation defaults inside the context: end-of-sequence, penalties, temperature."""
    before = model.generation_config
    model.generation_config = GenerationConfig()
    try:
        yield
    finally:
        model.generation_config = before


@torch.no_grad()
def write(
    model: PreTrainedModel,
    queries: Sequence[Sequence[int]],
    new_tokens: int,
    temperature: float | None = None,
) -> torch.Tensor:
    """Decode with the KV cache of transformers' `generate`.

    Args:
        model: the base model; attached adapters act.
        queries: token ids; shorter ones are padded on the left.
        new_tokens: number of tokens to write; an end of sequence does not stop it.
        temperature: None for greedy decoding.

    Returns:
        Token ids [B, L], on the CPU.
    """
    sampling: dict[str, Any] = (
        {"do_sample": False} if temperature is None else {"do_sample": True, "temperature": temperature, "top_k": 0}
    )
    return _generate(model, queries, max_new_tokens=new_tokens, **sampling).sequences[:, -new_tokens:].cpu()


def _generate(model: PreTrainedModel, queries: Sequence[Sequence[int]], **settings: Any) -> Any:
    Q = max(map(len, queries))
    ids_BQ = torch.zeros(len(queries), Q, dtype=torch.long)
    mask_BQ = torch.zeros_like(ids_BQ)
    for row, query in enumerate(queries):
        ids_BQ[row, Q - len(query) :] = torch.tensor(query)
        mask_BQ[row, Q - len(query) :] = 1
    config = GenerationConfig(pad_token_id=0, use_cache=True, return_dict_in_generate=True, **settings)
    with _without_generation_defaults(model):
        generate: Any = model.generate
        return generate(
            input_ids=ids_BQ.to(model.device), attention_mask=mask_BQ.to(model.device), generation_config=config
        )


@torch.no_grad()
def write_by_rows(
    model: PreTrainedModel,
    queries: Sequence[Sequence[int]],
    expected: Sequence[Sequence[int]],
    row_tokens: int,
    temperature: float | None = None,
) -> torch.Tensor:
    """Decode by whole rows, as teacher forcing runs them.

    A row begins with the expected tokens in it. A forward shows the first of them that greedy decoding would not write.
    The token that it would write replaces the expected one, and the next forward goes on after it.

    Args:
        model: the base model; attached adapters act.
        queries: token ids.
        expected: token ids after each query; the result has as many.
        row_tokens: T, at least the tokens of the longest query with its expected tokens.
        temperature: None for greedy decoding.

    Returns:
        Token ids [B, L], on the CPU; arbitrary beyond the expected tokens of a row.
    """
    B, L = len(queries), max(map(len, expected))
    ids_BT = torch.zeros(B, row_tokens, dtype=torch.long)
    position_BL = torch.ones(B, L, dtype=torch.long)
    valid_BL = torch.zeros(B, L, dtype=torch.bool)
    for row, (query, target) in enumerate(zip(queries, expected, strict=True)):
        ids_BT[row, : len(query) + len(target)] = torch.tensor([*query, *target])
        position_BL[row, : len(target)] = torch.arange(len(query), len(query) + len(target))
        valid_BL[row, : len(target)] = True
    device = model.device
    ids_BT, position_BL, valid_BL = ids_BT.to(device), position_BL.to(device), valid_BL.to(device)
    head, row_B, index_L = Head(model), torch.arange(B, device=device), torch.arange(L, device=device)
    open_BL = valid_BL.clone()  # not decided yet
    while open_BL.any():
        decoded = decoder_of(model)(input_ids=ids_BT, use_cache=False)
        if temperature is None:
            argmax_BL = token_losses(decoded, ids_BT, position_BL, valid_BL, head).argmax
            other_BL = open_BL & (argmax_BL != ids_BT.gather(1, position_BL))
            at_B = other_BL.int().argmax(1).where(other_BL.any(1), L - 1)
            chosen_B = argmax_BL[row_B, at_B]
        else:
            at_B = open_BL.int().argmax(1)
            logits_BV = head(decoded.last_hidden_state[row_B, position_BL[row_B, at_B] - 1], decoded)
            chosen_B = torch.multinomial((logits_BV.float() / temperature).softmax(-1), 1)[:, 0]
        position_B = position_BL[row_B, at_B]
        ids_BT[row_B, position_B] = chosen_B.where(open_BL[row_B, at_B], ids_BT[row_B, position_B])
        open_BL &= index_L > at_B[:, None]
    return ids_BT.gather(1, position_BL).cpu()


def reason_against_cache(model: PreTrainedModel, pairs: Sequence[Pair], row_tokens: int) -> str | None:
    """Return the reason why decoding with a cache differs from teacher forcing on this model; None when it does not.

    The model is tried once for a row length and the lengths of the shortest and the longest query.

    Args:
        model: the base model, whole and without adapters.
        pairs: the pairs to decode.
        row_tokens: T of the rows that teacher forcing runs.
    """
    shortest, longest = (pick(pairs, key=lambda pair: len(pair.query_ids)) for pick in (min, max))
    lengths = row_tokens, len(shortest.query_ids), len(longest.query_ids)
    reasons = _against_cache.setdefault(model, {})
    if lengths not in reasons:
        short, long = list(shortest.query_ids), list(longest.query_ids)
        padded = short if len(short) < len(long) else short[: max(1, len(short) // 2)]
        batches = [[short], [long, padded]]
        probes = (_probe(model, batch, row_tokens) for batch in batches)
        reasons[lengths] = next((reason for reason in probes if reason), None)
    return reasons[lengths]


@torch.no_grad()
def _probe(model: PreTrainedModel, prefixes: Sequence[Sequence[int]], row_tokens: int) -> str | None:
    """Decode after several prefixes with a cache, and compare the logits with those of whole rows."""
    new = min(_PROBED_TOKENS, row_tokens - max(map(len, prefixes)))
    try:
        generated = _generate(model, prefixes, max_new_tokens=new, do_sample=False, output_logits=True)
    except Exception as error:  # caches without support for `generate` fail in many ways
        if is_out_of_memory(error):
            raise
        return f"generate fails: {one_line(error)}"
    cached_BLV = torch.stack(generated.logits, 1).float()
    ids_BT = torch.zeros(len(prefixes), row_tokens, dtype=torch.long, device=model.device)
    for row, prefix in enumerate(prefixes):
        ids_BT[row, : len(prefix)] = torch.tensor(prefix)
        ids_BT[row, len(prefix) : len(prefix) + new] = generated.sequences[row, -new:]
    decoded, head = decoder_of(model)(input_ids=ids_BT, use_cache=False), Head(model)
    for row, prefix in enumerate(prefixes):
        before = slice(len(prefix) - 1, len(prefix) + new - 1)
        whole_LV = head(decoded.last_hidden_state[row, before], decoded).float()
        agreeing = sum(
            alike(cached_V, whole_V, model.dtype) for cached_V, whole_V in zip(cached_BLV[row], whole_LV, strict=True)
        )
        if agreeing < _AGREEING_SHARE * new:
            return "it computes other values token by token than in a whole row"
    return None
