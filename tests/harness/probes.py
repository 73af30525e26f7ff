"""Stand-ins of the gateway's hooks, and an engine whose probes a test sets, for tests of what is around them."""

from pathlib import Path

from container.gateway.adapters.registry import Adapter
from container.gateway.errors import GatewayError
from container.gateway.proof.conditions import EngineFacts
from container.gateway.proof.probe import Probe

#: Some probe.
PROBE = Probe((-1.0, -2.0))
FACTS = EngineFacts("vllm", "0.32.0", "float32", "cpu")


async def accept(adapter: Adapter, probe: Probe) -> None:
    """Accept every load."""


async def ready() -> None:
    """Prepare nothing."""


class ProbedEngine:
    """Gives the probes that a test sets, by engine id; None is the base model."""

    def __init__(self, directory: Path) -> None:
        """Keep the adapters' files in `directory`."""
        self.probes: dict[str | None, Probe] = {None: PROBE}
        self.asked: list[str | None] = []
        self.failures: list[GatewayError] = []
        """Raised by the next probes, one each."""
        self.facts_now = FACTS
        self._directory = directory

    async def facts(self) -> EngineFacts:
        """Return what a test has set."""
        return self.facts_now

    async def probe(self, adapter: str | None) -> Probe:
        """Return the current probe."""
        self.asked.append(adapter)
        if self.failures:
            raise self.failures.pop(0)
        return self.probes[adapter]

    def files(self, engine_id: str) -> Path:
        """Return the directory of an adapter."""
        return self._directory / engine_id
