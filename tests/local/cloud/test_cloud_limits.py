"""SageMaker's time limits, with the limits cut short: a container that is too slow is an error."""

from __future__ import annotations

import asyncio
import contextlib
import json
import sys
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import aiohttp
import pytest
from botocore.eventstream import EventStreamBuffer

from laptop_cloud.api.account import Account
from laptop_cloud.api.service import ServiceError
from laptop_cloud.autoscaling.clock import ScalingClock
from laptop_cloud.containers.credentials import RoleSessions
from laptop_cloud.containers.image_store import ImageStore
from laptop_cloud.containers.launcher import Launcher
from laptop_cloud.invocations.runtime import Invocation, Runtime
from laptop_cloud.services import ServiceRegistry

ACCOUNT = Account("000000000000", "us-east-1")
ROLE = "arn:aws:iam::000000000000:role/execution"
ECHO = [sys.executable, str(Path(__file__).with_name("echo_container.py"))]
LIMIT_S = 1.0


@contextlib.asynccontextmanager
async def slow_endpoint(directory: Path) -> AsyncIterator[tuple[Runtime, ServiceRegistry]]:
    """An endpoint `slow` behind a runtime whose limits are `LIMIT_S`."""
    async with aiohttp.ClientSession() as session:
        roles = RoleSessions("http://127.0.0.1:1", enforce_iam=False)
        launcher = Launcher(
            directory=directory,
            endpoint_url="http://127.0.0.1:1",
            images={"localhost/echo": ECHO},
            session=session,
            roles=roles,
            store=ImageStore(directory / "images", "http://127.0.0.1:1", roles),
        )
        registry = ServiceRegistry(launcher, roles, ScalingClock())
        sagemaker = registry.of(ACCOUNT).sagemaker
        variant = {
            "VariantName": "Main",
            "ModelName": "m",
            "InstanceType": "ml.g5.xlarge",
            "InitialInstanceCount": 1,
        }
        model = {
            "ModelName": "m",
            "ExecutionRoleArn": ROLE,
            "PrimaryContainer": {"Image": "localhost/echo"},
        }
        sagemaker.call("CreateModel", model)
        sagemaker.call("CreateEndpointConfig", {"EndpointConfigName": "c", "ProductionVariants": [variant]})
        sagemaker.call("CreateEndpoint", {"EndpointName": "slow", "EndpointConfigName": "c"})
        await sagemaker.endpoints.get("slow").settled()
        try:
            yield Runtime(registry, session, answer_limit_s=LIMIT_S, stream_limit_s=LIMIT_S), registry
        finally:
            await registry.shut_down()


class AsgiClient:
    """The client's end of one request."""

    def __init__(self, **asked: Any) -> None:
        self._messages = [{"type": "http.request", "body": json.dumps(asked).encode()}]
        self.sent: list[dict[str, Any]] = []

    async def receive(self) -> dict[str, Any]:
        if not self._messages:
            await asyncio.Event().wait()
        return self._messages.pop()

    async def send(self, message: dict[str, Any]) -> None:
        self.sent.append(message)


async def test_an_answer_that_takes_too_long_is_a_model_error(tmp_path: Path) -> None:
    async with slow_endpoint(tmp_path) as (runtime, _):
        client = AsgiClient(sleep=30)
        with pytest.raises(ServiceError, match="Your invocation timed out") as error:
            await runtime.invoke(Invocation("slow", ACCOUNT, []), client.receive, client.send)
    assert (error.value.code, error.value.status) == ("ModelError", 424)


async def test_a_stream_that_takes_too_long_ends_in_an_event_that_says_so(tmp_path: Path) -> None:
    async with slow_endpoint(tmp_path) as (runtime, _):
        client = AsgiClient(chunks=["one", *["more"] * 99], pause=0.3)
        await runtime.stream(Invocation("slow", ACCOUNT, []), client.receive, client.send)

    decoder = EventStreamBuffer()
    for message in client.sent:
        decoder.add_data(message.get("body", b""))
    events = list(decoder)
    assert events[0].payload == b"one"
    assert events[-1].headers[":exception-type"] == "ModelStreamError"
    assert json.loads(events[-1].payload)["ErrorCode"] == "ModelInvocationTimeExceeded"


async def test_a_container_that_is_never_healthy_fails_within_its_limit(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("laptop_cloud.containers.launcher._DEFAULT_HEALTH_LIMIT_S", 2.0)
    async with slow_endpoint(tmp_path) as (_, registry):
        sagemaker = registry.of(ACCOUNT).sagemaker
        container = {"Image": "localhost/echo", "Environment": {"NEVER_HEALTHY": "1"}}
        sagemaker.call(
            "CreateModel", {"ModelName": "ill", "ExecutionRoleArn": ROLE, "PrimaryContainer": container}
        )
        variant = {"VariantName": "Main", "ModelName": "ill", "InitialInstanceCount": 1}
        sagemaker.call("CreateEndpointConfig", {"EndpointConfigName": "ill", "ProductionVariants": [variant]})
        sagemaker.call("CreateEndpoint", {"EndpointName": "ill", "EndpointConfigName": "ill"})
        endpoint = sagemaker.endpoints.get("ill")
        await endpoint.settled()
        assert endpoint.status == "Failed"
        assert "did not pass the ping health check within 2 s" in (endpoint.failure or "")
