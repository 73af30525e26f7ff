"""The largest distance at which two probes count as equal, by the type of numbers that a model computes with.

A batch's size and composition change the order of sums, and so the last digits of each value. Measured with
vLLM's CPU build and the sample models (`python -m benchmarks.probe_margin`, docs/benchmarks.md): no
difference at all in batches of 1 to 21; between float32 and bfloat16, which is the whole rounding, 0.024 for
the base model and at most 0.091 for an adapter; at least 1.33 from an adapter to the base, and 0.86 between
two adapters. A GPU's kernels do depend on the batch, and a large model rounds more often; neither was
measured. The margin of bfloat16 is above the whole rounding; float16's steps are 1/8, float32's 1/65536 of
bfloat16's.
"""

from __future__ import annotations

from collections.abc import Mapping

#: In nats, root mean square over the text's tokens: see `Probe.distance`. Logits from 8 to 16 have steps of
#: 1/16 in bfloat16 (8 significant bits), and of 1/128 in float16 (11 bits).
MARGINS: Mapping[str, float] = {"float32": 0.005, "float16": 0.03, "bfloat16": 0.1}
#: For a type that is not in the table.
LARGEST = max(MARGINS.values())


def margin(dtype: str) -> float:
    """Return the margin in nats."""
    return MARGINS.get(dtype, LARGEST)
