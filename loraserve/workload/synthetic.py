"""Traces by description: a file, or `synthetic:…` for generated traffic."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import fields
from pathlib import Path
from typing import Final

from loraserve.workload.errors import WorkloadError
from loraserve.workload.numbers import not_negative
from loraserve.workload.slora import SloraTraffic
from loraserve.workload.traces.read import read_trace
from loraserve.workload.week import SyntheticWeek
from loraserve.workload.workload import Workload

#: Prefix of generated traffic.
SYNTHETIC = "synthetic:"
SyntheticTraffic = SyntheticWeek | SloraTraffic
_SHAPES: Final[Mapping[str, type[SyntheticTraffic]]] = {"week": SyntheticWeek, "slora": SloraTraffic}
#: Values that may be 0: Zipf's exponent 0 is uniform.
_MAY_BE_ZERO: Final = ("zipf", "seed")
#: Most requests, 2 GB, seconds (a year) and adapters.
_MOST_REQUESTS, _MOST_SECONDS, _MOST_ADAPTERS = 100_000_000, 366 * 86400, 1_000_000
#: Description of the texts, for help and errors.
TRACES = "a file, or synthetic:week,rate=20,days=7 or synthetic:slora,rate=2,cv=4"


def parse_trace(text: str) -> Workload:
    """Return the requests of a trace: of a file, or generated as `parse_synthetic` says.

    Raises:
        WorkloadError: the text cannot be used, or the file cannot be read.
    """
    return parse_synthetic(text).draw() if text.startswith(SYNTHETIC) else read_trace(Path(text))


def parse_synthetic(text: str) -> SyntheticTraffic:
    """Return generated traffic, before its requests are drawn.

    `synthetic:week` has the day, the week and the bursts of ServeGen's m-large trace, `synthetic:slora` is
    S-LoRA's generator. The fields of `SyntheticWeek` and `SloraTraffic` follow as values, for example
    `synthetic:week,rate=20,days=14`.

    Raises:
        WorkloadError: an unknown shape, an unknown value or one out of range.
    """
    shape, *settings = text.removeprefix(SYNTHETIC).split(",")
    if shape not in _SHAPES:
        raise WorkloadError(f"{text}: no shape {shape!r}; use {' or '.join(_SHAPES)}")
    defaults = {field.name: field.default for field in fields(_SHAPES[shape])}
    values: dict[str, float] = {}
    for setting in settings:
        key, equals, value = setting.partition("=")
        if key not in defaults or not equals:
            raise WorkloadError(
                f"{text}: {setting!r} is unknown; use {', '.join(f'{k}=…' for k in defaults)}"
            )
        values[key] = _value(key, value, text, whole=isinstance(defaults[key], int))
    traffic = _SHAPES[shape](**values)  # type: ignore[arg-type]
    if traffic.duration_s > _MOST_SECONDS or traffic.rate * traffic.duration_s > _MOST_REQUESTS:
        raise WorkloadError(f"{text}: too long; use at most a year and {_MOST_REQUESTS:,} requests")
    if traffic.adapters > _MOST_ADAPTERS:
        raise WorkloadError(f"{text}: too many adapters; use at most {_MOST_ADAPTERS:,}")
    return traffic


def _value(key: str, value: str, text: str, *, whole: bool) -> float:
    number = not_negative(value, f"{text}: {key}")
    if (whole and number != int(number)) or (number == 0 and key not in _MAY_BE_ZERO):
        kind = "a whole number" if whole else "a number"
        raise WorkloadError(f"{text}: {key}={value} is out of range; give {kind} above 0")
    return int(number) if whole else number
