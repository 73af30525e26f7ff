"""A probe: the log probabilities that a model gives the tokens of a fixed text."""

from __future__ import annotations

import math
from dataclasses import dataclass

#: A model reads it in one step, so a probe costs about as much as the first token of a short answer. It has
#: few tokens because a CPU needs time for each: sample adapters are about as far apart with these 12 as with
#: 45 (docs/benchmarks.md). Records of another text are not compared with it (`Conditions.text`).
TEXT = "[INST] 48 + 24?"
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
