"""CloudWatch as the platform itself uses it: to publish an endpoint's metrics and to read alarms."""

from __future__ import annotations

import asyncio
import functools
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any, TypeVar

import boto3
from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError

from laptop_cloud.api.account import Place
from laptop_cloud.api.service import Params
from laptop_cloud.containers.credentials import RoleRefused, RoleSessions
from laptop_cloud.sagemaker.rollback_alarms import AlarmsUnreadable

T = TypeVar("T")

_NAMESPACE = "AWS/SageMaker"
_LIMIT_S = 5
_ONCE = Config(proxies={}, retries={"total_max_attempts": 1}, connect_timeout=_LIMIT_S, read_timeout=_LIMIT_S)


class CloudWatch:
    """CloudWatch of one place: metrics with the credentials of its account, alarms with a model's role.

    It is the emulator's, at the URL that this process's AWS_ENDPOINT_URL names: this very server. The
    calls are made on a thread of their own, so that neither they nor what else waits on threads delays
    the other.
    """

    def __init__(self, place: Place, roles: RoleSessions) -> None:
        """Nothing is connected yet."""
        self._place = place
        self._roles = roles
        self._role_clients: dict[str, Any] = {}
        self._thread = ThreadPoolExecutor(1, f"cloudwatch-{place.account}-{place.region}")

    async def put(self, data: list[Params]) -> None:
        """Publish metrics, in the form of PutMetricData. Raises boto's errors."""
        await self._do(lambda: self._client.put_metric_data(Namespace=_NAMESPACE, MetricData=data))

    async def alarm_states(self, role: str, names: Sequence[str]) -> dict[str, str]:
        """The state of each metric or composite alarm of these names that there is.

        SageMaker looks with the model's execution `role` (an ARN).

        Raises:
            AlarmsUnreadable: the role may not, or the call was refused.
        """
        kinds = ["MetricAlarm", "CompositeAlarm"]
        try:
            found = await self._do(
                lambda: self._as(role).describe_alarms(AlarmNames=list(names), AlarmTypes=kinds)
            )
        except (BotoCoreError, ClientError, RoleRefused) as error:
            raise AlarmsUnreadable(str(error)) from error
        alarms = [*found.get("MetricAlarms", []), *found.get("CompositeAlarms", [])]
        return {alarm["AlarmName"]: alarm["StateValue"] for alarm in alarms}

    @functools.cached_property
    def _client(self) -> Any:
        session = boto3.Session(self._place.account, "local", region_name=self._place.region)
        return session.client("cloudwatch", config=_ONCE)

    def _as(self, role: str) -> Any:
        if role not in self._role_clients:
            self._role_clients[role] = self._roles.client(role, "cloudwatch", self._place, _ONCE)
        return self._role_clients[role]

    async def _do(self, call: Callable[[], T]) -> T:
        return await asyncio.get_running_loop().run_in_executor(self._thread, call)
