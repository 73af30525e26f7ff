"""Stand-ins of the gateway's hooks, for tests of what is around them."""

from container.gateway.adapters.registry import Adapter
from container.gateway.proof.probe import Probe

#: Some probe.
PROBE = Probe((-1.0, -2.0))


async def accept(adapter: Adapter, probe: Probe) -> None:
    """Accept every load."""


async def ready() -> None:
    """Prepare nothing."""
