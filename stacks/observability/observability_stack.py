"""Alarms, dashboard and logs of an endpoint. Deployed before the endpoint, destroyed after it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import aws_cdk as cdk
from aws_cdk import aws_cloudwatch as cloudwatch
from aws_cdk import aws_logs as logs
from constructs import Construct

from stacks.observability.alarm import Thresholds, alarm_name, create_alarms
from stacks.observability.alarm_catalog import all_alarms
from stacks.observability.alarm_topic import AlarmTopic, subscribe
from stacks.observability.dashboard import dashboard_body
from stacks.observability.log_metrics import ENDPOINT_PATTERNS, SEEDER_PATTERNS
from stacks.observability.metric import Source


@dataclass(frozen=True, kw_only=True)
class SeederNames:
    """The seeder, as source of metrics."""

    worker: str
    """Name of the Lambda function that seeds the store."""
    log_group: str
    """Name of its log group."""


@dataclass(frozen=True, kw_only=True)
class Notification:
    """Recipients of alarms."""

    topic_arn: str | None
    """An existing SNS topic; None to create one."""
    emails: Sequence[str]
    """Addresses to subscribe to the topic."""


@dataclass(frozen=True, kw_only=True)
class DashboardOptions:
    """Content of the dashboard."""

    price_per_hour: float | None
    """Of an instance, in US dollars; None leaves out the cost."""


class ObservabilityStack(cdk.Stack):
    """Alarms, dashboard, metric filters and log group of an endpoint.

    The endpoint is known by its name only: alarms that roll back an update must exist before the update. The
    log group is created here, before SageMaker would create one that never expires.
    """

    def __init__(
        self,
        scope: Construct,
        construct_id: str,
        *,
        source: Source,
        thresholds: Thresholds,
        seeder: SeederNames,
        notification: Notification,
        dashboard: DashboardOptions | None,
        log_retention_days: int,
        env: cdk.Environment,
    ) -> None:
        """`log_retention_days` is one of the numbers that CloudWatch Logs takes."""
        super().__init__(scope, construct_id, env=env, description="Alarms of a multi-LoRA endpoint")
        endpoint_name = source.endpoint_name
        log_group = logs.CfnLogGroup(
            self, "EndpointLogs", log_group_name=source.log_group, retention_in_days=log_retention_days
        )
        log_group.apply_removal_policy(cdk.RemovalPolicy.DESTROY)
        self._count_log_lines(log_group.ref, source.log_namespace, ENDPOINT_PATTERNS)
        self._count_log_lines(seeder.log_group, source.log_namespace, SEEDER_PATTERNS)
        given = notification.topic_arn
        topic_arn = AlarmTopic(self, "AlarmTopic").arn if given is None else given
        subscribe(self, topic_arn, notification.emails)
        alarms = all_alarms(source, thresholds, seeder_worker_name=seeder.worker)
        create_alarms(self, endpoint_name, alarms, topic_arn)
        self.alarm_names = names = [alarm_name(endpoint_name, alarm) for alarm in alarms]
        self.rollback_alarm_names = [alarm_name(endpoint_name, alarm) for alarm in alarms if alarm.rollback]
        """Alarms that roll back an update of the endpoint; SageMaker takes ten at most."""
        cdk.CfnOutput(self, "AlarmTopicArn", value=topic_arn)
        if dashboard is not None:
            body = dashboard_body(
                source,
                region=self.region,
                thresholds=thresholds,
                price_per_hour=dashboard.price_per_hour,
                alarm_arns=[self._alarm_arn(name) for name in names],
            )
            self._dashboard(endpoint_name, body)

    def _count_log_lines(self, group: str, namespace: str, patterns: Mapping[str, str]) -> None:
        """Create a metric filter for each pattern; each matching line counts 1."""
        for metric, pattern in patterns.items():
            logs.CfnMetricFilter(
                self,
                f"{metric}Filter",
                log_group_name=group,
                filter_pattern=pattern,
                metric_transformations=[
                    logs.CfnMetricFilter.MetricTransformationProperty(
                        metric_namespace=namespace, metric_name=metric, metric_value="1"
                    )
                ],
            )

    def _dashboard(self, name: str, body: str) -> None:
        cloudwatch.CfnDashboard(self, "Dashboard", dashboard_name=name, dashboard_body=body)
        cdk.CfnOutput(
            self,
            "DashboardUrl",
            value=f"https://{self.region}.console.aws.amazon.com/cloudwatch/home?region={self.region}"
            f"#dashboards/dashboard/{name}",
        )

    def _alarm_arn(self, name: str) -> str:
        return f"arn:{self.partition}:cloudwatch:{self.region}:{self.account}:alarm:{name}"
