"""Clients of AWS with prepared answers, which botocore checks against its service models."""

from __future__ import annotations

import functools
import io
import json
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from datetime import UTC, datetime
from typing import Any

import boto3
from botocore.response import StreamingBody
from botocore.stub import Stubber
from rich.console import Console

from adapters.store.layout import RegistryEntry

ENDPOINT = "LoraServing-Dev-Serving"
CONFIG = "EndpointConfig-AbC123"
ARN = f"arn:aws:sagemaker:us-east-1:123456789012:endpoint-config/{CONFIG}"
THEN = datetime(2026, 11, 27, tzinfo=UTC)


@functools.cache
def _client(service: str) -> Any:
    """Make a client once: botocore reads the service's model for half a second."""
    return boto3.Session("key", "secret", region_name="us-east-1").client(service)


class Cloud:
    """Clients with prepared answers; all of them must be used, in order."""

    def __init__(self) -> None:
        services = (
            "sagemaker",
            "cloudformation",
            "cloudwatch",
            "s3",
            "sagemaker-runtime",
            "application-autoscaling",
            "logs",
        )
        self.clients = {name: _client(name) for name in services}
        self.stubs = {name: Stubber(client) for name, client in self.clients.items()}
        self.output = io.StringIO()
        self.console = Console(file=self.output, width=1000)

    def __call__(self, service: str, config: Any = None) -> Any:
        return self.clients[service]

    def answers(self, service: str, call: str, answer: dict[str, Any]) -> None:
        self.stubs[service].add_response(call, answer)

    def refuses(self, service: str, call: str, code: str, **response: Any) -> None:
        self.stubs[service].add_client_error(call, code, "no", modeled_fields=response)

    def physical(self, config: str = ARN) -> None:
        detail = {
            "LogicalResourceId": "EndpointConfig",
            "ResourceType": "AWS::SageMaker::EndpointConfig",
            "PhysicalResourceId": config,
            "LastUpdatedTimestamp": THEN,
            "ResourceStatus": "CREATE_COMPLETE",
        }
        self.answers("cloudformation", "describe_stack_resource", {"StackResourceDetail": detail})

    def endpoint(self, status: str = "InService", config: str = CONFIG, **more: Any) -> None:
        described = {
            "EndpointName": ENDPOINT,
            "EndpointArn": "arn:aws:sagemaker:us-east-1:123456789012:endpoint/e",
            "EndpointConfigName": config,
            "EndpointStatus": status,
            "CreationTime": THEN,
            "LastModifiedTime": THEN,
            "ProductionVariants": [{"VariantName": "AllTraffic"}],
        }
        self.answers("sagemaker", "describe_endpoint", described | more)

    def config(self, **more: Any) -> None:
        described = {
            "EndpointConfigName": CONFIG,
            "EndpointConfigArn": ARN,
            "ProductionVariants": [
                {"VariantName": "AllTraffic", "ModelName": "Model-1", "InstanceType": "ml.g5.xlarge"}
            ],
            "CreationTime": THEN,
        }
        self.answers("sagemaker", "describe_endpoint_config", described | more)

    def model(self) -> None:
        described = {"ModelName": "Model-1", "CreationTime": THEN, "ModelArn": ARN}
        self.answers("sagemaker", "describe_model", described)

    def lost(self, call: str) -> None:
        """Answer that a SageMaker resource does not exist, as the service does."""
        self.stubs["sagemaker"].add_client_error(call, "ValidationException", 'Could not find "x".')

    def generates(self, adapter: str | None) -> None:
        text = json.dumps([{"generated_text": "hi", "details": {"generated_tokens": 1}}]).encode()
        named = f"adapter={adapter};request=1" if adapter else "request=1"
        answer = {**body(text), "CustomAttributes": named}
        self.answers("sagemaker-runtime", "invoke_endpoint", answer)

    def fails(self, status: int, error_type: str) -> None:
        message = json.dumps({"error": "not today", "error_type": error_type})
        self.refuses(
            "sagemaker-runtime", "invoke_endpoint", "ModelError", OriginalStatusCode=status, OriginalMessage=message
        )  # fmt: skip

    def bucket(self) -> None:
        """Answer with the bucket of the stage's store."""
        stack = {
            "StackName": "LoraServing-Dev-AdapterStore",
            "CreationTime": THEN,
            "StackStatus": "CREATE_COMPLETE",
            "Outputs": [{"OutputKey": "AdapterBucket", "OutputValue": "the-bucket"}],
        }
        self.answers("cloudformation", "describe_stacks", {"Stacks": [stack]})

    def store(self, *entries: RegistryEntry) -> None:
        """Answer with the bucket of the stage's store, and its registry."""
        self.bucket()
        contents = [
            {"Key": f"registry/{entry.name}.json", "ETag": '"1"', "Size": 1, "LastModified": THEN}
            for entry in entries
        ]
        self.answers("s3", "list_objects_v2", {"Contents": contents, "IsTruncated": False})
        for entry in entries:
            self.entry(entry)

    def entry(self, entry: RegistryEntry) -> None:
        """Answer with a registry entry."""
        self.answers("s3", "get_object", {"ETag": '"1"', **body(entry.to_json())})

    @contextmanager
    def stubbed(self) -> Iterator[None]:
        """Answer in the block; at its end every answer must have been used."""
        with ExitStack() as stack:
            for stub in self.stubs.values():
                stack.enter_context(stub)
            yield
        for stub in self.stubs.values():
            stub.assert_no_pending_responses()


def body(content: bytes) -> dict[str, Any]:
    """Make the body of an answer of S3 or of an endpoint."""
    return {"Body": StreamingBody(io.BytesIO(content), len(content))}
