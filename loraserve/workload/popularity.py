"""Share of the requests of each adapter, from a law or a file."""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path

from loraserve.workload.errors import WorkloadError
from loraserve.workload.numbers import not_negative, positive
from stacks.sizing.popularity import power, uniform, zipf

#: Values of `parse_popularity`, for help and errors.
POPULARITY = "uniform, zipf:S, power:ALPHA or a file with lines `adapter,weight`"


def parse_popularity(text: str, adapters: Sequence[str]) -> tuple[float, ...]:
    """Return the share of each adapter, in the order of `adapters`; their sum is 1.

    `uniform`; `zipf:S`, shares proportional to 1/rank^S; `power:ALPHA`, S-LoRA's law; or a file with lines
    `adapter,weight`, in which an adapter without a line has the share 0. The first of `adapters` is the most
    popular one of a law.

    Raises:
        WorkloadError: for any other text, a damaged file, or one whose names are not among `adapters`.
    """
    if not adapters:
        return ()
    kind, colon, value = text.partition(":")
    match kind, colon:
        case "uniform", "":
            return uniform(len(adapters))
        case "zipf", ":":
            return zipf(len(adapters), not_negative(value, text))
        case "power", ":":
            return power(len(adapters), positive(value, text))
    if not Path(text).is_file():
        raise WorkloadError(f"popularity {text!r}: use {POPULARITY}")
    return _from_file(Path(text), adapters)


def _from_file(path: Path, adapters: Sequence[str]) -> tuple[float, ...]:
    weights = dict.fromkeys(adapters, 0.0)
    seen: set[str] = set()
    try:
        lines = path.read_text().splitlines()
    except (OSError, UnicodeError) as error:
        raise WorkloadError(f"{path}: not readable ({error}); give a text file") from None
    for number, line in enumerate(lines, 1):
        if not line.strip() or line.startswith("#"):
            continue
        # From the right: a name may not contain a comma, but a message about one shall name it whole.
        adapter, comma, weight = (part.strip() for part in line.rpartition(","))
        where = f"{path}:{number}"
        if not comma:
            raise WorkloadError(f"{where}: {line!r} has no comma; write `adapter,weight`")
        if adapter not in weights:
            raise WorkloadError(f"{where}: {adapter!r} is not among the adapters; remove the line")
        if adapter in seen:
            raise WorkloadError(f"{where}: {adapter!r} has two weights; remove one of the lines")
        seen.add(adapter)
        weights[adapter] = not_negative(weight, where)
    total = math.fsum(weights.values())
    if total == 0:
        raise WorkloadError(f"{path}: no adapter has a weight above 0; give at least one of them a weight")
    return tuple(weight / total for weight in weights.values())
