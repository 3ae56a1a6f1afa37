"""The section with the texts of cells, coloured by the probability of each token."""

import pandas as pd

from memlaw_analysis.findings import Findings, Tokens
from memlaw_analysis.pages.text import Text, stubborn_texts
from memlaw_analysis.report.section import INFO, MISSING, Section
from memlaw_analysis.tables.tokens import NoTokens, token_texts

CELLS, PAIRS, TOKENS = 3, 5, 1500
"""Cells shown, and pairs and tokens shown of each, at most."""

RULE = (
    f"The cells nearest to recall that do not reach it: of those with a token of p ≤ 0.5, the {CELLS} with the largest "
    f"share of tokens with p > 0.5. Of each, the {PAIRS} pairs with the least probable tokens, and at most {TOKENS} "
    "tokens. All are in the cell's tokens.parquet."
)


def texts_sections(findings: Findings, tokens: Tokens) -> list[Section]:
    """Show the texts of the cells nearest to recall; no section where no cell has texts on disk."""
    nearest = _nearest(findings.cells, tokens.last)
    try:
        texts = dict(token_texts(nearest.head(CELLS)))
    except NoTokens as error:
        return [Section("texts", "Texts, token by token", notes=((MISSING, str(error)),))]
    if not texts:
        return []
    shown: list[Text] = []
    notes = [(INFO, RULE)]
    for cell in nearest.head(CELLS).itertuples():
        rows = tokens.last[tokens.last["cell"] == cell.cell]
        rows = rows.assign(
            token=rows["token_id"].map(texts.get(cell.cell, {})), argmax=rows["argmax_id"].map(texts.get(cell.cell, {}))
        )
        headings = {pair: f"{cell.cell}, pair {pair}" for pair in rows["pair"].unique()}
        of_cell, left_out = stubborn_texts(rows, headings, PAIRS, TOKENS)
        shown += of_cell
        if left_out:
            notes.append((INFO, f"{cell.cell}: {left_out} of {len(headings)} pairs are not shown."))
    return [Section("texts", "Texts, token by token", notes=tuple(notes), texts=tuple(shown))]


def _nearest(cells: pd.DataFrame, last: pd.DataFrame) -> pd.DataFrame:
    """Order the cells that have a token with p ≤ 0.5 by their share of tokens with p > 0.5, the largest first."""
    share = (last["p"] > 0.5).groupby(last["cell"]).mean()
    stubborn = share[share < 1].sort_values(ascending=False, kind="stable")
    return cells.set_index("cell", drop=False).loc[stubborn.index].reset_index(drop=True)
