"""Settings of a plain sliding window."""

from dataclasses import dataclass

from model.config.checks import at_least_one


@dataclass(frozen=True, slots=True, kw_only=True)
class WindowConfig:
    """What `window` is made with."""

    reach: int = 256
    """Keys that a query sees, itself and those before it; where order is no matter, as many after it too."""

    def __post_init__(self) -> None:
        at_least_one("reach", self.reach)
