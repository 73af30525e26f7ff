"""The type of an alarm, the thresholds, and the CloudWatch resources.

No alarm uses metric math: an alarm on one metric works for automatic rollback, and in the laptop cloud.
SageMaker emits 0 or 1 to `Invocation5XXErrors` and `InvocationModelErrors` for each response ("SageMaker AI
metrics in Amazon CloudWatch"), so their average is the share of failed requests. With little traffic a share
says little; the number of minutes makes up for that: one failed request at night is one bad minute, not
three.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from aws_cdk import aws_cloudwatch as cloudwatch
from constructs import Construct

from stacks.observability.metric import Metric

ONCE = (1, 1)
#: The failure of a single minute may be over already; three in five minutes are no coincidence.
REPEATED = (3, 5)
LASTING = (5, 5)

#: Missing data count as good: the metric is emitted only when there is something to report.
QUIET = "notBreaching"
#: Missing data raise INSUFFICIENT_DATA, which is notified too: an endpoint that existed emits nothing more.
#: "breaching" would notify from the deployment of the alarms to the end of the endpoint's first start.
SILENCE = "missing"


@dataclass(frozen=True)
class Alarm:
    """An alarm on one metric of an endpoint."""

    name: str
    """Follows the endpoint's name in the alarm's."""
    metric: Metric
    """The watched statistic."""
    threshold: float
    """The alarm is raised at or over it, with `below` under it."""
    means: str
    """Meaning, the first sentence of the description."""
    first: str
    """First step of the on-call engineer, the second sentence of the description."""
    when: tuple[int, int] = ONCE
    """(3, 5): in three of the last five periods."""
    below: bool = False
    """Values under the threshold raise the alarm."""
    missing: str = QUIET
    """Treatment of missing data: `QUIET` or `SILENCE`."""
    rollback: bool = False
    """The alarm rolls back an update of the endpoint."""


@dataclass(frozen=True, kw_only=True)
class Thresholds:
    """Thresholds that a stage sets. Percentages are 0 to 100."""

    target_concurrent_requests: float
    """Concurrent requests per instance that autoscaling aims at."""
    max_instances: int
    """Upper limit of autoscaling."""
    error_percent: float
    """Requests that the container answers with 5XX."""
    gpu_memory_percent: float
    """Of each GPU's memory. An engine allocates its share at its start and keeps it."""
    disk_percent: float
    """Of the instance's disk."""


def create_alarms(scope: Construct, endpoint_name: str, alarms: Sequence[Alarm], topic_arn: str) -> None:
    """Create the alarms; each notifies the topic when it is raised and when it is over."""
    for alarm in alarms:
        cloudwatch.CfnAlarm(
            scope,
            "".join(word.capitalize() for word in alarm.name.split("-")) + "Alarm",
            alarm_name=alarm_name(endpoint_name, alarm),
            alarm_description=f"{alarm.means} First: {alarm.first}",
            namespace=alarm.metric.namespace,
            metric_name=alarm.metric.name,
            dimensions=[
                cloudwatch.CfnAlarm.DimensionProperty(name=name, value=value)
                for name, value in alarm.metric.dimensions.items()
            ],
            statistic=alarm.metric.statistic,
            period=alarm.metric.period,
            datapoints_to_alarm=alarm.when[0],
            evaluation_periods=alarm.when[1],
            threshold=alarm.threshold,
            comparison_operator="LessThanThreshold" if alarm.below else "GreaterThanOrEqualToThreshold",
            treat_missing_data=alarm.missing,
            alarm_actions=[topic_arn],
            ok_actions=[topic_arn],
            insufficient_data_actions=[topic_arn] if alarm.missing == SILENCE else None,
        )


def alarm_name(endpoint_name: str, alarm: Alarm) -> str:
    """Return the alarm's full name, fixed so that other stacks need no reference to the alarms' stack."""
    return f"{endpoint_name}-{alarm.name}"
