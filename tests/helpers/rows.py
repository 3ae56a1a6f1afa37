"""What a finished cell leaves, as far as readers take it for granted."""

from pathlib import Path

from memlaw.core.files import write_json

ROW = {
    "model.name": "m", "data.name": "d", "method.name": "sft", "seq_len": 8, "lora.rank": 1, "seed": 0,
    "base_loss_nats": 13.0, "loss_nats": 3.0, "delta_loss_nats": 10.0, "recalled_share": 0.5,
    "bits_per_parameter": 1.0, "trainable_parameters": 2112, "target_tokens": 8, "steps_trained": 10, "seconds": 20.0,
    "worker_seconds": 20.0, "step_flops": 8e6, "pack_size": 1, "device": "cpu", "dtype": "float32",
    "model_fingerprint": "f",
}  # fmt: skip


def write_row(directory: Path, **columns: object) -> None:
    """Write the result of the cell that `directory` is named after, and an empty file as its token table."""
    write_json(directory / "result.json", {"cell": directory.name, **ROW, **columns})
    (directory / "tokens.parquet").touch()
