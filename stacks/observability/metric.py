"""Sources of an endpoint's metrics, and their names in CloudWatch.

The gateway's names are in `container.gateway.telemetry.names`, those of counted log lines in `log_metrics`.
SageMaker's are those of "Amazon SageMaker AI metrics in Amazon CloudWatch".
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from container.gateway.telemetry import names

#: Namespace of SageMaker's metrics of invocations, and those used here.
INVOCATIONS: Final = "AWS/SageMaker"
INVOCATION_5XX_ERRORS: Final = "Invocation5XXErrors"
INVOCATION_MODEL_ERRORS: Final = "InvocationModelErrors"
CONCURRENT_REQUESTS: Final = "ConcurrentRequestsPerModel"

#: Namespace of SageMaker's metrics of instances, and those used here.
INSTANCES: Final = "/aws/sagemaker/Endpoints"
GPU_MEMORY: Final = "GPUMemoryUtilization"
GPU: Final = "GPUUtilization"
DISK: Final = "DiskUtilization"


@dataclass(frozen=True)
class Metric:
    """One statistic of one metric; `period` is in seconds."""

    namespace: str
    name: str
    dimensions: Mapping[str, str]
    statistic: str
    period: int = 60


@dataclass(frozen=True, kw_only=True)
class Source:
    """The metrics of one endpoint."""

    endpoint_name: str
    """Known before the endpoint exists."""
    variant: str
    """The production variant's name."""
    metrics_seconds: float
    """Interval at which each instance emits the gateway's metrics (`gateway.metrics_seconds`)."""
    gpus: int
    """GPUs of an instance, 0 if it has none: SageMaker adds up the percentages of an instance's GPUs."""

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
        """Namespace of counted log lines: metrics of a metric filter can have no fixed dimension."""
        return f"{names.NAMESPACE}/{self.endpoint_name}"

    def gateway(self, name: str, statistic: str = "Sum") -> Metric:
        """Make a metric of the gateway, over all adapters."""
        dimensions = {names.ENDPOINT: self.endpoint_name, names.VARIANT: self.variant}
        return Metric(names.NAMESPACE, name, dimensions, statistic, self.period)

    def invocations(self, name: str, statistic: str) -> Metric:
        """Make one of SageMaker's metrics of invocations."""
        return Metric(INVOCATIONS, name, self._sagemaker, statistic)

    def instances(self, name: str, statistic: str) -> Metric:
        """Make one of SageMaker's metrics of instances."""
        return Metric(INSTANCES, name, self._sagemaker, statistic)

    def logged(self, name: str) -> Metric:
        """Make a metric of the log lines that `stacks.observability.log_metrics` counts."""
        return Metric(self.log_namespace, name, {}, "Sum")

    @property
    def _sagemaker(self) -> dict[str, str]:
        return {"EndpointName": self.endpoint_name, "VariantName": self.variant}
