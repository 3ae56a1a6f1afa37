"""Count what an adapter stores about a target from the entropy of its source, not from the base model's loss."""

import math


def unintended_memorization(
    source_entropy_nats: float | None, loss_nats: float, target_tokens: int, trainable_parameters: int
) -> dict[str, float | None]:
    """Compute the unintended memorization ℓ·(H − L) of Morris et al. (arXiv 2505.24832), and its bits per parameter.

    ΔL counts from the base model's loss L0. Where L0 lies above the source's entropy H, an adapter lowers the loss to H
    by learning the source alone, without one token by heart.

    Returns:
        source_entropy_nats, unintended_memorization_nats and unintended_bits_per_parameter, as in
        `memlaw.study.records.RESULT_COLUMNS`;
        all None where H is not known.
    """
    nats = None if source_entropy_nats is None else target_tokens * (source_entropy_nats - loss_nats)
    return {
        "source_entropy_nats": source_entropy_nats,
        "unintended_memorization_nats": nats,
        "unintended_bits_per_parameter": None if nats is None else nats / math.log(2) / trainable_parameters,
    }
