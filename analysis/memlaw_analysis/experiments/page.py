"""The pages of the experiments: Markdown, filled in from their outcomes. Templates are in `pages/`."""

from collections.abc import Mapping, Sequence
from pathlib import Path

import jinja2

from memlaw_analysis.experiments import published
from memlaw_analysis.experiments.experiment import Claim, Experiment, Outcome, Stance
from memlaw_analysis.experiments.grid import Coverage
from memlaw_analysis.experiments.markdown import number, table

INDEX = "README.md"

HEADINGS = {
    Stance.AGAINST: "Against the law, or against what was published or expected",
    Stance.OPEN: "Open",
    Stance.FOR: "In agreement",
}


def page(experiment: Experiment, outcome: Outcome, coverage: Coverage) -> str:
    """Render the page of an experiment."""
    return _render(
        f"{experiment.name}.md",
        experiment=experiment,
        claims=_by_stance(outcome.claims),
        n=outcome.numbers,
        tables={name: rows for name, rows in outcome.tables.items() if len(rows)},
        figure=outcome.figure is not None,
        coverage=coverage,
    )


def index(outcomes: Sequence[tuple[Experiment, Outcome, Coverage]]) -> str:
    """Render the index: all claims, those against first, then what was run."""
    claims = {
        stance: [
            (experiment, claim)
            for experiment, outcome, _ in outcomes
            for claim in outcome.claims
            if claim.stance is stance
        ]
        for stance in Stance
    }
    return _render(INDEX, claims=claims, outcomes=outcomes)


def _by_stance(claims: Sequence[Claim]) -> Mapping[Stance, list[Claim]]:
    return {stance: [claim for claim in claims if claim.stance is stance] for stance in Stance}


def _render(template: str, **values: object) -> str:
    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(Path(__file__).parent / "pages"),
        autoescape=False,  # Markdown
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
        undefined=jinja2.StrictUndefined,
    )
    environment.filters |= {"table": table, "number": number}
    return environment.get_template(template).render(headings=HEADINGS, published=published, **values)
