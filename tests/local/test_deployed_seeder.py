"""The seeder in Lambda: the deployed function, called like CloudFormation's waiter calls it."""

import io
import json
import time
import uuid
import zipfile
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import pytest

from adapters.store.layout import model_prefix
from loraserve import local_stage
from tests.harness import factories
from tests.harness.store import Store
from tests.harness.waiting import wait_until
from tests.hub.server import HubServer
from tests.local.conftest import Deployed
from tests.local.test_hub_seeding import MIRRORED, base_files

TOKEN = "hf_averysecrettoken"


@dataclass
class Function:
    """The deployed worker, and a separate store for it."""

    deployed: Deployed
    store: Store
    hub: HubServer
    model: str
    """Commit of the base model on the Hub."""

    def call(
        self,
        request: str = "Create",
        *,
        adapters: dict[str, str],
        started_at: float | None = None,
        **properties: str,
    ) -> dict[str, Any]:
        """Call the worker with a manifest; return its answer, or its error as `{"errorMessage": …}`."""
        event = {
            "RequestType": request,
            "StackId": self.stack(local_stage.STORE_STACK)["StackId"],
            "StartedAt": started_at or time.time(),
            "ResponseURL": "https://127.0.0.1/a-secret-answer-url",
            "ResourceProperties": self.properties(adapters) | properties,
        }
        answer = self.deployed.cloud.client("lambda").invoke(
            FunctionName=self.name, Payload=json.dumps(event).encode()
        )
        content: dict[str, Any] = json.loads(answer["Payload"].read())
        return content

    def properties(self, adapters: dict[str, str]) -> dict[str, str]:
        """Return the custom resource's properties, with a manifest in the store."""
        archive = io.BytesIO()
        with zipfile.ZipFile(archive, "w") as asset:
            listed = [
                {
                    "names": [name],
                    "source": source,
                    "sha256": None,
                    "digest": None,
                    "origin": "",
                    "labels": {},
                    "limits": {},
                    "tenant_limits": {},
                }
                for name, source in adapters.items()
            ]
            asset.writestr("manifest.json", json.dumps({"adapters": listed, "removals": 0.2, "model": {}}))
        key = f"manifests/{uuid.uuid4().hex}.zip"
        self.store.s3.put_object(Bucket=self.store.bucket, Key=key, Body=archive.getvalue())
        return {
            "Bucket": self.store.bucket,
            "ManifestBucket": self.store.bucket,
            "ManifestKey": key,
            "Engine": "vllm",
            "MaxAdapterRank": "64",
            "AdapterTargetModules": "",
            "TensorParallel": "1",
            "BaseModel": factories.BASE,
            "BaseModelNames": "[]",
            "BaseModelRevision": self.model,
            "ModelPrefix": "",
            "TrustRemoteCode": "false",
            "HubEndpoint": self.hub.endpoint,
            "HubTokenSecret": "",
            "Owner": "stack",
            "RetainData": "false",
        }

    def update_stack(self, name: str, adapters: dict[str, str], *, fails_after: bool = False) -> str:
        """Create or update a stack of one seeding by the deployed provider; return its status and all reasons.

        With `fails_after`, another resource fails once the seeding is complete.
        """
        client = self.deployed.cloud.client("cloudformation")
        provider = {"ServiceToken": self.service_token}
        resources: dict[str, Any] = {
            "Seeding": {"Type": "Custom::Seeding", "Properties": self.properties(adapters) | provider}
        }
        if fails_after:
            broken = provider | {"Bucket": "without-other-properties"}
            resources["Broken"] = {"Type": "Custom::Seeding", "DependsOn": "Seeding", "Properties": broken}
        body = json.dumps({"Resources": resources})
        if any(stack["StackName"] == name for stack in client.describe_stacks()["Stacks"]):
            client.update_stack(StackName=name, TemplateBody=body)
        else:
            client.create_stack(StackName=name, TemplateBody=body)
        wait_until(lambda: not self.stack(name)["StackStatus"].endswith("_IN_PROGRESS"), "the stack is done")
        events = client.describe_stack_events(StackName=name)["StackEvents"]
        reasons = " ".join(event.get("ResourceStatusReason", "") for event in events)
        return f"{self.stack(name)['StackStatus']} {reasons}"

    def stack(self, name: str) -> dict[str, Any]:
        """Return CloudFormation's description of a stack."""
        [found] = self.deployed.cloud.client("cloudformation").describe_stacks(StackName=name)["Stacks"]
        return dict(found)

    @property
    def name(self) -> str:
        """Name of the worker."""
        return self._function("SeederWorker")

    @property
    def service_token(self) -> str:
        """ARN of the provider's first function."""
        found = self.deployed.cloud.client("lambda").get_function(
            FunctionName=self._function("ProviderframeworkonEvent")
        )
        return str(found["Configuration"]["FunctionArn"])

    def _function(self, logical_id: str) -> str:
        resources = self.deployed.cloud.client("cloudformation").describe_stack_resources(
            StackName=local_stage.STORE_STACK
        )["StackResources"]
        [name] = [
            resource["PhysicalResourceId"]
            for resource in resources
            if resource["LogicalResourceId"].startswith(logical_id)
            and resource["ResourceType"] == "AWS::Lambda::Function"
        ]
        return str(name)

    def logs(self) -> str:
        """Return the log of the function."""
        client = self.deployed.cloud.client("logs")
        groups = [group["logGroupName"] for group in client.describe_log_groups()["logGroups"]]
        return "\n".join(
            event["message"]
            for group in groups
            for event in client.filter_log_events(logGroupName=group)["events"]
        )


@pytest.fixture
def function(deployed: Deployed) -> Iterator[Function]:
    with HubServer() as hub:
        model = hub.add(factories.BASE, dict(base_files()))
        yield Function(deployed, Store(deployed.cloud.client("s3")), hub, model)


def test_it_seeds_a_gated_adapter_and_mirrors_a_gated_model_with_a_token_from_secrets_manager(
    function: Function,
) -> None:
    hub = function.hub
    hub.tokens = {TOKEN: {"acme/gated", factories.BASE}}
    commit = hub.add("acme/gated", dict(factories.adapter(1)), gated=True)
    model = hub.add(factories.BASE, dict(base_files()), gated=True)
    secret = f"hub/{uuid.uuid4().hex}"
    function.deployed.cloud.client("secretsmanager").create_secret(Name=secret, SecretString=TOKEN + "\n")
    adapters = {"gated": f"hf://acme/gated@{commit}"}
    prefix = model_prefix(factories.BASE, model)

    closed = function.call(adapters=adapters, BaseModelRevision=model, HubTokenSecret=secret)
    assert "the base model cannot be served; nothing was changed" in closed["errorMessage"]
    assert "it is then copied with the token of hub_token_secret" in closed["errorMessage"]
    hub.repositories[factories.BASE].gated = False
    refused = function.call(adapters=adapters)
    assert "the repository is gated; accept its terms at" in refused["errorMessage"]
    hub.repositories[factories.BASE].gated = True
    answer = function.call(
        adapters=adapters, HubTokenSecret=secret, BaseModelRevision=model, ModelPrefix=prefix
    )
    assert answer["IsComplete"] is True
    assert answer["Data"]["Adapters"] == "1"
    function.store.check()
    assert {key.removeprefix(prefix) for key in function.store.objects(prefix)} == MIRRORED
    assert function.store.status()["phase"] == "complete"
    logs = function.logs()
    assert '"phase": "complete"' in logs
    for leaked in (TOKEN, "a-secret-answer-url", "Signature="):
        assert leaked not in logs
        assert leaked not in json.dumps([closed, refused, answer])
        assert leaked.encode() not in b"".join(function.store.objects("seeding/").values())


@pytest.mark.parametrize(
    ("value", "message"),
    [
        (None, "cannot be read (ResourceNotFoundException); create it in this account and region"),
        ('{"token": "hf_averysecrettoken"}', "holds no token; store the token as plain text, no JSON"),
    ],
)
def test_a_secret_that_cannot_be_used_is_reported_without_its_content(
    function: Function, value: str | None, message: str
) -> None:
    secret = f"hub/{uuid.uuid4().hex}"
    if value is not None:
        function.deployed.cloud.client("secretsmanager").create_secret(Name=secret, SecretString=value)
    answer = function.call(adapters={}, HubTokenSecret=secret)
    assert message in answer["errorMessage"]
    assert TOKEN not in json.dumps(answer)


def test_the_same_event_twice_changes_nothing(function: Function) -> None:
    commit = function.hub.add("acme/open", dict(factories.adapter(1)))
    adapters = {"open": f"hf://acme/open@{commit}"}
    function.call(adapters=adapters)
    before = function.store.objects("adapters/") | function.store.objects("registry/")
    again = function.call("Update", adapters=adapters)
    assert again["Data"]["BytesMoved"] == "0"
    assert function.store.objects("adapters/") | function.store.objects("registry/") == before


def test_deleting_keeps_or_empties_the_bucket_as_the_stage_says(function: Function) -> None:
    commit = function.hub.add("acme/open", dict(factories.adapter(1)))
    function.call(adapters={"open": f"hf://acme/open@{commit}"})
    assert function.call("Delete", adapters={}, RetainData="true") == {"IsComplete": True}
    function.store.check()
    assert function.store.names() == ["open"]
    assert function.call("Delete", adapters={}, RetainData="false") == {"IsComplete": True}
    versions = function.store.s3.list_object_versions(Bucket=function.store.bucket)
    assert not versions.get("Versions")
    assert not versions.get("DeleteMarkers")


def test_a_seeding_that_takes_too_long_fails_before_cloudformation_gives_it_up(function: Function) -> None:
    commit = function.hub.add("acme/open", dict(factories.adapter(1)))
    adapters = {"open": f"hf://acme/open@{commit}"}
    answer = function.call(adapters=adapters, started_at=time.time() - 56 * 60)
    assert "took more than 55 minutes" in answer["errorMessage"]
    assert function.store.names() == []


def test_a_missing_property_is_named(function: Function) -> None:
    client = function.deployed.cloud.client("lambda")
    event = {
        "RequestType": "Create",
        "StartedAt": time.time(),
        "ResourceProperties": {"Bucket": "b"},
    }
    answer = client.invoke(FunctionName=function.name, Payload=json.dumps(event).encode())
    assert (
        "no property ManifestBucket: deploy the stack again"
        in json.loads(answer["Payload"].read())["errorMessage"]
    )


def test_cloudformations_rollback_removes_more_adapters_than_a_deploy_may(function: Function) -> None:
    commit = function.hub.add("acme/open", dict(factories.adapter(1)))
    source = f"hf://acme/open@{commit}"
    few = {"first": source, "second": source}
    many = few | {f"added-{number}": source for number in range(8)}
    name = f"removals-{uuid.uuid4().hex[:12]}"
    assert function.update_stack(name, few).startswith("CREATE_COMPLETE")
    failed = function.update_stack(name, many, fails_after=True)
    assert failed.startswith("UPDATE_ROLLBACK_COMPLETE")
    assert "no property ManifestBucket" in failed
    assert function.store.names() == ["first", "second"]
    assert '"unpublished": 8' in function.logs()
    refused = function.update_stack(name, {})
    assert refused.startswith("UPDATE_ROLLBACK_COMPLETE")
    assert "2 of 2 published adapters are not in the manifest: first, second; nothing was changed" in refused
    assert function.store.names() == ["first", "second"]
    function.store.check()
    assert function.update_stack(name, {"first": source}).startswith("UPDATE_COMPLETE")
    assert function.store.names() == ["first"]
