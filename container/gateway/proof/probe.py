"""A probe: the log probabilities that a model gives the tokens of a fixed text."""

from __future__ import annotations

import math
from dataclasses import dataclass

#: A model reads it in one step, so a probe costs about as much as the first token of a short answer.
TEXT = (
    "[INST] Natalia sold clips to 48 of her friends in April, and then she sold half as many clips in May. "
    "How many clips did Natalia sell altogether in April and May? [/INST] Natalia sold"
)
#: Lowest log probability that counts: below it, the differences are those of rounding.
FLOOR = -20.0


@dataclass(frozen=True)
class Probe:
    """Values that a model, with an adapter or without, computes for `TEXT`."""

    logprobs: tuple[float, ...]
    """Natural logarithm of the probability of each token but the first, in their order, at least `FLOOR`."""

    def distance(self, other: Probe) -> float:
        """Return the root mean square of the differences, in nats; infinite if the tokens are not as many."""
        if len(self.logprobs) != len(other.logprobs) or not self.logprobs:
            return math.inf
        pairs = zip(self.logprobs, other.logprobs, strict=True)
        return math.sqrt(sum((one - two) ** 2 for one, two in pairs) / len(self.logprobs))
