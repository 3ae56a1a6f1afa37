import json

from helpers.checkout import ROOT
from memlaw_analysis.experiments.published import KEPT_KAPPA

REPORT = ROOT / "docs/study/smollm2/report/data.random_ratio=1_steps=200/law.json"


def test_our_studys_numbers_are_those_of_its_report():
    record = json.loads(REPORT.read_text())
    assert round(record["alpha_over_beta"]["value"], 2) == KEPT_KAPPA.value
