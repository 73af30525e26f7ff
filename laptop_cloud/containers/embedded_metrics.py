"""Metrics in a container's log lines, in CloudWatch's Embedded Metric Format (EMF).

CloudWatch Logs makes metrics of such lines by itself, whichever role sent them:
https://docs.aws.amazon.com/AmazonCloudWatch/latest/monitoring/CloudWatch_Embedded_Metric_Format_Specification.html
The emulator of CloudWatch Logs stores them alone, so they are published here.
"""

from __future__ import annotations

import json
import logging
from collections.abc import Iterator, Sequence
from typing import Any, Final

import boto3
from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError

from laptop_cloud.api.account import Account
from laptop_cloud.api.service import Params
from laptop_cloud.sdk_sessions import new_session

_LOGGER: Final = logging.getLogger("laptop_cloud")
#: Data of a request, PutMetricData's limit.
_BATCH: Final = 1000
_ONCE: Final = Config(
    proxies={}, retries={"total_max_attempts": 1}, connect_timeout=2, read_timeout=10, max_pool_connections=1
)


class EmbeddedMetrics:
    """Publishes the metrics of log lines in one account. One thread at a time may use it."""

    def __init__(self, account: Account) -> None:
        """Set up without a connection."""
        self._account = account
        self._client: Any = None

    def publish(self, lines: Sequence[str]) -> None:
        """Publish the metrics of the lines that have some. What CloudWatch refuses is logged, and lost."""
        by_namespace: dict[str, list[Params]] = {}
        for line in lines:
            for namespace, datum in metric_data(line):
                by_namespace.setdefault(namespace, []).append(datum)
        for namespace, data in by_namespace.items():
            for start in range(0, len(data), _BATCH):
                try:
                    self._put(namespace, data[start : start + _BATCH])
                except (BotoCoreError, ClientError) as error:
                    _LOGGER.warning("metrics of a container's log are lost: %s", error)

    def _put(self, namespace: str, data: list[Params]) -> None:
        if self._client is None:
            session = boto3.Session(
                self._account.id, "local", region_name=self._account.region, botocore_session=new_session()
            )
            self._client = session.client("cloudwatch", config=_ONCE)
        self._client.put_metric_data(Namespace=namespace, MetricData=data)


def metric_data(line: str) -> Iterator[tuple[str, Params]]:
    """Yield namespace and datum of each metric and set of dimensions of an EMF line; none of another line.

    As CloudWatch does, it takes a line as text where its metadata do not match its members.
    """
    if not line.startswith("{") or '"_aws"' not in line:
        return
    try:
        document = json.loads(line)
        yield from list(_data(document))
    except (ValueError, KeyError, TypeError):
        return


def _data(document: dict[str, Any]) -> Iterator[tuple[str, Params]]:
    for directive in document["_aws"]["CloudWatchMetrics"]:
        for dimensions in directive["Dimensions"]:
            for metric in directive["Metrics"]:
                values = document[metric["Name"]]
                yield (
                    directive["Namespace"],
                    {
                        "MetricName": metric["Name"],
                        "Dimensions": [{"Name": name, "Value": document[name]} for name in dimensions],
                        "Timestamp": document["_aws"]["Timestamp"] / 1000,
                        "Values": [
                            float(value) for value in (values if isinstance(values, list) else [values])
                        ],
                        "Unit": metric.get("Unit", "None"),
                    },
                )
