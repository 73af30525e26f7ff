"""Registry of the engine records."""

from __future__ import annotations

from adapters.engines import lorax, vllm
from adapters.engines.record import EngineRules

#: By name. The counterparts are `stacks.sizing.engines.registry.MEMORY` and
#: `stacks.config.container_check.READERS`.
ENGINES: dict[str, EngineRules] = {record.name: record for record in (lorax.RULES, vllm.RULES)}
