"""What only logs tell, counted by metric filters.

The patterns are the code's own words; no filter looks at prompts or answers, which are never logged.
"""

from __future__ import annotations

from aws_cdk import aws_logs as logs
from constructs import Construct

ENGINE_DEATHS = "EngineDeaths"
OUT_OF_MEMORY = "OutOfMemory"
SEEDING_WAITS = "SeedingWaits"

#: `container.gateway.main` says the first when the engine dies, the second when it cannot be started;
#: PyTorch says the third, on LoRAX and vLLM alike. The `?` mean «any of these».
ENDPOINT_PATTERNS = {
    ENGINE_DEATHS: '?"the engine ended by itself" ?"gateway: cannot start"',
    OUT_OF_MEMORY: '"out of memory"',
}
#: `lambdas.adapter_seeder.is_complete` prints this for an outage; what fails for good is a Lambda error.
SEEDER_PATTERNS = {SEEDING_WAITS: "{ $.waiting = * }"}


def count_log_lines(
    scope: Construct, *, log_group_name: str, namespace: str, patterns: dict[str, str]
) -> list[logs.CfnMetricFilter]:
    """Count the lines of the log group that match each metric's pattern."""
    return [
        logs.CfnMetricFilter(
            scope,
            f"{metric}Filter",
            log_group_name=log_group_name,
            filter_pattern=pattern,
            metric_transformations=[
                logs.CfnMetricFilter.MetricTransformationProperty(
                    metric_namespace=namespace, metric_name=metric, metric_value="1"
                )
            ],
        )
        for metric, pattern in patterns.items()
    ]
