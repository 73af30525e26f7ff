"""Minimal operations that need each IAM permission. Each returns the failure, or "" if it succeeded."""

import hashlib
import io
import json
import time
import urllib.request
import uuid
import zipfile
from dataclasses import dataclass, field
from typing import Any

import boto3
import numpy as np
from safetensors.numpy import save

from adapters.store.layout import ADAPTER_FILES
from ingest.model_files import MODEL_CONFIG
from lambdas.adapter_seeder.iam_propagation import PROPAGATION_SECONDS
from laptop_cloud.api.account import DEFAULT_REGION
from loraserve import local_stage
from loraserve.client import InvocationError
from samples.problems import SEED_PROBLEM
from samples.spec import ADAPTERS_DIR
from stacks.project import ROOT
from tests.harness.sample_adapters import digest_of, sample_files
from tests.local.conftest import Deployed
from tests.local.enforced_iam.rights import Roles
from tests.local.processes import container_environment

#: Weights of more than one part: see `adapters.store.transfer.PART_BYTES`.
_LARGE = save({"norm.weight": np.zeros(33 * 1024 * 1024, np.uint8)})
_OWNER = "enforced-iam"
_LOG_LIMIT_S = 5.0


def _base_files() -> dict[str, bytes]:
    return {
        path.name: path.read_bytes()
        for path in sorted((ROOT / "samples" / "base").iterdir())
        if path.is_file()
    }


@dataclass
class Operations:
    """Operations on the deployed stage."""

    deployed: Deployed
    roles: Roles
    _fresh: list[str] = field(default_factory=lambda: sorted(path.name for path in ADAPTERS_DIR.iterdir()))

    def use_a_fresh_adapter(self) -> str:
        """Request an adapter for the first time, so that the gateway reads its entry and its files."""
        try:
            self.deployed.client.generate(SEED_PROBLEM.prompt, adapter=self._fresh.pop(), max_new_tokens=1)
        except InvocationError as error:
            return str(error)
        return ""

    def as_the_container(self) -> Any:
        """Return a client of S3 with the credentials that the platform gives to the deployed container."""
        # A container of another operation's endpoint may still be ending.
        variables = container_environment(self.deployed.cloud.state / "endpoints" / self.deployed.endpoint)
        request = urllib.request.Request(  # noqa: S310 — the laptop cloud's address
            variables["AWS_CONTAINER_CREDENTIALS_FULL_URI"],
            headers={"Authorization": variables["AWS_CONTAINER_AUTHORIZATION_TOKEN"]},
        )
        with urllib.request.urlopen(request, timeout=10) as answer:  # noqa: S310
            given = json.load(answer)
        session = boto3.Session(
            given["AccessKeyId"], given["SecretAccessKey"], given["Token"], DEFAULT_REGION
        )
        return session.client("s3", endpoint_url=self.deployed.cloud.url)

    def create_a_probe(self) -> str:
        s3 = self.as_the_container()
        key = f"probes/{uuid.uuid4().hex[:16]}/one.json"
        try:
            s3.put_object(Bucket=self.deployed.bucket, Key=key, Body=b"{}", IfNoneMatch="*")
        except s3.exceptions.ClientError as error:
            return str(error)
        return ""

    def mount_the_model(self) -> str:
        """Create an endpoint with the deployed model's data, which the platform lists and downloads."""
        [model] = self._models()
        name, status, reason = self._start(model["PrimaryContainer"]["ModelDataSource"])
        self.roles.client("sagemaker").delete_endpoint(EndpointName=name)
        return "" if status == "InService" else str(reason)

    def start_with(self, role_arn: str) -> str:
        """Create an endpoint with another role."""
        _, status, reason = self._start(role_arn=role_arn)
        return "" if status == "InService" else str(reason)

    def log_from_a_new_endpoint(self) -> str:
        """Create an endpoint whose log group does not exist yet; a logging failure does not stop it."""
        name, status, reason = self._start()
        assert status == "InService", reason
        try:
            return self._logging_failure(name)
        finally:
            self.roles.client("sagemaker").delete_endpoint(EndpointName=name)

    def update_under_alarms(self) -> str:
        """Update an endpoint under one of the stage's alarms, whose state the platform reads."""
        name, status, reason = self._start()
        assert status == "InService", reason
        sagemaker = self.roles.client("sagemaker")
        alarm = {"AlarmName": f"{self.deployed.endpoint}-wrong-adapter"}
        routing = {"Type": "ALL_AT_ONCE", "WaitIntervalInSeconds": 0}
        sagemaker.update_endpoint(
            EndpointName=name,
            EndpointConfigName=name,
            DeploymentConfig={
                "BlueGreenUpdatePolicy": {"TrafficRoutingConfiguration": routing},
                "AutoRollbackConfiguration": {"Alarms": [alarm]},
            },
        )
        busy = ("Updating", "RollingBack")
        while (described := sagemaker.describe_endpoint(EndpointName=name))["EndpointStatus"] in busy:
            time.sleep(0.1)
        sagemaker.delete_endpoint(EndpointName=name)
        return str(described.get("FailureReason", ""))

    def _start(
        self, data: dict[str, Any] | None = None, role_arn: str | None = None
    ) -> tuple[str, str, str | None]:
        """Create an endpoint, by default with the deployed role; return name, status, failure reason."""
        # The role may write to all log groups whose name begins with the deployed endpoint's.
        name = f"{self.deployed.endpoint}-{uuid.uuid4().hex[:12]}"
        sagemaker = self.roles.client("sagemaker")
        [deployed] = self._models()
        container = {"Image": "localhost/logging"} | ({"ModelDataSource": data} if data else {})
        sagemaker.create_model(
            ModelName=name,
            ExecutionRoleArn=role_arn or deployed["ExecutionRoleArn"],
            PrimaryContainer=container,
        )
        variant = {
            "VariantName": "Main",
            "ModelName": name,
            "InstanceType": "ml.g5.xlarge",
            "InitialInstanceCount": 1,
        }
        sagemaker.create_endpoint_config(EndpointConfigName=name, ProductionVariants=[variant])
        sagemaker.create_endpoint(EndpointName=name, EndpointConfigName=name)
        while (described := sagemaker.describe_endpoint(EndpointName=name))["EndpointStatus"] == "Creating":
            time.sleep(0.1)
        return name, described["EndpointStatus"], described.get("FailureReason")

    def _models(self) -> list[dict[str, Any]]:
        """Describe the deployed endpoint's models."""
        sagemaker = self.roles.client("sagemaker")
        config = sagemaker.describe_endpoint(EndpointName=self.deployed.endpoint)["EndpointConfigName"]
        variants = sagemaker.describe_endpoint_config(EndpointConfigName=config)["ProductionVariants"]
        return [sagemaker.describe_model(ModelName=variant["ModelName"]) for variant in variants]

    def _logging_failure(self, endpoint: str) -> str:
        group = f"/aws/sagemaker/Endpoints/{endpoint}"
        logs = self.roles.client("logs")
        deadline = time.monotonic() + _LOG_LIMIT_S
        while time.monotonic() < deadline:
            reported = [
                line
                for line in (self.deployed.cloud.state / "cloud.log").read_text().splitlines()
                if "no logs of" in line and f"{group}:" in line
            ]
            if reported:
                return reported[-1]
            groups = logs.describe_log_groups(logGroupNamePrefix=group)["logGroups"]
            if groups and logs.filter_log_events(logGroupName=group)["events"]:
                return ""
            time.sleep(0.2)
        return f"nothing in {group}, and the log of the cloud has no reason"

    def seed(self, adapters: int = 0, model: dict[str, bytes] | None = None, model_sha256: str = "") -> str:
        """Call the worker with a manifest of this many adapters, and a model to upload to the bucket."""
        archive = io.BytesIO()
        base = _base_files() if model is None else model
        listed = []
        with zipfile.ZipFile(archive, "w", zipfile.ZIP_DEFLATED, compresslevel=1) as asset:
            for file, content in base.items():
                asset.writestr(f"model/{file}", content)
            for name in sorted(path.name for path in ADAPTERS_DIR.iterdir())[:adapters]:
                files = sample_files(name)
                for file in ADAPTER_FILES:
                    asset.writestr(f"adapters/{digest_of(files)}/{file}", files[file])
                listed.append(
                    {
                        "names": [f"{_OWNER}/{name}"],
                        "source": f"asset://{digest_of(files)}/",
                        "sha256": hashlib.sha256(files["adapter_model.safetensors"]).hexdigest(),
                        "digest": digest_of(files),
                        "origin": "",
                        "labels": {},
                        "limits": {},
                        "tenant_limits": {},
                    }
                )
            hashes = {
                file: model_sha256 or hashlib.sha256(content).hexdigest() for file, content in base.items()
            }
            asset.writestr(
                "manifest.json", json.dumps({"adapters": listed, "removals": 0.2, "model": hashes})
            )
        prefix = "" if model is None else f"models/{_OWNER}/{uuid.uuid4().hex[:16]}/"
        return self._call_worker("Update", ManifestKey=self._asset(archive.getvalue()), ModelPrefix=prefix)

    def publish_and_unpublish(self) -> str:
        """Publish a name and remove it, which retires its revision."""
        return self.seed(adapters=1) or self.seed()

    def publish_again(self) -> str:
        """Publish a retired revision again."""
        return self.publish_and_unpublish() or self.seed(adapters=1) or self.seed()

    def remove_more_than_allowed(self) -> str:
        """Publish two names and remove both, which is refused; the removals are not checked by mistake."""
        said = self.seed(adapters=2)
        if said:
            return said
        said = self.seed()
        if "2 of 2 published adapters are not in the manifest" in said:
            return self.seed(adapters=1) or self.seed()
        key = f"seeding/{_OWNER}/status.json"
        status = self.roles.client("s3").get_object(Bucket=self.deployed.bucket, Key=key)["Body"]
        return said or str(json.load(status)["warnings"])

    def upload_in_parts(self) -> str:
        return self.seed(model={MODEL_CONFIG: b"{}", "model.safetensors": _LARGE})

    def abort_an_upload(self) -> str:
        """Upload a file whose hash is not the manifest's: the upload is aborted with an error."""
        said = self.seed(model={MODEL_CONFIG: b"{}", "model.safetensors": _LARGE}, model_sha256="0" * 64)
        return "" if "hashes to" in said else said or "it was taken"

    def empty_the_bucket(self) -> str:
        """Delete the store; call this only if it has to fail."""
        return self._call_worker("Delete", RetainData="false")

    def _asset(self, content: bytes) -> str:
        """Overwrite the deployed manifest with another one: the worker may read no other asset."""
        key = self.roles.property("Custom::AdapterSeeding", "ManifestKey")
        bucket = self._properties()["ManifestBucket"]
        self.roles.client("s3").put_object(Bucket=bucket, Key=key, Body=content)
        return key

    def _stack_id(self) -> str:
        client = self.roles.client("cloudformation")
        [stack] = client.describe_stacks(StackName=local_stage.STORE_STACK)["Stacks"]
        return str(stack["StackId"])

    def _call_worker(self, request: str, **changed: str) -> str:
        event = {
            "RequestType": request,
            "StackId": self._stack_id(),
            # So long ago that a denial counts at once.
            "StartedAt": time.time() - PROPAGATION_SECONDS,
            "ResourceProperties": self._properties() | {"Owner": _OWNER} | changed,
        }
        answer = self.roles.client("lambda").invoke(
            FunctionName=self.roles.physical_id("AWS::Lambda::Function", "SeederWorker"),
            Payload=json.dumps(event).encode(),
        )
        said = json.loads(answer["Payload"].read())
        return "" if said.get("IsComplete") else str(said.get("errorMessage", said))

    def seed_through_cloudformation(self) -> str:
        """Create a stack with one custom resource of the deployed provider and a manifest without adapters."""
        name = f"seeding-{uuid.uuid4().hex[:12]}"
        archive = io.BytesIO()
        base = _base_files()
        with zipfile.ZipFile(archive, "w") as asset:
            for file, content in base.items():
                asset.writestr(f"model/{file}", content)
            hashes = {file: hashlib.sha256(content).hexdigest() for file, content in base.items()}
            asset.writestr("manifest.json", json.dumps({"adapters": [], "removals": 0.2, "model": hashes}))
        properties = self._properties() | {
            "ServiceToken": self._provider(),
            "ManifestKey": self._asset(archive.getvalue()),
            "ModelPrefix": "",
            "Owner": _OWNER,
            "RetainData": "true",
        }
        template = {"Resources": {"Seeding": {"Type": "Custom::Seeding", "Properties": properties}}}
        client = self.roles.client("cloudformation")
        started = round(time.time() * 1000)
        client.create_stack(StackName=name, TemplateBody=json.dumps(template), OnFailure="DO_NOTHING")
        while True:
            [stack] = client.describe_stacks(StackName=name)["Stacks"]
            refused = self._provider_refusals(started)
            if refused:
                # The provider's second function treats the refusal as "not complete" and repeats the call.
                return refused
            if not stack["StackStatus"].endswith("IN_PROGRESS"):
                break
            time.sleep(0.2)
        events = client.describe_stack_events(StackName=name)["StackEvents"]
        client.delete_stack(StackName=name)
        if stack["StackStatus"] == "CREATE_COMPLETE":
            return ""
        return " ".join(event.get("ResourceStatusReason", "") for event in events)

    def _provider_refusals(self, since: int) -> str:
        """Return IAM's refusals in the logs of the provider's functions since then (milliseconds)."""
        events = self.roles.client("logs").filter_log_events(
            logGroupName=self.roles.physical_id("AWS::Logs::LogGroup", "ProviderLogs"), startTime=since
        )["events"]
        return " ".join(event["message"] for event in events if "not authorized" in event["message"])

    def _provider(self) -> str:
        name = self.roles.physical_id("AWS::Lambda::Function", "ProviderframeworkonEvent")
        found = self.roles.client("lambda").get_function(FunctionName=name)
        return str(found["Configuration"]["FunctionArn"])

    def _properties(self) -> dict[str, str]:
        """Properties of the deployed custom resource, without those that a caller sets."""
        return {
            "Bucket": self.deployed.bucket,
            "ManifestBucket": "cdk-hnb659fds-assets-000000000000-us-east-1",
            "Engine": "vllm",
            "MaxAdapterRank": "8",
            "AdapterTargetModules": "q_proj,v_proj",
            "TensorParallel": "1",
            "BaseModel": "tiny-mistral",
            "BaseModelNames": "[]",
            "BaseModelRevision": "",
            "ModelPrefix": "",
            "TrustRemoteCode": "false",
            "HubEndpoint": "http://127.0.0.1:9",
            "HubTokenSecret": "",
            "RetainData": "true",
        }
