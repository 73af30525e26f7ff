"""The platform's client of CloudWatch: publishes metrics of endpoints and reads alarms."""

from __future__ import annotations

import asyncio
import functools
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any, TypeVar

import boto3
from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError

from laptop_cloud.api.account import Account
from laptop_cloud.api.service import Params
from laptop_cloud.containers.credentials import RoleRefused, RoleSessions
from laptop_cloud.sagemaker.rollback_alarms import AlarmsUnreadable
from laptop_cloud.sdk_sessions import new_session

T = TypeVar("T")

_NAMESPACE = "AWS/SageMaker"
_LIMIT_S = 5
_ONCE = Config(proxies={}, retries={"total_max_attempts": 1}, connect_timeout=_LIMIT_S, read_timeout=_LIMIT_S)


class CloudWatch:
    """CloudWatch of one account: metrics with the account's credentials, alarms with a model's role.

    The service is `ministack`'s, at AWS_ENDPOINT_URL, which is this server. Requests are made on a dedicated
    thread, so that they do not wait for other work on threads, nor that for them.
    """

    def __init__(self, account: Account, roles: RoleSessions) -> None:
        """Set up without a connection."""
        self._account = account
        self._roles = roles
        self._role_clients: dict[str, Any] = {}
        self._thread = ThreadPoolExecutor(1, f"cloudwatch-{account.id}-{account.region}")

    async def put(self, data: list[Params]) -> None:
        """Publish metrics in the format of PutMetricData. Raises boto3's errors."""
        await self._do(lambda: self._client.put_metric_data(Namespace=_NAMESPACE, MetricData=data))

    async def alarm_states(self, role: str, names: Sequence[str]) -> dict[str, str]:
        """Return the state of each existing metric or composite alarm of these names.

        SageMaker reads them with the model's execution `role` (an ARN).

        Raises:
            AlarmsUnreadable: the role may not read them, or the request failed.
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
        session = boto3.Session(
            self._account.id, "local", region_name=self._account.region, botocore_session=new_session()
        )
        return session.client("cloudwatch", config=_ONCE)

    def _as(self, role: str) -> Any:
        if role not in self._role_clients:
            self._role_clients[role] = self._roles.client(role, "cloudwatch", self._account, _ONCE)
        return self._role_clients[role]

    async def _do(self, call: Callable[[], T]) -> T:
        return await asyncio.get_running_loop().run_in_executor(self._thread, call)
