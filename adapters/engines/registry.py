"""Registry of the engine records."""

from __future__ import annotations

from collections.abc import Iterable

from adapters.engines import lorax, vllm
from adapters.engines.record import EngineRules

#: By name. The counterparts are `stacks.sizing.engines.registry.MEMORY` and
#: `stacks.config.container_check.READERS`.
ENGINES: dict[str, EngineRules] = {record.name: record for record in (lorax.RULES, vllm.RULES)}


def or_engine(verb: str, engines: Iterable[str]) -> str:
    """Make the end of a remedy that proposes other engines, e.g. `, or use engine: vllm`; may be empty."""
    names = " or ".join(f"engine: {name}" for name in engines)
    return f", or {verb} {names}" if names else ""
