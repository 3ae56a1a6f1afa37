from helpers.models import random_base
from helpers.packs import COMMON, LONG, make_cells

from memlaw.models.random_weights import byte_tokenizer
from memlaw.training.pack import train_pack


def test_a_memory_that_cannot_be_built_fails_its_cell_alone(tiny, tmp_path):
    path = tmp_path / "short.txt"
    path.write_text("short")
    short = ("data=text", f"data.path={path}", *COMMON)
    (bad, good), cfg = make_cells(tiny, [short, LONG])
    bad.plan(), good.plan()
    train_pack([bad, good], cfg)
    assert (bad.state, good.state) == ("failed", "done")
    assert "longer than the text, which has 5 tokens" in bad.status.cause


def test_a_target_that_fits_only_without_its_query_fails_with_the_reason(tiny):
    cells, cfg = make_cells(tiny, [(*LONG, "seq_len=2040")])
    cells[0].plan()
    train_pack(cells, cfg)
    assert cells[0].state == "failed"
    assert "query and target take 2066 tokens; random_llama_h64 has 2048 positions" in cells[0].status.cause


def test_a_token_that_the_model_does_not_know_fails_its_cells_by_name(tiny, tmp_path):
    base = random_base(vocab_size=300)
    base.tokenizer.add_tokens(["<added>"])
    base.tokenizer.chat_template = "[user]{{ messages[0].content }}"
    base.model.save_pretrained(tmp_path / "mine")
    base.tokenizer.save_pretrained(tmp_path / "mine")
    (tmp_path / "a.txt").write_text("a text with an <added> token, " * 3)
    model = ("model=local", f"model.path={tmp_path}/mine", "model.name=mine", *COMMON)
    text = (*model, "data=text", f"data.path={tmp_path}/a.txt")
    cells, cfg = make_cells(tiny, [text, (*model, "data.query='<added>?'"), (*model, "data.random_ratio=1.0")])
    for cell in cells:
        cell.plan()
    train_pack(cells, cfg)
    assert [cell.state for cell in cells] == ["failed", "failed", "done"]
    unknown = "of pair 1 has the token '<added>' with id 300, and the model has only ids below 300; leave it out"
    assert cells[0].status.cause == f"data: the target {unknown}"
    assert cells[1].status.cause == f"data: the query {unknown} or set data.chat_template=off"


def test_a_tokenizer_larger_than_the_model_draws_what_the_model_knows(tiny, tmp_path):
    base = random_base(vocab_size=300)
    base.model.save_pretrained(tmp_path / "mine")
    byte_tokenizer(5000).save_pretrained(tmp_path / "mine")
    model = ("model=local", f"model.path={tmp_path}/mine", "model.name=mine")
    cells, cfg = make_cells(tiny, [(*LONG, *model)])
    cells[0].plan()
    train_pack(cells, cfg)
    assert cells[0].state == "done"
