"""The temporal curriculum of `memft_sw` on a table: at first only some pairs take part (paper, section "MemFT").

The pairs are permuted once. The first `shares[k]` of them take part until epoch `until_epochs[k]`, and all of them
after the last. A share is rounded down to whole batches, but not below one batch.
"""

from dataclasses import dataclass

from memlaw.config.values import check_number
from memlaw.core.errors import ConfigError, spelled


@dataclass(frozen=True)
class Curriculum:
    """The share of the pairs that takes part, by epoch.

    Attributes:
        shares: of the pairs, ascending, below 1.
        until_epochs: each share takes part before this epoch, counted from 0; ascending.
    """

    shares: tuple[float, ...]
    until_epochs: tuple[int, ...]

    def __post_init__(self) -> None:
        for name in ("shares", "until_epochs"):
            values = getattr(self, name)
            if not isinstance(values, list | tuple):
                raise ConfigError(f"method.curriculum.{name}={spelled(values)} is not a list")
            for value in values:
                check_number(f"method.curriculum.{name}", value, "a list of numbers", lambda _: True)
        if any(epoch != int(epoch) for epoch in self.until_epochs):
            raise ConfigError(f"method.curriculum.until_epochs={list(self.until_epochs)} are not whole numbers")
        object.__setattr__(self, "shares", tuple(self.shares))
        object.__setattr__(self, "until_epochs", tuple(self.until_epochs))
        ascending = all(
            list(values) == sorted(set(values)) and min(values, default=1) > 0
            for values in (self.shares, self.until_epochs)
        )
        if len(self.shares) != len(self.until_epochs) or not ascending or max(self.shares, default=0) > 1:
            raise ConfigError(
                f"method.curriculum: shares={list(self.shares)} until_epochs={list(self.until_epochs)} are not two "
                "lists of equal length, ascending and above 0, the shares at most 1"
            )

    @property
    def last_until(self) -> int:
        """The first epoch in which all pairs take part."""
        return max((until for share, until in zip(self.shares, self.until_epochs, strict=True) if share < 1), default=0)

    def pairs_in(self, epoch: int, pairs: int, batch_rows: int) -> int:
        """Count the pairs, of `pairs`, that take part in an epoch, counted from 0."""
        for share, until in zip(self.shares, self.until_epochs, strict=True):
            if epoch < until and share < 1:
                whole = int(share * pairs + 1e-9) // batch_rows * batch_rows
                return min(max(whole, batch_rows), pairs)
        return pairs


WHOLE = Curriculum((), ())
"""The curriculum in which all pairs take part from the first epoch on."""
