"""All that the gateway records about its requests: access log, metrics and the demand for adapters."""

from __future__ import annotations

from dataclasses import dataclass
from http import HTTPStatus

from container.gateway.adapters.residency import ResidencyReader
from container.gateway.request_context import RequestContext
from container.gateway.telemetry.access_log import AccessLog
from container.gateway.telemetry.adapter_metrics import AdapterMetrics
from container.gateway.telemetry.instance_metrics import InstanceMetrics
from container.gateway.warm_up.demand import AdapterDemand


@dataclass(frozen=True)
class Telemetry:
    """The records that each finished request goes into."""

    adapters: AdapterMetrics
    instance: InstanceMetrics
    access_log: AccessLog
    demand: AdapterDemand
    residency: ResidencyReader

    def served(self, context: RequestContext) -> None:
        """Record a finished request; needs a running event loop."""
        self.adapters.served(context)
        self.instance.served(context)
        self.access_log.add(context)
        # An adapter that cannot be served must not be loaded first by the next instance.
        if context.adapter is not None and context.status == HTTPStatus.OK:
            self.demand.add(context.adapter)

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
