"""The emulated services of each account, created on the account's first request."""

from __future__ import annotations

import asyncio
import dataclasses

from laptop_cloud.api.account import Account
from laptop_cloud.api.service import invalid
from laptop_cloud.autoscaling import AutoScaling
from laptop_cloud.containers.credentials import RoleSessions
from laptop_cloud.containers.launcher import Launcher
from laptop_cloud.quotas import ServiceQuotas
from laptop_cloud.sagemaker.cloudwatch import CloudWatch
from laptop_cloud.sagemaker.control_plane import SageMaker
from laptop_cloud.sagemaker.metrics import Metrics
from laptop_cloud.sagemaker.rollback_reports import RollbackReports


@dataclasses.dataclass(frozen=True)
class Services:
    """SageMaker, Application Auto Scaling, Service Quotas and the endpoints' metrics of one account."""

    sagemaker: SageMaker
    autoscaling: AutoScaling
    quotas: ServiceQuotas
    metrics: Metrics
    rollbacks: RollbackReports


class ServiceRegistry:
    """The services by account. Used on the event loop only."""

    def __init__(self, launcher: Launcher, roles: RoleSessions) -> None:
        """`launcher` makes the instances of every account; `roles` are the sessions that read alarms."""
        self._launcher = launcher
        self._roles = roles
        self._services: dict[Account, Services] = {}

    def of(self, account: Account) -> Services:
        """Return the services of `account`."""
        if account not in self._services:
            self._services[account] = self._made(account)
        return self._services[account]

    async def shut_down(self) -> None:
        """Stop every instance of every endpoint."""
        endpoints = [e for services in self._services.values() for e in services.sagemaker.endpoints.all()]
        await asyncio.gather(*(endpoint.shut_down() for endpoint in endpoints))

    def _made(self, account: Account) -> Services:
        def check_variant(endpoint: str, variant: str) -> None:
            if variant != sagemaker.endpoints.get(endpoint).fleet.name:
                raise invalid(f"Could not find variant {variant} of endpoint {endpoint}")

        def enforce_bounds(endpoint: str, variant: str, low: int, high: int) -> None:
            sagemaker.endpoints.get(endpoint).enforce_bounds(variant, low, high)

        cloudwatch = CloudWatch(account, self._roles)
        autoscaling = AutoScaling(account, check_variant, enforce_bounds)
        sagemaker = SageMaker(
            account,
            self._launcher.for_account(account),
            autoscaling.scaled_variants,
            cloudwatch.alarm_states,
        )
        return Services(
            sagemaker, autoscaling, ServiceQuotas(account), Metrics(cloudwatch.put), RollbackReports()
        )
