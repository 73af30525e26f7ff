"""The largest distance at which two probes count as equal, by the type of numbers that the model computes with.

A batch's size and composition change the order of sums, and so the last digits of each value. Measured by
`python -m benchmarks.probe_margin`, on vLLM's CPU build with the sample models; docs/operations.md has the figures.
"""

from __future__ import annotations

from collections.abc import Mapping

#: In nats, root mean square over the text's tokens: see `Probe.distance`. The two half-precision types have that of
#: their logits: 8 bits of a bfloat16 are steps of 1/16 for a logit from 8 to 16, 11 bits of a float16 of 1/128.
MARGINS: Mapping[str, float] = {"float32": 0.005, "float16": 0.03, "bfloat16": 0.1}
#: For a type that is not in the table.
LARGEST = max(MARGINS.values())


def margin(dtype: str) -> float:
    """Return the margin in nats."""
    return MARGINS.get(dtype, LARGEST)
