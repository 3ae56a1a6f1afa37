import pytest
from datasets import Dataset, DatasetDict

from memlaw.core.errors import ConfigError
from memlaw.data.prompt import Prompt
from memlaw.data.turns import TextPair
from memlaw.models.random_weights import byte_tokenizer
from memlaw.verification.material import Material, Where, read_material, tokenized

ROWS = [{"question": "Who?", "answer": "Ada"}]


def test_data_sets_are_read_as_files_are(tmp_path):
    data = Dataset.from_list(ROWS)
    data.save_to_disk(str(tmp_path / "saved"))
    DatasetDict(test=data).save_to_disk(str(tmp_path / "splits"))
    data.to_parquet(str(tmp_path / "rows.parquet"))
    data.to_csv(str(tmp_path / "rows.csv"))
    for where in (
        Where(str(tmp_path / "saved")),
        Where(str(tmp_path / "splits"), split="test"),
        Where(str(tmp_path / "rows.parquet")),
        Where(str(tmp_path / "rows.csv"), "question", "answer"),
    ):
        found = read_material(where)
        assert (found.pairs, found.query_from) == ((TextPair.of("Who?", "Ada"),), "question")


def test_a_text_needs_a_query(tmp_path):
    (tmp_path / "poem.txt").write_text("Roses")
    assert read_material(Where(str(tmp_path / "poem.txt"), query="Recite.")).pairs == (TextPair.of("Recite.", "Roses"),)
    with pytest.raises(ConfigError, match="a text without a query; give the query with --query"):
        read_material(Where(str(tmp_path / "poem.txt")))
    (tmp_path / "empty.txt").write_text("")
    with pytest.raises(ConfigError, match="is an empty file"):
        read_material(Where(str(tmp_path / "empty.txt"), query="Recite."))


def test_rows_that_contradict_each_other_are_counted():
    pairs = tuple(TextPair.of(*texts) for texts in (("a", "1"), ("b", "1"), ("a", "2"), ("a", "1")))
    assert Material(pairs, "", "").contradictions == 1


def test_what_is_missing_is_named(tmp_path):
    with pytest.raises(ConfigError, match="could not be loaded"):
        read_material(Where(str(tmp_path / "missing")))


@pytest.mark.parametrize(
    ("positions", "known", "said"),
    [
        (3, 512, "row 1: query and target take .* tokens; the model has 3 positions"),
        (99, 40, "row 1: token .* was added"),
    ],
)
def test_a_pair_that_the_model_cannot_take_is_named(positions: int, known: int, said: str):
    material = Material((TextPair.of("Who?", "Ada"),), "a", "b")
    with pytest.raises(ConfigError, match=said):
        tokenized(material, Prompt("off"), byte_tokenizer(512), positions, known)
