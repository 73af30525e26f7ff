"""What an alarm is, what is too much, and how alarms are made.

None uses metric math: an alarm on one metric works for automatic rollback, and in the laptop cloud. SageMaker
sends 0 or 1 to `Invocation5XXErrors` and `InvocationModelErrors` for each response («SageMaker AI metrics in
Amazon CloudWatch»), so their average is the share of failed requests. The floor below which a share means
nothing is in the number of minutes: one failed request at night is one bad minute, not three.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from aws_cdk import aws_cloudwatch as cloudwatch
from constructs import Construct

from stacks.observability.metric import Metric

ONCE = (1, 1)
#: A minute's failure may be over before anyone looks; three in five are not chance.
REPEATED = (3, 5)
LASTING = (5, 5)

#: Missing data as good data: the metric is only sent when there is something to tell.
QUIET = "notBreaching"
#: Missing data as INSUFFICIENT_DATA, which is told as well: nothing is heard of an endpoint that was there.
#: "breaching" would page from the deployment of the alarms until the endpoint's first start is over.
SILENCE = "missing"


@dataclass(frozen=True)
class Alarm:
    """Raised when the metric is at or over `threshold`; with `below`, when it is under it.

    `when` (3, 5) is: in three of the last five periods. `name` follows the endpoint's; `means` and `first`
    (what to do first) are the description. A `rollback` alarm also undoes an update of the endpoint.
    """

    name: str
    metric: Metric
    threshold: float
    means: str
    first: str
    when: tuple[int, int] = ONCE
    below: bool = False
    missing: str = QUIET
    rollback: bool = False


@dataclass(frozen=True)
class Thresholds:
    """What is too much. Percentages are 0 to 100."""

    target_concurrent_requests: float
    """Requests at once per instance that autoscaling aims at."""
    max_instances: int
    """The most instances that autoscaling starts."""
    error_percent: float = 5.0
    """Requests that the container answers with 5XX."""
    failure_percent: float = 50.0
    """Requests without a 2XX answer, whoever is to blame: callers' mistakes count, so it has to be high."""
    gpu_memory_percent: float = 95.0
    """Of each GPU's memory. An engine takes its share at its start and keeps it."""
    disk_percent: float = 85.0
    """Of the instance's disk."""
    free_disk_gb: float = 5.0
    """Least space (10^9 bytes) where the adapters' files are."""


def create_alarms(scope: Construct, endpoint_name: str, alarms: Sequence[Alarm], topic_arn: str) -> None:
    """Make the alarms; they tell the topic when they are raised and when they are over."""
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
    """Known before the alarm is there, so that other stacks need no reference to its stack."""
    return f"{endpoint_name}-{alarm.name}"
