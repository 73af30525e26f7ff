"""Alarms, dashboard and logs of an endpoint. Deployed before the endpoint, destroyed after it."""

from __future__ import annotations

from collections.abc import Sequence

import aws_cdk as cdk
from aws_cdk import aws_cloudwatch as cloudwatch
from aws_cdk import aws_logs as logs
from constructs import Construct

from stacks.observability.alarm import Alarm, Thresholds, alarm_name, create_alarms
from stacks.observability.alarm_catalog import endpoint_alarms
from stacks.observability.alarm_topic import AlarmTopic, subscribe
from stacks.observability.dashboard import dashboard_body
from stacks.observability.log_metrics import ENDPOINT_PATTERNS, SEEDER_PATTERNS, count_log_lines
from stacks.observability.metric import Source
from stacks.observability.resource_alarms import resource_alarms
from stacks.observability.seeding_alarms import seeding_alarms


def all_alarms(source: Source, thresholds: Thresholds, *, gpus: int, seeder_worker_name: str) -> list[Alarm]:
    """Every alarm of a stage; `gpus` are an instance's."""
    return [
        *endpoint_alarms(source, thresholds),
        *resource_alarms(source, thresholds, gpus),
        *seeding_alarms(source, seeder_worker_name),
    ]


class Observability(cdk.Stack):
    """What tells people how an endpoint does.

    The endpoint is known by its name only: alarms that roll back an update of it have to be there before. The
    log group is made here, before SageMaker would make one that is kept for ever.
    """

    def __init__(
        self,
        scope: Construct,
        construct_id: str,
        *,
        endpoint_name: str,
        variant: str,
        metrics_seconds: float,
        gpus: int,
        price_per_hour: float | None,
        thresholds: Thresholds,
        alarm_topic_arn: str | None,
        alarm_emails: Sequence[str],
        seeder_worker_name: str,
        seeder_log_group_name: str,
        log_retention_days: int,
        dashboard: bool,
        env: cdk.Environment,
    ) -> None:
        """Without `alarm_topic_arn` a topic is made.

        `metrics_seconds` is the gateway's setting, `gpus` and `price_per_hour` (US dollars) are of an
        instance, `log_retention_days` is one of the numbers that CloudWatch Logs takes.
        """
        super().__init__(scope, construct_id, env=env, description="Alarms of a multi-LoRA endpoint")
        source = Source(endpoint_name, variant, metrics_seconds)
        log_group = logs.CfnLogGroup(
            self, "EndpointLogs", log_group_name=source.log_group, retention_in_days=log_retention_days
        )
        log_group.apply_removal_policy(cdk.RemovalPolicy.DESTROY)
        for group, patterns in (
            (log_group.ref, ENDPOINT_PATTERNS),
            (seeder_log_group_name, SEEDER_PATTERNS),
        ):
            count_log_lines(self, log_group_name=group, namespace=source.log_namespace, patterns=patterns)
        topic_arn = AlarmTopic(self, "AlarmTopic").arn if alarm_topic_arn is None else alarm_topic_arn
        subscribe(self, topic_arn, alarm_emails)
        alarms = all_alarms(source, thresholds, gpus=gpus, seeder_worker_name=seeder_worker_name)
        create_alarms(self, endpoint_name, alarms, topic_arn)
        self.alarm_names = names = [alarm_name(endpoint_name, alarm) for alarm in alarms]
        self.rollback_alarm_names = [alarm_name(endpoint_name, alarm) for alarm in alarms if alarm.rollback]
        """Alarms that undo an update of the endpoint; SageMaker takes ten at most."""
        cdk.CfnOutput(self, "AlarmTopicArn", value=topic_arn)
        if dashboard:
            body = dashboard_body(
                source,
                region=self.region,
                thresholds=thresholds,
                gpus=gpus,
                price_per_hour=price_per_hour,
                alarm_arns=[self._alarm_arn(name) for name in names],
            )
            self._dashboard(endpoint_name, body)

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
