"""The benchmark runs end to end on a tiny model, and its gates notice other work."""

import json
import subprocess
from pathlib import Path

import pytest
from helpers.checkout import ROOT
from helpers.processes import python

HERE = ROOT / "benchmarks"


def report(raw: Path) -> subprocess.CompletedProcess[str]:
    return python(HERE / "report.py", raw)


@pytest.mark.slow
def test_the_benchmark_runs_and_its_gates_notice_other_work(tmp_path: Path):
    raw = tmp_path / "bench.jsonl"
    short = ["--grid", "tiny", "--rounds", "1", "--steps", "6", "--short-steps", "4"]
    done = python(HERE / "run.py", *short, "--precision", "fp32", "--out", raw)
    assert done.returncode == 0, done.stderr
    good = report(raw)
    assert good.returncode == 0, good.stdout + good.stderr
    assert good.stdout.count("| yes |") == 7
    records = [json.loads(line) for line in raw.read_text().splitlines()]
    for record in records[1:]:
        if record["arm"] == "D":
            record["p"][0] += 0.01
    raw.write_text("\n".join(map(json.dumps, records)))
    bad = report(raw)
    assert bad.returncode == 1
    assert bad.stdout.count("| NO |") == 2
    assert "the arms did not do the same work" in bad.stderr
