"""Scores the target tokens of pairs by teacher forcing, and lets a model write the targets from the queries.

Shapes: B rows, T positions of a row, L target tokens of a row.
"""

from collections.abc import Sequence

import numpy as np
import pandas as pd
import torch
from transformers import PreTrainedModel

from memlaw.data.memory import Memory, Pair
from memlaw.models.anatomy import decoder_of
from memlaw.models.head import Head
from memlaw.training.decoding import write, write_by_rows
from memlaw.training.losses import token_losses
from memlaw.training.token_table import TokenTable


@torch.no_grad()
def score(model: PreTrainedModel, pairs: Sequence[Pair]) -> pd.DataFrame:
    """Score pairs in one forward, padded on the right. Of the logits only a few rows exist at a time.

    Returns:
        A row per pair and target token: index (of the pair among these), position, token_id, nll (nats), argmax_id,
        argmax_nll (nats).
    """
    table = TokenTable.from_memories([Memory(tuple(pairs))]).to(model.device)
    ids_BT, position_BL, valid_BL = table.input_ids_NPT[0], table.position_NPL[0], table.valid_NPL[0]
    decoded = decoder_of(model)(input_ids=ids_BT, use_cache=False)
    losses = token_losses(decoded, ids_BT, position_BL, valid_BL, Head(model))
    index_S, position_S = valid_BL.nonzero(as_tuple=True)  # in the order of the flattened mask
    columns = {
        "index": index_S,
        "position": position_S,
        "token_id": ids_BT.gather(1, position_BL)[valid_BL],
        "nll": losses.nll[valid_BL],
        "argmax_id": losses.argmax[valid_BL],
        "argmax_nll": losses.argmax_nll[valid_BL],
    }
    return pd.DataFrame({name: values.cpu().numpy() for name, values in columns.items()})


def written(model: PreTrainedModel, pairs: Sequence[Pair], row_tokens: int | None = None) -> pd.DataFrame:
    """Let a model write targets greedily from their queries.

    Args:
        model: the model.
        pairs: the pairs, decoded together, padded on the left.
        row_tokens: T to decode by whole rows; None decodes with a cache, as transformers' `generate` does.

    Returns:
        A row per pair: index (of the pair among these), exact, matched_prefix (tokens before the first wrong one).
    """
    queries, targets = [pair.query_ids for pair in pairs], [pair.target_ids for pair in pairs]
    if row_tokens is None:
        ids_BL = write(model, queries, max(map(len, targets)))
    else:
        ids_BL = write_by_rows(model, queries, targets, row_tokens)
    rows = []
    for index, (target, ids) in enumerate(zip(targets, ids_BL.numpy(), strict=True)):
        wrong_L = ids[: len(target)] != np.array(target)
        matched = int(wrong_L.argmax()) if wrong_L.any() else len(target)
        rows.append((index, matched == len(target), matched))
    return pd.DataFrame(rows, columns=["index", "exact", "matched_prefix"])
