"""The services of every place, made when a place is first used."""

from __future__ import annotations

import asyncio
import dataclasses

from laptop_cloud.api.account import Place
from laptop_cloud.api.service import invalid
from laptop_cloud.autoscaling import AutoScaling
from laptop_cloud.containers.credentials import RoleSessions
from laptop_cloud.containers.launcher import Launcher
from laptop_cloud.sagemaker.cloudwatch import CloudWatch
from laptop_cloud.sagemaker.control_plane import SageMaker
from laptop_cloud.sagemaker.metrics import Metrics


@dataclasses.dataclass(frozen=True)
class Services:
    """SageMaker and Application Auto Scaling of one place, which know of each other, and their metrics."""

    sagemaker: SageMaker
    autoscaling: AutoScaling
    metrics: Metrics


class Places:
    """The services by place. Used on the event loop only."""

    def __init__(self, launcher: Launcher, roles: RoleSessions) -> None:
        """`launcher` makes the instances of every place; `roles` are who watches their updates."""
        self._launcher = launcher
        self._roles = roles
        self._services: dict[Place, Services] = {}

    def at(self, place: Place) -> Services:
        """The services of `place`."""
        if place not in self._services:
            self._services[place] = self._made(place)
        return self._services[place]

    async def abandon(self) -> None:
        """Stop every instance of every endpoint."""
        every = [e for services in self._services.values() for e in services.sagemaker.endpoints.all()]
        await asyncio.gather(*(endpoint.abandon() for endpoint in every))

    def _made(self, place: Place) -> Services:
        def check_variant(endpoint: str, variant: str) -> None:
            if variant not in sagemaker.endpoints.get(endpoint).variants():
                raise invalid(f"Could not find variant {variant} of endpoint {endpoint}")

        def hold_within(endpoint: str, variant: str, low: int, high: int) -> None:
            sagemaker.endpoints.get(endpoint).hold_within(variant, low, high)

        cloudwatch = CloudWatch(place, self._roles)
        autoscaling = AutoScaling(place, check_variant, hold_within)
        sagemaker = SageMaker(
            place, self._launcher.at(place), autoscaling.scaled_variants, cloudwatch.alarm_states
        )
        return Services(sagemaker, autoscaling, Metrics(cloudwatch.put))
