"""The alarms of the seeding of adapters, which happens at a deployment."""

from __future__ import annotations

from dataclasses import replace

from stacks.observability.alarm import Alarm
from stacks.observability.log_metrics import SEEDING_WAITS
from stacks.observability.metric import Metric, Source


def seeding_alarms(source: Source, worker_name: str) -> list[Alarm]:
    """`worker_name` is the Lambda function that seeds."""
    return [
        Alarm(
            "seeding",
            Metric("AWS/Lambda", "Errors", {"FunctionName": worker_name}, "Sum"),
            1,
            "Seeding the adapter store failed: the deployment is rolled back.",
            "read the reason for each adapter in the events of the stack, then put the manifest right.",
        ),
        Alarm(
            "seeding-waits",
            replace(source.logged(SEEDING_WAITS), period=300),
            1,
            "Seeding has waited ten minutes for S3 or the network; CloudFormation gives it an hour.",
            "read in the seeder's log what it waits for; it goes on by itself once that answers.",
            when=(2, 2),
        ),
    ]
