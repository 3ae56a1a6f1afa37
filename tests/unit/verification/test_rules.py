import dataclasses
import math

import pandas as pd
import pytest
from helpers.checkout import ROOT
from memlaw_analysis.experiments.brackets import brackets, closed
from memlaw_analysis.tables.studies import load_studies

from memlaw.verification.loss_trend import LossTrend
from memlaw.verification.pair_verdicts import judge_pairs
from memlaw.verification.probes import Probe
from memlaw.verification.rules import judge, untouched
from memlaw.verification.size_or_steps import RECALLED_BITS
from memlaw.verification.verdict import Case, Size

FALLING, FLAT, DECAYED = (
    LossTrend(True, False, 3.0, "falling"),
    LossTrend(False, False, 3.0, "flat"),
    LossTrend(False, True, 3.0, "decayed"),
)


def case(
    wrong: int, pairs: int = 10, tokens: int = 10, nll: float = 3.0, parameters: int = 1000, exact=None, **known
) -> Case:
    """Pairs of which the first have `wrong` wrong tokens each in half of them; 4 nats a token are to be stored."""
    rows = []
    for pair in range(pairs):
        for position in range(tokens):
            is_wrong = pair < pairs // 2 and position < wrong
            rows.append(
                {
                    "pair": pair, "position": position, "token_id": 1, "token": " yes", "argmax": " no",
                    "argmax_id": 2 if is_wrong else 1, "nll": nll if is_wrong else 0.01, "argmax_nll": 0.1,
                    "base_nll": 4.0,
                }
            )  # fmt: skip
    table = pd.DataFrame(rows)
    groups = table.groupby("pair")
    bad = table[table["argmax_id"] == 2].groupby("pair")["position"].min()
    of_pairs = pd.DataFrame(
        {
            "pair": range(pairs),
            "tokens": tokens,
            "base_bits": groups["base_nll"].sum() / math.log(2),
            "nats": groups["nll"].sum(),
            "stored_bits": (groups["base_nll"].sum() - groups["nll"].sum()) / math.log(2),
            "min_p": (-groups["nll"].max()).map(math.exp),
            "first_wrong": bad.reindex(range(pairs)).astype("Int64"),
            "exact": exact,
            "matched_prefix": 3,
        }
    )
    return Case(of_pairs, table, Size(parameters, 4), **known)


def probe(kind: str, ratio: float | None, recalled: float) -> Probe:
    return Probe(kind, "otherwise", 10, None if ratio is None else ratio, 1.0, recalled, 0.5, ratio)


@pytest.mark.parametrize(
    ("given", "kind"),
    [
        (case(0), "recalled"),
        (case(1), "nearly"),
        (case(5), "training or capacity"),
        (case(5, parameters=10_000), "training"),
        (case(5, parameters=100), "capacity"),
        (case(5, parameters=700, trend=FLAT), "capacity"),
        (case(5, parameters=700, trend=FALLING), "training or capacity"),
        (case(5, parameters=700, trend=DECAYED), "training or capacity"),
        (case(5, probes=(probe("decoding", None, 1.0),)), "training or capacity"),
        (case(5, parameters=1500, trend=FALLING), "training"),
        (case(5, parameters=1500, trend=FLAT), "training or capacity"),
        (case(5, parameters=0), "training or capacity"),
        (case(10, nll=9.0), "base"),
        (case(5, trend=LossTrend(False, False, 0.01, "flat")), "base"),
        (case(5, probes=(probe("template", 0.1, 1.0),)), "template"),
        (case(5, probes=(probe("template", 0.9, 1.0),)), "training or capacity"),
        (case(5, probes=(probe("template", 0.1, 0.8),)), "training or capacity"),
        (case(5, probes=(probe("numerics", 0.1, 1.0),)), "numerics"),
        (case(0, exact=False), "numerics"),
        (case(0, exact=True), "recalled"),
    ],
)
def test_the_first_rule_that_applies_decides(given: Case, kind: str):
    assert judge(given).kind == kind


def test_the_share_that_is_asked_for_decides():
    assert judge(case(5), required=0.5).kind == "recalled"


def test_stubborn_tokens_are_listed_with_what_competes():
    (first, *_) = judge(case(1)).evidence
    assert first == "row 1, token 0: ' yes' has p = 0.050, ' no' has 0.905"


def test_a_larger_rank_follows_from_the_bits():
    low, high = RECALLED_BITS
    needed = 100 * 4 / math.log(2) / 100
    remedy = judge(case(5, parameters=100)).remedies[0]
    assert remedy == f"take rank {math.ceil(4 * needed / high)} to {math.ceil(4 * needed / low)} in the same modules"


def test_another_base_that_was_given_is_named():
    verdict = judge(case(10, nll=9.0, named_base="org/base"))
    assert "org/base" in verdict.evidence[-1]


def test_pairs_have_verdicts_of_their_own():
    few = case(1)
    kinds = judge_pairs(few.pairs, few.tokens, judge(few))["verdict"]
    assert list(kinds) == ["nearly"] * 5 + ["recalled"] * 5
    many = case(5, parameters=100)
    kinds = judge_pairs(many.pairs, many.tokens, judge(many))["verdict"]
    assert list(kinds) == ["capacity"] * 5 + ["recalled"] * 5
    unlike = case(0, exact=False)
    assert set(judge_pairs(unlike.pairs, unlike.tokens, judge(unlike))["verdict"]) == {"numerics"}


def test_the_base_alone_is_no_adapter():
    assert untouched(case(5).pairs).kind == "untouched"


def test_the_bits_that_adapters_recall_are_those_of_the_kept_rows():
    rows = load_studies([ROOT / "docs" / "experiments" / "horizon.parquet"])
    rows = rows.assign(bits=rows["seq_len"] * rows["base_loss_nats"] / math.log(2) / rows["trainable_parameters"])
    whole = rows[rows["recall_exact_share"] == 1].groupby("lora.rank")["bits"].max()
    low, high = RECALLED_BITS
    assert abs(whole.min() - low) < 0.1
    assert abs(whole.max() - high) < 0.1
    assert closed(brackets(rows)).any()


def test_losses_that_are_no_numbers_are_told():
    broken = case(5)
    nan = dataclasses.replace(broken, tokens=broken.tokens.assign(nll=math.nan))
    verdict = judge(nan)
    assert (verdict.kind, "not finite" in verdict.text) == ("base", True)


def test_what_makes_full_recall_impossible_stands_beside_the_verdict():
    verdict = judge(case(5, parameters=100, contradictions=2, named_base="org/base"))
    assert any(line.startswith("2 pairs with the query of an earlier one") for line in verdict.evidence)
    assert any("org/base" in line for line in verdict.evidence)


def test_pairs_of_the_base_alone_are_untouched():
    alone = case(5)
    assert set(judge_pairs(alone.pairs, alone.tokens, untouched(alone.pairs))["verdict"]) == {"untouched"}
