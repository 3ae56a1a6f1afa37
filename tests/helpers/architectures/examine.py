"""One architecture through all that memlaw does with a model, held against plain transformers and PEFT."""

import json
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from hydra.utils import instantiate
from omegaconf import DictConfig, OmegaConf
from peft import PeftModel
from torch import nn

from helpers.architectures.sizes import tiny_sizes
from helpers.configs import composed
from memlaw.core.errors import ConfigError
from memlaw.data.memory import Memory
from memlaw.models.base import without_weights
from memlaw.models.random_weights import RandomModel
from memlaw.planning.cells import compose_cell
from memlaw.planning.machine import Machine
from memlaw.planning.make_plan import make_plan
from memlaw.study.cell import Cell
from memlaw.study.records import read_tokens
from memlaw.study.status import DONE
from memlaw.training.pack import train_pack

LARGEST = 20_000_000
"""Parameters of what still counts as tiny."""
RANKS = (1, 4)
OVERRIDES = (
    "data=phonebook", "data.chat_template=off", "seq_len=30", "steps=30", "batch_size=2", "lora.layers=[-1]",
    "stop.when_recalled=false", "precision=fp32", "logger.mode=disabled", "trainer.device=cpu", "model=random",
)  # fmt: skip
COLUMNS = ("architecture", "what becomes of it", "the default adapts", "prefix cached", "recall decodes")


@dataclass(frozen=True)
class Row:
    """What became of an architecture.

    Attributes:
        model_type: as in `config.json`.
        verdict: trains; refused, with the reason; or not built.
        adapted: what `lora.target_modules=auto` adapts in the last layer.
        prefix, recall: the columns `prefix_cached` and `recall_decoding` of `result.json`.
    """

    model_type: str
    verdict: str
    adapted: str = ""
    prefix: str = ""
    recall: str = ""


def examine(model_type: str, runs: Path) -> Row:
    """Train a pack of two cells, of several rows of different lengths, and hold what it leaves against a reference.

    Raises:
        AssertionError: it trained to wrong numbers.
    """
    try:
        source = RandomModel(model_type, model_type, tiny_sizes(model_type))
        parameters = without_weights(source.config()).num_parameters()
    except Exception as error:  # sizes that do not fit, packages that are not there
        kind = "refused" if "encoder-decoder" in str(error) else "not built"
        return Row(model_type, f"{kind}: {_short(error)}")
    if parameters > LARGEST:
        return Row(model_type, "not built: it wraps a text model that has a row of its own, or is too large when tiny")
    cells, cfg = _cells(source, runs)
    try:
        make_plan(cells, cfg, Machine.here("cpu", workers=1))
    except ConfigError as error:
        return Row(model_type, f"refused: {_short(error)}")
    for cell in cells:
        cell.plan()
    train_pack(cells, cfg)
    if any(cell.state != DONE for cell in cells):
        return Row(model_type, f"refused when training starts: {cells[0].status.cause}")
    for cell in cells:
        _hold_against_reference(source, cell)
    result = _result(cells[0])
    adapted = ", ".join(f"`{name}`" for name in json.loads(result["adapted_modules"]))
    return Row(model_type, "trains", adapted, result["prefix_cached"], result["recall_decoding"])


def _cells(source: RandomModel, runs: Path) -> tuple[list[Cell], DictConfig]:
    cells = []
    for rank in RANKS:
        cfg = composed(*OVERRIDES, f"lora.rank={rank}", f"runs_dir={runs}")
        cfg.model.name = cfg.model.model_type = source.model_type
        cfg.model.sizes = OmegaConf.create(dict(source.sizes))
        cells.append(compose_cell(cfg))
    return cells, cfg


def _result(cell: Cell) -> dict:
    return json.loads(cell.paths.result.read_text(encoding="utf-8"))


def _hold_against_reference(source: RandomModel, cell: Cell) -> None:
    base = source.load(torch.float32, torch.device("cpu"))
    memory: Memory = instantiate(cell.config.data, _convert_="all").build(base.tokenizer, cell.config.seq_len, 0)
    tokens = read_tokens(cell.paths.tokens)
    last = tokens[tokens["step"] == tokens["step"].max()]
    _alike(last["base_nll"], _nll(base.model, memory), "base")
    adapted = PeftModel.from_pretrained(base.model, str(cell.paths.adapter))
    _alike(last["nll"], _nll(adapted, memory), "PEFT")
    assert (last["base_nll"] - last["nll"]).mean() > 0.1, "nothing learned"
    result = _result(cell)
    assert result["recall_unlike_predicted"] == 0, "recall is not what teacher forcing predicts"
    assert result["recall_order_violations"] == 0, "recall breaks off at a token with p > 0.5"


@torch.no_grad()
def _nll(model: nn.Module, memory: Memory) -> np.ndarray:
    """Losses of all target tokens by the model's own logits, a pair at a time, without padding."""
    losses = []
    for pair in memory.pairs:
        ids_1T = torch.tensor([[*pair.query_ids, *pair.target_ids]])
        logits_TV = model(input_ids=ids_1T, use_cache=False).logits[0].double()
        before = slice(len(pair.query_ids) - 1, -1)
        losses.append(nn.functional.cross_entropy(logits_TV[before], torch.tensor(pair.target_ids), reduction="none"))
    return torch.cat(losses).numpy()


def _alike(ours: np.ndarray, reference: np.ndarray, what: str) -> None:
    np.testing.assert_allclose(ours, reference, atol=5e-3, rtol=2e-3, err_msg=what)  # recurrent ones amplify rounding


def _short(error: Exception) -> str:
    """The part of a message that does not list what a model has."""
    return str(error).split(" Its layers have:")[0].split("\n")[0].removeprefix("model: ")
