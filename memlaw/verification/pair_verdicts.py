"""The verdict on each pair: what is not particular to a pair is that of the adapter."""

import pandas as pd

from memlaw.core.wording import count
from memlaw.study.verification import VERDICTS
from memlaw.verification.evidence import is_recalled, stubborn
from memlaw.verification.rules import FEW
from memlaw.verification.verdict import Verdict


def judge_pairs(pairs: pd.DataFrame, tokens: pd.DataFrame, whole: Verdict) -> pd.DataFrame:
    """Add the columns `verdict` and `evidence` to pairs.

    Args:
        pairs, tokens: of an adapter; see `memlaw.verification.evidence`.
        whole: the verdict on the adapter.
    """
    recalled, by_pair = is_recalled(pairs), tokens.groupby("pair")
    kinds, evidence = [], []
    for index, pair in pairs.iterrows():
        of_pair = by_pair.get_group(pair["pair"])
        wrong = int((of_pair["argmax_id"] != of_pair["token_id"]).sum())
        if whole.kind == "untouched":
            kind, why = whole.kind, f"{pair['base_bits']:.0f} bits are to be stored"
        elif recalled[index]:
            kind, why = "recalled", f"minimum p {pair['min_p']:.3f}"
        elif not wrong:
            kind, why = (
                "numerics",
                f"predicted by teacher forcing; decoding leaves it after {pair['matched_prefix']} tokens",
            )
        elif whole.kind in ("template", "numerics"):
            kind, why = whole.kind, whole.text
        elif wrong <= max(1, FEW * len(of_pair)):
            kind, why = "nearly", "; ".join(stubborn(of_pair))
        elif pair["stored_bits"] <= 0:
            kind, why = "base", "less probable with the adapter than without"
        else:
            kind = whole.kind if whole.kind not in ("recalled", "nearly") else "training or capacity"
            why = f"{count(wrong, 'token')} of {len(of_pair)} wrong, the first at {pair['first_wrong']}"
        kinds.append(kind)
        evidence.append(why)
    assert set(kinds) <= set(VERDICTS)
    return pairs.assign(verdict=kinds, evidence=evidence)
