"""Resources, roles and images that a deployment of a stage will use, read from its cloud assembly.

The assembly has what `cdk deploy` will do: stacks, templates, bootstrap version, roles, bucket, repository
and images (https://github.com/aws/aws-cdk-cli, packages/@aws-cdk/cloud-assembly-schema).
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from loraserve.cdk import cdk
from loraserve.doctor.caller import Caller

#: CDK's placeholders in the assembly of a stage without an account.
_ACCOUNT, _PARTITION = "${AWS::AccountId}", "${AWS::Partition}"


@dataclass(frozen=True)
class PlannedStack:
    """A stack of the stage, as it will be deployed."""

    path: str
    """Its path in the app, e.g. `Dev/Serving`."""
    name: str
    """Its name in CloudFormation, e.g. `LoraServing-Dev-Serving`."""
    resources: dict[str, dict[str, Any]]
    """The template's resources by logical id."""


@dataclass(frozen=True)
class ImageBuild:
    """A container image that the deployment builds."""

    platform: str
    """E.g. `linux/amd64`; empty for the platform of the machine that builds."""
    base: str
    """The base image; empty if it is not an argument of the build."""


@dataclass(frozen=True)
class Deployment:
    """All that a deployment of a stage will use."""

    stacks: tuple[PlannedStack, ...]
    bootstrap_parameter: str
    """SSM parameter with the version of the bootstrap stack."""
    bootstrap_version: int
    """Minimum version of the bootstrap stack."""
    roles: tuple[str, ...]
    """ARNs of the bootstrap's roles that the CDK CLI assumes, with CDK's placeholders."""
    buckets: tuple[str, ...]
    """Buckets that assets are uploaded to, with CDK's placeholders."""
    repositories: tuple[str, ...]
    """ECR repositories that images are pushed to, with CDK's placeholders."""
    images: tuple[ImageBuild, ...]
    """Images that Docker builds; empty if the stage uses an existing image."""

    def resources(self, kind: str) -> Iterator[dict[str, Any]]:
        """Yield the properties of each resource of a CloudFormation type."""
        for stack in self.stacks:
            for resource in stack.resources.values():
                if resource["Type"] == kind:
                    yield resource.get("Properties", {})


def synthesize(stage: str, assembly: Path) -> Deployment:
    """Synthesize a stage into the folder `assembly` and read it; raises `loraserve.cdk.CdkError`."""
    cdk("synth", "--quiet", "--context", f"stage={stage}", environment=os.environ, output=assembly)
    return read(assembly)


def read(assembly: Path) -> Deployment:
    """Read a cloud assembly with one stage."""
    found = [(folder, artifact) for folder, artifact in _artifacts(assembly)]
    stacks = [pair for pair in found if pair[1]["type"] == "aws:cloudformation:stack"]
    manifests = [pair for pair in found if pair[1]["type"] == "cdk:asset-manifest"]
    documents = [json.loads((folder / a["properties"]["file"]).read_text()) for folder, a in manifests]
    files = [file for document in documents for file in document.get("files", {}).values()]
    images = [image for document in documents for image in document.get("dockerImages", {}).values()]
    targets = [target for asset in files + images for target in asset["destinations"].values()]
    properties = [artifact["properties"] for _, artifact in stacks + manifests]
    return Deployment(
        stacks=tuple(_stack(folder, artifact) for folder, artifact in stacks),
        bootstrap_parameter=properties[0]["bootstrapStackVersionSsmParameter"],
        bootstrap_version=max(found["requiresBootstrapStackVersion"] for found in properties),
        roles=_distinct("assumeRoleArn", [*properties, *targets]),
        buckets=_distinct("bucketName", targets),
        repositories=_distinct("repositoryName", targets),
        images=tuple(_image(image["source"]) for image in images),
    )


def resolved(text: str, caller: Caller) -> str:
    """Replace CDK's placeholders by the account and partition of the credentials."""
    return text.replace(_ACCOUNT, caller.account).replace(_PARTITION, caller.partition)


def _artifacts(assembly: Path) -> Iterator[tuple[Path, dict[str, Any]]]:
    """Yield the artifacts with the folder of their files, those of nested assemblies included."""
    manifest = json.loads((assembly / "manifest.json").read_text())
    for artifact in manifest["artifacts"].values():
        if artifact["type"] == "cdk:cloud-assembly":
            yield from _artifacts(assembly / artifact["properties"]["directoryName"])
        else:
            yield assembly, artifact


def _stack(folder: Path, artifact: dict[str, Any]) -> PlannedStack:
    template = json.loads((folder / artifact["properties"]["templateFile"]).read_text())
    path = artifact["displayName"].split(" ")[0]
    return PlannedStack(path, artifact["properties"]["stackName"], template.get("Resources", {}))


def _image(source: dict[str, Any]) -> ImageBuild:
    arguments = list(source.get("dockerBuildArgs", {}).values())
    return ImageBuild(source.get("platform", ""), arguments[0] if len(arguments) == 1 else "")


def _distinct(key: str, documents: list[dict[str, Any]]) -> tuple[str, ...]:
    return tuple(sorted({document[key] for document in documents if key in document}))
