"""Calibration of the computed step by a load test of the same configuration."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from statistics import median
from typing import Any

from loraserve.errors import UserError
from loraserve.load.document import read_document
from loraserve.load.result import LoadOutcome
from loraserve.plan.traffic import request_shares
from stacks.sizing.throughput import (
    LORA_HIGH,
    LORA_LOW,
    LORA_MID,
    LoraCost,
    StepWork,
    Traffic,
    latency_s,
)

#: Fewest requests whose median is taken.
FEWEST = 20


class CalibrationError(UserError):
    """A load test that no calibration can be taken from."""

    exit_code = 2


@dataclass(frozen=True)
class Scales:
    """Measured step ÷ computed step, by the cost of LoRA that it was computed with; 1: not measured."""

    high_cost: float = 1.0
    mid: float = 1.0
    low_cost: float = 1.0

    def of(self, cost: LoraCost) -> float:
        """Return the scale of steps with this cost."""
        return {LORA_HIGH: self.high_cost, LORA_MID: self.mid, LORA_LOW: self.low_cost}[cost]

    @property
    def measured(self) -> bool:
        """True if they come from a load test."""
        return self != Scales()


@dataclass(frozen=True)
class MeasuredService:
    """Times of a load test's successful requests."""

    traffic: Traffic
    """Mean lengths, and the shares of the adapters that were asked."""
    in_flight: tuple[int, ...]
    """For each request, those in flight when it was sent."""
    service_s: tuple[float, ...]
    """For each request, seconds from sending it to its end."""


def read_service(path: Path, input_tokens: float) -> MeasuredService:
    """Read the successful requests of a load test, `loraserve load-test --json FILE`.

    Args:
        path: the document.
        input_tokens: length of prompts whose answers did not contain it.

    Raises:
        LoadDocumentError: no document of a load test.
        CalibrationError: an invalid run, or fewer than `FEWEST` requests that succeeded.
    """
    document = read_document(path)
    if not document.get("valid", False):
        raise CalibrationError(
            f"{path}: the load test is INVALID, its times are the generator's: run it again"
        )
    columns: dict[str, list[Any]] = document["requests"]
    ok = [index for index, outcome in enumerate(columns["outcome"]) if outcome == LoadOutcome.OK.value]
    # The number of tokens divides the times.
    ok = [index for index in ok if columns["output_tokens"][index] > 0]
    if len(ok) < FEWEST:
        raise CalibrationError(
            f"{path}: {len(ok)} requests succeeded, and their median is no measurement: run at least {FEWEST}"
        )
    inputs = [columns["input_tokens"][i] for i in ok if columns["input_tokens"][i] >= 0]
    return MeasuredService(
        traffic=Traffic(
            input_tokens=sum(inputs) / len(inputs) if inputs else input_tokens,
            output_tokens=sum(columns["output_tokens"][i] for i in ok) / len(ok),
            shares=request_shares(columns["adapter"][i] for i in ok),
        ),
        in_flight=tuple(columns["in_flight"][i] for i in ok),
        service_s=tuple(columns["ended_s"][i] - columns["sent_s"][i] for i in ok),
    )


def scales(measured: MeasuredService, work: StepWork, max_batch: float) -> Scales:
    """Return the measured ÷ computed steps, at the requests in flight of the load test.

    The median over the requests of the time of each, divided by the computed time of an answer of mean length
    with as many in flight. With the scale the three costs of LoRA agree on what was measured, and differ on
    what was not.
    """

    def scale(cost: LoraCost) -> float:
        known = {
            in_flight: latency_s(work, measured.traffic, in_flight, max_batch, cost)
            for in_flight in set(measured.in_flight)
        }
        return median(
            seconds / known[in_flight]
            for seconds, in_flight in zip(measured.service_s, measured.in_flight, strict=True)
        )

    return Scales(scale(LORA_HIGH), scale(LORA_MID), scale(LORA_LOW))
