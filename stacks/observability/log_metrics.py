"""Metrics of log lines: names and the metric filters' patterns.

The patterns match the code's own messages; prompts and answers are never logged. No CDK here: the cost
estimate counts these metrics.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

ENGINE_DEATHS: Final = "EngineDeaths"
OUT_OF_MEMORY: Final = "OutOfMemory"
SEEDING_WAITS: Final = "SeedingWaits"

#: `container.gateway.main` logs the first when the engine ends, the second when it cannot be started;
#: PyTorch logs the third, in LoRAX and in vLLM. `?` means "any of these".
ENDPOINT_PATTERNS: Final[Mapping[str, str]] = {
    ENGINE_DEATHS: '?"the engine ended by itself" ?"gateway: cannot start"',
    OUT_OF_MEMORY: '"out of memory"',
}
#: `lambdas.adapter_seeder.is_complete` prints this for an outage; a final failure is a Lambda error.
SEEDER_PATTERNS: Final[Mapping[str, str]] = {SEEDING_WAITS: "{ $.waiting = * }"}
