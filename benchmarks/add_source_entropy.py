"""Add what is stored beyond the source to kept cells that were trained without it.

`python benchmarks/add_source_entropy.py STUDY` completes the results in `STUDY/cells.zip`. It builds the memory of each
cell again and takes its entropy only where the fingerprint is the recorded one. All other files keep every byte.
"""

import argparse
import json
import logging
import zipfile
from collections.abc import Sequence
from functools import cache
from pathlib import Path
from typing import Any

import torch
import yaml

from memlaw.config.compose import compose_config
from memlaw.config.instantiation import instantiate_checked
from memlaw.core.errors import ConfigError
from memlaw.core.files import atomic_path
from memlaw.models.base import BaseModel
from memlaw.planning.cells import compose_cell
from memlaw.planning.resolved import resolve
from memlaw.study.kept_cells import KEPT
from memlaw.study.unintended_memorization import unintended_memorization
from memlaw.training.prepare import build_memory

log = logging.getLogger(__name__)


@cache
def base_of(model: str) -> BaseModel:
    """Load a base model by the name of its option."""
    return instantiate_checked(compose_config([f"model={model}"]).model).load(torch.float32, torch.device("cpu"))


@cache
def source_entropy(model: str, words: tuple[str, ...], fingerprint: str) -> float | None:
    """Build a memory again and return the entropy of its source; None where it is another memory now."""
    memory = build_memory(resolve(compose_cell(compose_config([f"model={model}", *words]))), base_of(model))
    return memory.source_entropy_nats if memory.fingerprint == fingerprint else None


def completed(row: dict[str, Any], config: dict[str, Any]) -> dict[str, Any]:
    """Add the columns to a result whose memory can be built again and comes from a source of known entropy."""
    data = {key: value for key, value in config["data"].items() if key != "name"}
    words = (
        f"data={config['data']['name']}",
        *(f"data.{key}={json.dumps(value)}" for key, value in sorted(data.items())),
        *(f"{key}={config[key]}" for key in ("seq_len", "seed")),
    )
    try:
        entropy = source_entropy(config["model"]["name"], words, row["data_fingerprint"])
    except ConfigError as error:
        log.warning("%s keeps its columns: %s", row["cell"], error)
        return row
    if entropy is None:
        return row
    return row | unintended_memorization(entropy, row["loss_nats"], row["target_tokens"], row["trainable_parameters"])


def complete(file: Path) -> tuple[int, int]:
    """Complete the results in a file of kept cells. Return how many know the entropy of their source, and of how many.

    Entries keep their order, times and compression.
    """
    with zipfile.ZipFile(file) as kept:
        contents = {entry: kept.read(entry) for entry in kept.infolist()}
    by_name = {entry.filename: content for entry, content in contents.items()}
    known = cells = 0
    with atomic_path(file) as temporary, zipfile.ZipFile(temporary, "w", compresslevel=9) as archive:
        for entry, content in contents.items():
            directory, _, name = entry.filename.rpartition("/")
            if name == "result.json":
                row = completed(json.loads(content), yaml.safe_load(by_name[f"{directory}/config.yaml"]))
                content = f"{json.dumps(row, indent=1, allow_nan=False)}\n".encode()
                cells, known = cells + 1, known + (row.get("source_entropy_nats") is not None)
            archive.writestr(entry, content)
    return known, cells


def main(words: Sequence[str] | None = None) -> None:
    """Complete a kept study."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("study", type=Path, help="directory that holds cells.zip")
    known, cells = complete(parser.parse_args(words).study / KEPT)
    print(f"{known} of {cells} cells know the entropy of their source")


if __name__ == "__main__":
    main()
