"""The Python interface, on the study that the documentation reports."""

import json
from pathlib import Path

import pandas as pd
import pytest
from helpers.checkout import ROOT
from helpers.processes import python
from helpers.studies import write_study
from helpers.synthetic import TRUTH, synthetic
from memlaw_analysis import api
from memlaw_analysis.advice.link import NoAdvice
from memlaw_analysis.law.enough import TooFewCells
from memlaw_analysis.law.saturation import NONE
from memlaw_analysis.study import NoCondition, Study
from memlaw_analysis.tables.studies import NoCells

KEPT = ROOT / "docs/study/smollm2"


@pytest.fixture(scope="module")
def kept() -> Study:
    return api.load_study(KEPT)


@pytest.fixture(scope="module")
def largest(kept: Study) -> str:
    """Name of the condition of most cells."""
    return max(kept.conditions, key=lambda name: len(kept.conditions[name]))


def test_importing_the_package_imports_nothing_heavy():
    code = (
        "import sys, memlaw; light = not {'torch', 'pandas', 'numpy', 'memlaw_analysis'} & set(sys.modules)\n"
        "from memlaw import advise, fit, load_study\n"
        "assert light and callable(load_study) and callable(fit) and callable(advise)\n"
        "assert 'torch' not in sys.modules and 'load_study' in dir(memlaw)"
    )
    done = python("-c", code)
    assert done.returncode == 0, done.stderr


def test_every_exported_name_exists_and_no_other():
    code = (
        "import memlaw\n"
        "for name in memlaw.__all__: assert getattr(memlaw, name)\n"
        "try: memlaw.nothing\n"
        "except AttributeError as error: assert 'nothing' in str(error)\n"
        "else: raise SystemExit('no error')"
    )
    done = python("-c", code)
    assert done.returncode == 0, done.stderr


def test_a_study_tells_what_it_holds(kept: Study, largest: str):
    assert len(kept.cells) == sum(map(len, kept.conditions.values())) == 76
    assert f"{KEPT}: 76 finished cells" in repr(kept)
    assert f"{largest}: 54 cells, ranks 1 2 4 8 16 32, lengths 64 128 256 512 1024, seeds 0 1 2" in repr(kept)
    first = kept.cells.head(1)
    tokens = kept.tokens(first)
    assert tokens["cell"].unique().tolist() == first["cell"].tolist()
    assert tokens["step"].nunique() > 1


def test_a_fit_has_the_numbers_of_the_report(kept: Study, largest: str):
    reports = [json.loads(path.read_text()) for path in KEPT.glob("report/*/law.json")]
    (law,) = [report for report in reports if report["cells"] == 54]
    fit = api.fit(kept, condition=largest)
    for name, (value, stderr) in fit.parameters.items():
        assert value == pytest.approx(law["parameters"][name]["value"], rel=1e-6)
        assert stderr == pytest.approx(law["parameters"][name]["stderr"], rel=1e-4)
    assert fit.r_squared == pytest.approx(law["r_squared"], rel=1e-9)
    assert api.fit(kept, condition=largest) is fit
    saturating = api.fit(kept, "saturating", condition=largest)
    assert saturating.values == pytest.approx(law["saturating"], rel=1e-6)
    kappa = law["alpha_over_beta"]["value"]
    assert f"15 cells; 39 left out (ΔL ≥ 0.85·L0)\n  C        {fit.values['C']:.4g} ± " in fit.summary
    assert f"α/β      {kappa:.4g}\n  R² = {law['r_squared']:.4f} on ΔL, mean error 2.0% of ΔL" in fit.summary
    assert repr(fit).startswith("LawFit(power: C=171, alpha=0.88, beta=0.697, b=1.56; 15 cells, R²=0.9952")


def test_advice_is_what_the_command_prints(kept: Study, largest: str):
    advice = api.advise(kept, tokens=500, delta_loss=10, condition=largest)
    done = python("-m", "memlaw_analysis.commands.advise", KEPT, "--tokens", 500, "--delta-loss", 10)
    assert done.returncode == 0, done.stderr
    assert "\n".join([f"{largest}:", *advice.sentences()]) in done.stdout
    assert advice.low < advice.value < advice.high


def test_a_table_is_as_good_as_a_study():
    fit = api.fit(synthetic())
    assert fit.values == pytest.approx(TRUTH, rel=0.01)
    assert len(api.fit(synthetic(), rule=NONE).excluded) == 0
    assert api.advise(synthetic(noise=0.02), tokens=512, delta_loss=6).extrapolation == 1


def test_several_conditions_are_never_mixed(tmp_path: Path):
    study = api.load_study(write_study(tmp_path, models=("small", "large")))
    assert list(study.conditions) == ["model.name=large", "model.name=small"]
    for call in (lambda: api.fit(study), lambda: api.fit(study.cells), lambda: api.advise(study, tokens=9)):
        with pytest.raises(NoCondition, match=r"2 conditions, name one of them: 'model\.name=large'"):
            call()
    with pytest.raises(NoCondition, match="none is 'mine'"):
        api.fit(study, condition="mine")
    assert len(api.fit(study, condition="model.name=small").used) > 0


def test_what_cannot_be_answered_says_why(tmp_path: Path):
    with pytest.raises(NoCells, match="holds no finished cell; train some with"):
        api.load_study(tmp_path)
    with pytest.raises(NoCells, match="the table has no column target_tokens"):
        api.fit(synthetic().drop(columns="target_tokens"))
    with pytest.raises(NoCells, match="the table has no row"):
        api.fit(synthetic().head(0))
    with pytest.raises(ValueError, match="no form 'powr'; there are power, "):
        api.fit(synthetic(), "powr")
    with pytest.raises(TooFewCells, match="unsaturated cells over"):
        api.fit(synthetic().tail(3))
    with pytest.raises(NoAdvice, match="nothing was memorized"):
        api.advise(synthetic().assign(delta_loss_nats=0.0), tokens=100)
    with pytest.raises(ValueError, match="give tokens"):
        api.advise(pd.DataFrame())
