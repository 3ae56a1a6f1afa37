"""What a verification leaves on disk: the files of its directory, and the meaning of their columns.

`memlaw.verify` writes them, `memlaw_analysis.verification` shows them.

    verification.json     what was judged: base model, data, prompt, and for each adapter its size, summary and verdict
    pairs.parquet         a row per adapter and pair
    tokens.parquet        a row per adapter, pair and target token
    verification.html     the page
"""

from dataclasses import dataclass
from pathlib import Path

BASE = "none"
"""Name of the base model without an adapter, among the names of adapters."""

VERDICTS = {
    "recalled": "every token has p > 0.5 and greedy decoding brings the text back",
    "nearly": "a few stubborn tokens are left",
    "template": "recalled when the query is put in another way",
    "numerics": "recalled when computed in another way: another dtype, unmerged, one row at a time",
    "base": "less probable with the adapter than without: another base model, other data, or training diverged",
    "capacity": "as many bits per parameter as adapters are known to hold: a larger one is needed",
    "training": "far from full: more steps, or another learning rate",
    "training or capacity": "the rules cannot tell these two apart here",
    "untouched": "the base model alone, which nothing was stored in",
}
"""Kinds of verdicts of a pair or of an adapter → what they mean."""

PAIR_COLUMNS = {
    "adapter": "name of the adapter; `none` is the base model",
    "pair": "number of the pair, from 0",
    "row": "number of its row in the file, from 1",
    "query": "text of the query, all turns",
    "target": "text of the target",
    "tokens": "number of target tokens",
    "base_nats": "sum of the base model's NLL over the target, nats: what is to be stored",
    "nats": "the same with the adapter",
    "base_bits": "`base_nats` in bits",
    "stored_bits": "`base_nats` − `nats`, in bits",
    "min_p": "probability of the least probable target token",
    "stubborn": "number of target tokens with p ≤ 0.5",
    "first_stubborn": "position of the first token with p ≤ 0.5; null: none",
    "first_wrong": "first position where another token is more probable; null: none",
    "base_first_wrong": "the same for the base model: the control",
    "exact": "whether greedy decoding writes the target; null: not decoded",
    "matched_prefix": "tokens that greedy decoding writes before the first wrong one; null: not decoded",
    "verdict": "a key of `VERDICTS`",
    "evidence": "what the verdict rests on, in words",
}

TOKEN_COLUMNS = {
    "adapter": "name of the adapter; `none` is the base model",
    "pair": "number of the pair, from 0",
    "position": "position in the target, from 0",
    "token_id": "id of the target token",
    "token": "its text",
    "base_nll": "the base model's NLL, nats",
    "nll": "NLL with the adapter, nats; p = exp(−nll)",
    "argmax_id": "id of the most probable token",
    "argmax": "its text",
    "argmax_nll": "its NLL, nats",
}


@dataclass(frozen=True)
class VerificationPaths:
    """The files of a verification's directory."""

    directory: Path

    @property
    def record(self) -> Path:
        """What was judged, and the verdicts."""
        return self.directory / "verification.json"

    @property
    def pairs(self) -> Path:
        """A row per adapter and pair."""
        return self.directory / "pairs.parquet"

    @property
    def tokens(self) -> Path:
        """A row per adapter, pair and target token."""
        return self.directory / "tokens.parquet"

    @property
    def page(self) -> Path:
        """The page."""
        return self.directory / "verification.html"

    @property
    def scored(self) -> Path:
        """Batches scored so far, with which an interrupted verification goes on."""
        return self.directory / "scored"
