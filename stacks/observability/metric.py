"""Where an endpoint's metrics come from, and how each is named in CloudWatch."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass

#: `NAMESPACE` of `container.gateway.telemetry.adapter_metrics`, which synth cannot import: a test holds them
#: equal.
GATEWAY = "LoraServing"
INVOCATIONS = "AWS/SageMaker"
INSTANCES = "/aws/sagemaker/Endpoints"


@dataclass(frozen=True)
class Metric:
    """One statistic of one metric; `period` is in seconds."""

    namespace: str
    name: str
    dimensions: Mapping[str, str]
    statistic: str
    period: int = 60


@dataclass(frozen=True)
class Source:
    """An endpoint, as the source of metrics; `metrics_seconds` is how often each instance writes its own."""

    endpoint_name: str
    variant: str
    metrics_seconds: float

    @property
    def period(self) -> int:
        """The shortest period, in seconds, with a value of every instance: whole minutes, as alarms need."""
        return 60 * math.ceil(self.metrics_seconds / 60)

    @property
    def log_group(self) -> str:
        """SageMaker's name of the log group of the endpoint's containers."""
        return f"/aws/sagemaker/Endpoints/{self.endpoint_name}"

    @property
    def log_namespace(self) -> str:
        """The namespace of what is counted in logs: such metrics can have no fixed dimension."""
        return f"{GATEWAY}/{self.endpoint_name}"

    def gateway(self, name: str, statistic: str = "Sum") -> Metric:
        """A metric that the gateway writes, over all adapters."""
        dimensions = {"Endpoint": self.endpoint_name, "Variant": self.variant}
        return Metric(GATEWAY, name, dimensions, statistic, self.period)

    def invocations(self, name: str, statistic: str) -> Metric:
        """SageMaker's own, of the requests."""
        return Metric(INVOCATIONS, name, self._sagemaker, statistic)

    def instances(self, name: str, statistic: str) -> Metric:
        """SageMaker's own, of the instances."""
        return Metric(INSTANCES, name, self._sagemaker, statistic)

    def logged(self, name: str) -> Metric:
        """Lines of a log that `stacks.observability.log_metrics` counts."""
        return Metric(self.log_namespace, name, {}, "Sum")

    @property
    def _sagemaker(self) -> dict[str, str]:
        return {"EndpointName": self.endpoint_name, "VariantName": self.variant}
