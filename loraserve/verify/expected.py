"""Expected state of a stage: by a release, by an assembly, or by the stacks that are deployed."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from loraserve.aws import Client
from loraserve.errors import NotDeployed
from loraserve.release.opened import OpenedRelease
from loraserve.review.assembly import read_assembly
from loraserve.stacks_deployed import deployed_template, stage_stacks
from stacks.config.stage_target import StageTarget


@dataclass(frozen=True, kw_only=True)
class ExpectedStack:
    """A stack that should be deployed."""

    template: Mapping[str, Any]
    termination_protection: bool | None
    """None: not compared."""


@dataclass(frozen=True, kw_only=True)
class Expected:
    """Expected state of a stage."""

    stacks: Mapping[str, ExpectedStack]
    """By name within the stage, e.g. `Serving`."""
    adapters: Mapping[str, str | None] | None
    """Published names, each with its content digest or None if the manifest has none; None: not
    compared."""
    image_digest: str | None
    """`sha256:…` of the container's image; None: not compared."""
    release: str | None
    """Id of the release; None for a deployment by hand."""

    @property
    def title(self) -> str:
        """Origin of the expectation, e.g. `release 2026-11-27-1a2b3c4`."""
        return "the deployment" if self.release is None else f"release {self.release}"

    def resources(self, kind: str) -> Iterator[Mapping[str, Any]]:
        """Yield the properties of each resource of a CloudFormation type."""
        for stack in self.stacks.values():
            for resource in stack.template.get("Resources", {}).values():
                if resource["Type"] == kind:
                    yield resource.get("Properties", {})


def expected_of_release(opened: OpenedRelease, stage: str) -> Expected:
    """Expect a stage of a release; raises `ReleaseError` if the release does not have it.

    The digest of an image that deployments build is not in the release: the record of the deployment has it.
    """
    described = opened.stage(stage)
    return replace(
        expected_of_assembly(opened.assembly, described.target),
        image_digest=(described.image.uri or "").partition("@")[2] or None,
        release=opened.release.release,
    )


def expected_of_assembly(assembly: Path, target: StageTarget) -> Expected:
    """Expect what the cloud assembly of a deployment by hand has; raises `AssemblyError`."""
    stage = read_assembly(assembly).stages[target.id]
    return Expected(
        stacks={
            name: ExpectedStack(template=stack.template, termination_protection=stack.termination_protection)
            for name, stack in stage.stacks.items()
        },
        adapters=None if stage.facts is None else stage.facts.adapter_digests,
        image_digest=None,
        release=None,
    )


def expected_of_stacks(target: StageTarget, client: Client) -> Expected:
    """Expect what CloudFormation has deployed; raises `NotDeployed` if the stage has no stack."""
    cloudformation = client("cloudformation")
    names = [stack["StackName"] for stack in stage_stacks(cloudformation, target)]
    if not names:
        raise NotDeployed(
            f"stage {target.name!r} has no stack in {target.region}: deploy it with "
            f"'make deploy STAGE={target.name}'"
        )
    return Expected(
        stacks={
            name.removeprefix(target.stack_name("")): ExpectedStack(
                template=deployed_template(cloudformation, name), termination_protection=None
            )
            for name in names
        },
        adapters=None,
        image_digest=None,
        release=None,
    )
