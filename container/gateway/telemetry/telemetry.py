"""All that the gateway records about its requests: access log, adapter metrics and instance metrics."""

from __future__ import annotations

from dataclasses import dataclass

from container.gateway.adapters.residency import ResidencyReader
from container.gateway.request_context import RequestContext
from container.gateway.telemetry.access_log import AccessLog
from container.gateway.telemetry.adapter_metrics import AdapterMetrics
from container.gateway.telemetry.instance_metrics import InstanceMetrics


@dataclass(frozen=True)
class Telemetry:
    """The three records that each finished request goes into."""

    adapters: AdapterMetrics
    instance: InstanceMetrics
    access_log: AccessLog
    residency: ResidencyReader

    def served(self, context: RequestContext) -> None:
        """Record a finished request; needs a running event loop."""
        self.adapters.served(context)
        self.instance.served(context)
        self.access_log.add(context)

    async def ask_engine(self) -> None:
        """Have the engine report what it counts; call it before the metrics are read."""
        await self.residency.refresh()
        self.adapters.resident(self.residency.latest)

    def prometheus(self) -> bytes:
        """Return all metrics in Prometheus' text format."""
        return self.adapters.prometheus() + self.instance.prometheus()

    def emf_lines(self) -> bytes:
        """Return the lines in Embedded Metric Format for the interval since the last call."""
        return b"".join((*self.adapters.emf_lines(), self.instance.emf_line()))

    def last_emf_lines(self) -> bytes:
        """Return the last lines, of an instance that ends: it no longer counts as one."""
        return b"".join((*self.adapters.emf_lines(), self.instance.last_emf_line()))
