"""A stage in a folder of the tests, deployed into a laptop cloud by the CDK CLI, changed by its file."""

from __future__ import annotations

import itertools
import json
import shlex
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import aws_cdk
import yaml

from laptop_cloud.cloud import Cloud
from loraserve.cdk import cdk
from loraserve.client import EndpointClient, runtime_config
from stacks.config.loading import load_stage
from stacks.config.stage_config import LoadedStage
from stacks.project import ROOT
from stacks.serving.serving_stack import VARIANT
from tests.harness.waiting import wait_until
from tests.local.updates import stage_app
from tests.local.updates.callers import Callers
from tests.policy.matrix import merged

#: Context that the CDK CLI passes to an app besides cdk.json: without it, each of the two would undo the
#: other's metadata.
_CLI_CONTEXT = {
    "aws:cdk:enable-path-metadata": True,
    "aws:cdk:enable-asset-metadata": True,
    "aws:cdk:version-reporting": True,
}


class Stage:
    """Actions of a platform engineer on a stage."""

    def __init__(
        self, cloud: Cloud, folder: Path, name: str, file: dict[str, Any], adapters: Sequence[str]
    ) -> None:
        """Nothing is deployed yet; `file` is the stage file's content, but for its manifest."""
        self.id = name.capitalize()
        self.endpoint = f"LoraServing-{self.id}-Serving"
        self.boto3 = cloud.client
        self.sagemaker = cloud.client("sagemaker")
        self._cloud, self._folder, self._name = cloud, folder, name
        self._outputs = itertools.count()
        self.file: dict[str, Any] = {}
        samples = folder / "samples"
        if not samples.exists():
            samples.symlink_to(ROOT / "samples")
        self.edit(**file, adapters=f"{name}/adapters.yaml")
        self.list_adapters(*adapters)

    def edit(self, **overlay: Any) -> None:
        """Change keys of the stage file; sections are merged."""
        self.write(merged(self.file, overlay))

    def write(self, file: dict[str, Any]) -> None:
        """Replace the stage file."""
        self.file = file
        (self._folder / f"{self._name}.yaml").write_text(yaml.safe_dump(self.file))

    def list_adapters(self, *names: str) -> None:
        """Change the manifest to the sample adapters of these names."""
        self.adapters = names
        manifest = self._folder / self._name / "adapters.yaml"
        manifest.parent.mkdir(exist_ok=True)
        entries = [{"name": name, "source": f"../samples/adapters/{name}"} for name in names]
        manifest.write_text(yaml.safe_dump({"adapters": entries}))

    def cdk(self, *arguments: str) -> str:
        """Run the CDK CLI on the folder's app, or on the one that `arguments` name; raises `CdkError`."""
        command = [sys.executable, "-m", "tests.local.updates.stage_app", str(self._folder)]
        app = () if "--app" in arguments else ("--app", shlex.join(command))
        environment = {**self._cloud.environment, "JSII_NODE": str(ROOT / ".venv" / "bin" / "synth-node")}
        return cdk(*arguments, *app, environment=environment, output=self.assembly)

    def deploy(self) -> str:
        """`cdk deploy` of all stacks; raises `CdkError`."""
        return self.cdk("deploy", f"{self.id}/*", "--require-approval", "never", *self.synthesized())

    @property
    def loaded(self) -> LoadedStage:
        """The stage as the command line loads it."""
        return load_stage(self._folder / f"{self._name}.yaml")

    def synthesized(self) -> tuple[str, str]:
        """CLI arguments for an assembly of all stages, made in this process: it takes a tenth of the time."""
        output = str(self._folder / f"assembly-{next(self._outputs)}")
        context = json.loads((ROOT / "cdk.json").read_text())["context"] | _CLI_CONTEXT
        stage_app.main(aws_cdk.App(context=context, outdir=output), self._folder)
        return "--app", output

    @property
    def assembly(self) -> Path:
        """Path of the cloud assembly."""
        return self._folder / "cdk.out"

    @property
    def client(self) -> EndpointClient:
        return EndpointClient(self.endpoint, self._cloud.client("sagemaker-runtime", runtime_config()))

    def callers(self) -> Callers:
        """Callers of the base model and of every adapter in the manifest."""
        return Callers(self.client, self.adapters)

    def described(self) -> Any:
        """DescribeEndpoint's answer."""
        return self.sagemaker.describe_endpoint(EndpointName=self.endpoint)

    def config(self) -> str:
        """The name of the endpoint configuration in force."""
        return str(self.described()["EndpointConfigName"])

    def count(self) -> int:
        """The number of instances, once it is the desired one and nothing is under way."""
        wait_until(
            lambda: self.described()["EndpointStatus"] == "InService", f"{self.endpoint} is in service"
        )
        [variant] = self.described()["ProductionVariants"]
        assert variant["CurrentInstanceCount"] == variant["DesiredInstanceCount"]
        return int(variant["CurrentInstanceCount"])

    def scale(self, count: int) -> None:
        """Set the instance count, as autoscaling does; returns when it is done."""
        wanted = [{"VariantName": VARIANT, "DesiredInstanceCount": count}]
        self.sagemaker.update_endpoint_weights_and_capacities(
            EndpointName=self.endpoint, DesiredWeightsAndCapacities=wanted
        )
        assert self.count() == count

    def limits(self) -> tuple[int, int] | None:
        """The scalable target's fewest and most instances; None if the endpoint is not scaled."""
        scaling = self._cloud.client("application-autoscaling")
        found = scaling.describe_scalable_targets(
            ServiceNamespace="sagemaker", ResourceIds=[f"endpoint/{self.endpoint}/variant/{VARIANT}"]
        )["ScalableTargets"]
        return (found[0]["MinCapacity"], found[0]["MaxCapacity"]) if found else None

    def status(self, stack: str) -> str:
        """The status of one of its stacks."""
        name = f"LoraServing-{self.id}-{stack}"
        [found] = self._cloud.client("cloudformation").describe_stacks(StackName=name)["Stacks"]
        return str(found["StackStatus"])
