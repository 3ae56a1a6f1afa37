"""The HTML page of a verification: one file, no network, opens from disk."""

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from memlaw.core.files import write_text
from memlaw.study.verification import VERDICTS, VerificationPaths
from memlaw_analysis.figures.drawing import svg
from memlaw_analysis.figures.verification import bits_by_position_figure, probabilities_figure
from memlaw_analysis.pages.template import render
from memlaw_analysis.pages.text import Text, stubborn_texts, visible_text
from memlaw_analysis.verification.record import VerificationRecord, load_verification
from memlaw_analysis.verification.tables import FORMATS, PAIR_FORMATS, adapters_table, pairs_table, probes_table

MOST_TEXTS, MOST_TOKENS = 50, 6000
"""Texts and their tokens shown of each adapter, at most: more make a page slow to open."""

_QUERY_CHARACTERS = 300


def write_page(directory: Path) -> Path:
    """Write the page of a verification beside its other files and return its path.

    Raises:
        ConfigError: see `load_verification`.
    """
    page = VerificationPaths(directory).page
    write_text(page, verification_page(load_verification(directory)))
    return page


def verification_page(verification: VerificationRecord) -> str:
    """Render the page of a verification."""
    record, pairs = verification.record, pairs_table(verification)
    adapters = record["adapters"]
    return render(
        Path(__file__).with_name("page.html"),
        title=f"memlaw verify: {Path(record['data']['path']).name}",
        subtitle=(
            f"{record['data']['pairs']} pairs, {record['data']['target_tokens']} target tokens; "
            f"base model {record['model']['name']}"
        ),
        adapters=adapters,
        summary=adapters_table(adapters),
        probes=probes_table(adapters),
        pairs=pairs,
        pairs_note=_pairs_note(len(verification.shown_pairs), len(pairs)),
        verdicts=[(kind, VERDICTS[kind]) for kind in VERDICTS if kind in set(pairs["verdict"])],
        texts=list(_texts(verification)),
        formats=FORMATS,
        pair_formats=PAIR_FORMATS,
        figures=_figures(verification),
        judged=list(_judged(record)),
    )


def _pairs_note(pairs: int, shown: int) -> str:
    left_out = "" if pairs == shown else f" {shown} rows are shown; the other {pairs - shown} are in pairs.parquet."
    return f"The most stubborn first: those with the smallest p.{left_out}"


def _texts(verification: VerificationRecord) -> Iterator[tuple[str, Sequence[Text], str]]:
    """Yield the name of each adapter, its most stubborn texts and a note on those left out."""
    for name in verification.shown:
        pairs = verification.pairs[verification.pairs["adapter"] == name]
        headings = {int(row.pair): _heading(row) for row in pairs.itertuples()}
        tokens = verification.tokens[verification.tokens["adapter"] == name]
        texts, left_out = stubborn_texts(tokens, headings, MOST_TEXTS, MOST_TOKENS)
        note = f"The {len(texts)} most stubborn pairs of {len(texts) + left_out}."
        yield name, texts, f"{note} The other {left_out} are in tokens.parquet." if left_out else note


def _heading(row: Any) -> str:
    query = visible_text(row.query[:_QUERY_CHARACTERS]) + ("…" if len(row.query) > _QUERY_CHARACTERS else "")
    return f"Pair {row.pair} (row {row.row}), {row.verdict}: {query}"


def _figures(verification: VerificationRecord) -> list[tuple[str, str]]:
    title = f"{verification.record['data']['pairs']} pairs"
    return [
        ("How many target tokens have which probability", svg(probabilities_figure(verification.tokens, title), "p")),
        (
            "Bits by position in the target, mean over pairs: what was to be stored, and what is still missing",
            svg(bits_by_position_figure(verification.tokens, title), "bits"),
        ),
    ]


def _judged(record: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    model, data = record["model"], record["data"]
    yield "Command", record["command"]
    yield "Created", f"{record['created']}, memlaw {record['version']}"
    yield "Base model", f"{model['name']}, {model['location']}, weights {model['fingerprint']}"
    yield "Computed in", f"{model['dtype']} on {model['device']}"
    yield "Data", data["path"]
    yield "Query", data["query_from"]
    yield "Target", data["target_from"]
    yield "Prompt", record["prompt"]
    for adapter in record["adapters"]:
        if adapter["path"]:
            yield f"Adapter {adapter['name']}", f"{adapter['path']}: {', '.join(adapter['adapted_modules'])}"
    yield "Beside this page", "verification.json, pairs.parquet and tokens.parquet hold every number"
