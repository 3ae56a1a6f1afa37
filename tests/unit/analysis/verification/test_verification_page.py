"""The page of a verification: everything escaped, nothing loaded, the most stubborn first, and what is left out."""

import re
from html.parser import HTMLParser
from pathlib import Path

import pandas as pd
import pytest
from helpers.verifications import write_verification
from memlaw_analysis.verification import page as page_module
from memlaw_analysis.verification import tables
from memlaw_analysis.verification.page import write_page
from memlaw_analysis.verification.record import load_verification
from memlaw_analysis.verification.tables import pairs_table

from memlaw.core.errors import ConfigError
from memlaw.study.verification import BASE, VerificationPaths

TAGS = {
    "html", "head", "meta", "title", "style", "body", "h1", "h2", "h3", "p", "nav", "a", "section", "ul", "li", "div",
    "table", "thead", "tbody", "tr", "th", "td", "button", "span", "dl", "dt", "dd", "figure", "figcaption", "script",
    "svg", "g", "path", "defs", "use", "clippath", "rect", "metadata", "rdf:rdf", "cc:work", "dc:type", "dc:format",
    "dc:creator", "cc:agent", "dc:title",
}  # fmt: skip
"""Elements of a page: those of its template and those of matplotlib's SVG."""


class Elements(HTMLParser):
    """Collects the elements and attributes of a page."""

    def __init__(self, text: str):
        super().__init__()
        self.found: list[tuple[str, dict[str, str | None]]] = []
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.found.append((tag, dict(attrs)))


@pytest.fixture(scope="module")
def directory(tmp_path_factory) -> Path:
    return write_verification(tmp_path_factory.mktemp("verified"))


@pytest.fixture(scope="module")
def written(directory: Path) -> str:
    path = write_page(directory)
    assert path == VerificationPaths(directory).page
    return path.read_text(encoding="utf-8")


def test_texts_add_no_element_and_no_control_character(written: str):
    found = Elements(written).found
    assert {tag for tag, _ in found} <= TAGS
    assert sum(tag == "script" for tag, _ in found) == 1
    assert not any(name.startswith("on") for _, attributes in found for name in attributes)
    assert "&lt;b&gt;x&lt;/b&gt;" in written
    assert "&amp;amp;" in written
    assert not re.search("[\x00-\x08\x0b-\x1f\u202a-\u202e]", written)


def test_nothing_is_loaded(written: str):
    found = Elements(written).found
    sources = {
        name: value for _, attributes in found for name, value in attributes.items() if name in {"src", "srcset"}
    }
    links = [value for _, attributes in found for name, value in attributes.items() if name.endswith("href")]
    assert sources == {}
    assert all(link and link.startswith("#") for link in links)
    assert not re.search(r"url\((?!#)|@import|<link", written)


def test_the_page_says_verdict_evidence_remedies_probes_and_what_was_judged(written: str):
    for words in (
        "good: nearly", "A few &lt;stubborn&gt; tokens are left.", "1 % of the tokens have p ≤ 0.5",
        "train 200 more steps", "without system turn", "python -m memlaw.verify --adapter good",
        "<dt>nearly</dt><dd>a few stubborn tokens are left</dd>",
    ):  # fmt: skip
        assert words in written
    assert written.count("<svg") == 2


def test_without_probes_there_is_no_table_of_probes(tmp_path: Path):
    assert 'id="probes"' not in write_page(write_verification(tmp_path, probes=False)).read_text(encoding="utf-8")


def test_pairs_are_ordered_by_their_smallest_p_and_the_base_model_has_none_beside_adapters(directory: Path):
    rows = pairs_table(load_verification(directory))
    assert rows["smallest p"].is_monotonic_increasing
    assert rows["pair"].iloc[0] == 0
    assert set(rows["adapter"]) == {"good"}
    assert list(rows["decoded exactly"].iloc[[0, -1]]) == ["no", "yes"]


def test_the_base_model_alone_is_shown(tmp_path: Path):
    verification = load_verification(write_verification(tmp_path, adapters=(BASE,)))
    assert set(pairs_table(verification)["adapter"]) == {BASE}
    assert f"<h3>{BASE}</h3>" in write_page(tmp_path).read_text(encoding="utf-8")


def test_what_is_left_out_is_counted_and_its_place_named(tmp_path: Path, monkeypatch):
    monkeypatch.setattr(page_module, "MOST_TEXTS", 2)
    monkeypatch.setattr(tables, "MOST_PAIRS", 3)
    text = write_page(write_verification(tmp_path, pairs=7)).read_text(encoding="utf-8")
    assert text.count('<p class="tokens">') == 2
    assert "The 2 most stubborn pairs of 7. The other 5 are in tokens.parquet." in text
    assert "3 rows are shown; the other 4 are in pairs.parquet." in text


def test_one_long_text_is_drawn(tmp_path: Path):
    write_page(write_verification(tmp_path, pairs=1, length=250, adapters=("$one", "_two")))


def test_a_missing_damaged_or_foreign_file_is_named(tmp_path: Path):
    paths = VerificationPaths(tmp_path)
    with pytest.raises(ConfigError, match=r"verification\.json cannot be read"):
        load_verification(tmp_path)
    write_verification(tmp_path)
    paths.tokens.write_bytes(b"half a table")
    with pytest.raises(ConfigError, match=r"tokens\.parquet cannot be read"):
        load_verification(tmp_path)
    pd.DataFrame({"pair": [0]}).to_parquet(paths.pairs)
    with pytest.raises(ConfigError, match=r"pairs\.parquet lacks the columns adapter, row"):
        load_verification(tmp_path)
