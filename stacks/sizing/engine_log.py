"""An engine's own log of its memory: it replaces the estimates of a memory plan."""

from __future__ import annotations

import re
from dataclasses import dataclass

from adapters.engines.registry import ENGINES
from stacks.sizing.engines.registry import MEMORY
from stacks.sizing.gpu_memory import Calibration, MemoryPlan
from stacks.sizing.memory_parts import GIB

#: Weights that differ by more are another model's. In 84 published logs they differ by 1.4 % at most; the
#: size of a quantization may be wrong by 10 %.
_OTHER_MODEL = 0.2


@dataclass(frozen=True, kw_only=True)
class EngineLog:
    """Memory of one GPU that an engine logged at its start; None: the log does not have it."""

    loaded: int | None
    """Bytes of weights and adapters' slots."""
    kv_tokens: int | None
    """Tokens that the KV cache holds; None where the engine did not start."""
    kv_bytes: int | None
    """Bytes that were left for the KV cache, rounded to 0.01 GiB by the engine."""
    graphs: int
    """Bytes kept back for CUDA graphs; 0 where it kept back nothing."""

    @property
    def sized(self) -> bool:
        """True if the log has a size of the KV cache."""
        return self.kv_tokens is not None or self.kv_bytes is not None


def read_engine_log(text: str, engine: str) -> EngineLog:
    """Read the memory out of an engine's log, of its last start where it has several.

    Raises `ValueError` with a sentence if it has no size of a KV cache.
    """
    found = _read(text, engine)
    if found.sized:
        return found
    title = ENGINES[engine].title
    if other := next((name for name in MEMORY if _read(text, name).sized), None):
        raise ValueError(f"this is a log of {ENGINES[other].title}, not of {title}: give one of {title}")
    raise ValueError(
        f"the last start in this log has no line with the size of {title}'s KV cache: take the whole log of "
        "a start"
    )


def calibration_of(plan: MemoryPlan, log: EngineLog) -> Calibration:
    """Return what a log says in place of a plan's estimates; for `plan_of` of other slots, ranks or lengths.

    `plan`: of the settings that the log is of. Raises `ValueError` with a sentence if it is another model's.
    """
    weights = None
    if log.loaded is not None:
        weights = log.loaded - plan.adapters.reserved
        if abs(weights - plan.weights) > _OTHER_MODEL * plan.weights:
            computed = plan.weights + plan.adapters.reserved
            raise ValueError(
                f"in this log the model takes {log.loaded / GIB:.1f} GiB of a GPU, in the plan "
                f"{computed / GIB:.1f} GiB, {plan.adapters.reserved / GIB:.1f} of them for adapters: "
                "take the log of this model, and plan for the slots and the rank that it ran with"
            )
    # As `MemoryPlan.kv_tokens`, solved for what is spare.
    tokens = log.kv_tokens
    kv = (log.kv_bytes or 0) if tokens is None else tokens * plan.kv_per_token
    spare = round((kv - plan.kv_minimum) / plan.engine.kv_share)
    known = (plan.weights if weights is None else weights) + log.graphs + plan.activations
    rest = plan.available - known - plan.adapters.reserved - plan.kv_minimum - spare
    return Calibration(weights=weights, overhead=rest, graphs=log.graphs)


def _read(text: str, engine: str) -> EngineLog:
    lines = MEMORY[engine].log
    if lines.loaded_gib is not None and (starts := list(re.finditer(lines.loaded_gib, text))):
        text = text[starts[-1].start() :]
    tokens = _last(lines.kv_tokens, text)
    return EngineLog(
        loaded=_bytes(lines.loaded_gib, text),
        kv_tokens=None if tokens is None else int(tokens),
        kv_bytes=_bytes(lines.kv_gib, text),
        graphs=_bytes(lines.graphs_gib, text) or 0,
    )


def _last(pattern: str | None, text: str) -> float | None:
    found = [] if pattern is None else re.findall(pattern, text)
    try:
        return float(found[-1].replace(",", "")) if found else None
    except ValueError:
        # A damaged line, e.g. with two points in a number.
        return None


def _bytes(pattern: str | None, text: str) -> int | None:
    gib = _last(pattern, text)
    return None if gib is None else int(gib * GIB)
