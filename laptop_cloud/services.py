"""The emulated services of each account, created on the account's first request."""

from __future__ import annotations

import asyncio
import dataclasses

from laptop_cloud.api.account import Account
from laptop_cloud.autoscaling.clock import ScalingClock
from laptop_cloud.autoscaling.control_plane import AutoScaling
from laptop_cloud.autoscaling.load import VariantLoad
from laptop_cloud.containers.credentials import RoleSessions
from laptop_cloud.containers.launcher import Launcher
from laptop_cloud.quotas import ServiceQuotas
from laptop_cloud.sagemaker.cloudwatch import CloudWatch
from laptop_cloud.sagemaker.control_plane import SageMaker
from laptop_cloud.sagemaker.endpoint_variants import EndpointVariants
from laptop_cloud.sagemaker.metrics import Metrics
from laptop_cloud.sagemaker.rollback_reports import RollbackReports


@dataclasses.dataclass(frozen=True)
class Services:
    """SageMaker, Application Auto Scaling, Service Quotas, and the metrics of the endpoints of an account."""

    sagemaker: SageMaker
    autoscaling: AutoScaling
    quotas: ServiceQuotas
    metrics: Metrics
    load: VariantLoad
    rollbacks: RollbackReports


class ServiceRegistry:
    """The services by account. Used on the event loop only."""

    def __init__(self, launcher: Launcher, roles: RoleSessions, clock: ScalingClock) -> None:
        """Take what the services of all accounts share.

        Args:
            launcher: makes the instances.
            roles: the sessions that read alarms.
            clock: the time of Application Auto Scaling.
        """
        self._launcher = launcher
        self._roles = roles
        self._clock = clock
        self._services: dict[Account, Services] = {}

    def of(self, account: Account) -> Services:
        """Return the services of `account`."""
        if account not in self._services:
            self._services[account] = self._made(account)
        return self._services[account]

    async def shut_down(self) -> None:
        """Stop autoscaling, then every instance of every endpoint."""
        await asyncio.gather(*(services.autoscaling.shut_down() for services in self._services.values()))
        endpoints = [e for services in self._services.values() for e in services.sagemaker.endpoints.all()]
        await asyncio.gather(*(endpoint.shut_down() for endpoint in endpoints))

    def _made(self, account: Account) -> Services:
        cloudwatch = CloudWatch(account, self._roles)
        load = VariantLoad(self._clock.now)
        variants = EndpointVariants(lambda: sagemaker.endpoints)
        autoscaling = AutoScaling(account, variants, load, self._clock)
        sagemaker = SageMaker(
            account,
            self._launcher.for_account(account),
            autoscaling.scaled_variants,
            cloudwatch.alarm_states,
        )
        return Services(
            sagemaker,
            autoscaling,
            ServiceQuotas(account),
            Metrics(cloudwatch.put),
            load,
            RollbackReports(),
        )
