"""What the terminal says of a condition: one line per thing that a reader asks first."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from helpers.studies import write_study
from memlaw_analysis.findings import Findings
from memlaw_analysis.recall.methods import compare_methods
from memlaw_analysis.report.section import CAUTION, COMMAND, MISSING, PROBLEM, Section
from memlaw_analysis.report.study_parts import condition_findings
from memlaw_analysis.report.summary import findings_summary, methods_summary
from memlaw_analysis.tables.studies import load_studies


@pytest.fixture(scope="module")
def findings(tmp_path_factory) -> Findings:
    (findings,) = condition_findings(load_studies([write_study(tmp_path_factory.mktemp("study"))]), with_tokens=True)
    return findings


def texts(findings: Findings, *sections: Section, study: Path | None = None) -> dict[str, str]:
    """Topic → its text; lines without a topic belong to the one above."""
    shown: dict[str, str] = {}
    topic = ""
    for line in findings_summary(findings, sections, study):
        topic = line.topic or topic
        shown[topic] = f"{shown.get(topic, '')}{line.text}|"
    return shown


def test_law_exponents_rivals_capacity_theorem_and_recall_have_a_line_each(findings):
    shown = texts(findings)
    assert list(shown) == ["law", "κ = α/β", "unseen cells", "capacity", "p > 0.5", "recall"]
    law = findings.law.fit
    assert shown["law"].startswith(f"ΔL = {law.form.formula} on {len(law.used)} unsaturated cells|")
    assert f"R² = {law.r_squared:.3f}, mean error {law.mean_relative_error:.1%} of ΔL" in shown["law"]
    assert shown["κ = α/β"].startswith("1.17")
    assert shown["p > 0.5"] == "holds: all 18 tokens with p > 0.5, of 36, are the argmax|"
    assert shown["recall"] == "0 of 9 cells are recalled verbatim|"


def test_both_counts_of_parameters_have_a_level_where_they_are_known(findings):
    assert findings.effective_capacity is None
    level = replace(findings.capacity, best=1.5, slope_interval=(0.5, 0.6))
    known = replace(
        level, parameter="effective parameter", slope_interval=(0.0, 0.1), plateau=2.5, plateau_interval=(2, 3)
    )
    assert texts(replace(findings, capacity=level, effective_capacity=known))["capacity"] == (
        "at least 1.50 bits per trainable parameter; no plateau yet|"
        "2.50 bits per effective parameter (95 %: 2.00 to 3.00), a plateau|"
    )


def test_a_violated_theorem_is_a_problem(findings):
    last = findings.tokens.last.copy()
    last.loc[last["p"].idxmax(), "argmax_id"] = -1
    broken = replace(findings, tokens=replace(findings.tokens, last=last))
    (line,) = [line for line in findings_summary(broken, [], None) if line.topic == "p > 0.5"]
    assert (line.kind, line.text) == (PROBLEM, "violated: 1 of 18 tokens with p > 0.5 are not the argmax")


def test_what_is_missing_says_why(findings):
    missing = {"law": "too few cells", "capacity": "no sizes", "tokens": "no tables"}
    bare = replace(findings, law=None, rivals=None, capacity=None, tokens=None, missing=missing)
    assert [(line.topic, line.text, line.kind) for line in findings_summary(bare, [], None)] == [
        ("law", "none: too few cells", MISSING),
        ("p > 0.5", "not checked: no tables", MISSING),
    ]


def test_cautions_beyond_two_are_counted(findings):
    notes = tuple((CAUTION, f"caution {number}") for number in range(4))
    shown = texts(findings, Section("capacity", "", notes=((CAUTION, "said above"),)), Section("law", "", notes=notes))
    assert shown["caution"] == "caution 0|caution 1|and 2 more on the page|"


def test_a_study_gets_the_command_to_run_next(findings, tmp_path: Path):
    lines = [line for line in findings_summary(findings, [], tmp_path / "study") if line.topic == "run next"]
    assert [line.kind for line in lines] == [COMMAND]
    assert lines[0].text.startswith("python -m memlaw.train -m study=study")


def test_methods_that_differ_by_chance_alone_are_not_ranked():
    rng = np.random.default_rng(0)
    rows = [
        {"cell": f"{method}{seed}", "method.name": method, "model.name": "m", "data.name": "d", "target_tokens": 64,
         "lora.rank": 2, "seed": seed, "loss_nats": rng.normal() + shift, "recalled_share": 0.1}
        for seed in range(4) for method, shift in (("sft", 0), ("memft_ot", 0))
    ]  # fmt: skip
    table = pd.DataFrame(rows)
    (line,) = methods_summary(compare_methods(table, pd.DataFrame(), "", ""))
    assert line.text == "no difference that is larger than chance between seeds"
    better = table.assign(loss_nats=table["seed"] + 0.01 * rng.normal(size=8) + 2.0 * (table["method.name"] == "sft"))
    (line,) = methods_summary(compare_methods(better, pd.DataFrame(), "", ""))
    assert line.text.startswith("final loss L: memft_ot beats sft by 1.99 nats (1.98 to ")


def test_where_the_law_has_the_size_of_the_model_its_own_error_is_told(findings):
    law = replace(findings.law, fit=replace(findings.law.fit, form=replace(findings.law.fit.form, name="power_model")))
    rivals = pd.DataFrame({"form": ["saturating_model", "power_model", "power"], "error": [0.02, 0.021, 0.092]})
    assert texts(replace(findings, law=law, rivals=rivals))["unseen cells"] == (
        "saturating_model predicts them best, off by 2.0% of ΔL; the law is off by 2.1%|"
    )
    best = texts(replace(findings, law=law, rivals=rivals.iloc[1:]))["unseen cells"]
    assert best == "the law predicts them best, off by 2.1% of ΔL|"
