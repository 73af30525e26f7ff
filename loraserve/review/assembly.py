"""A cloud assembly, read into memory: its stages with their stacks, templates, facts and assets."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from loraserve.errors import UserError
from loraserve.review.difference import Json
from stacks.facts import FACTS_FILE, SCHEMA, AppFacts, StageFacts

#: The hash of an asset's content in a key, an image's tag or a URL.
_HASH = re.compile(r"[0-9a-f]{64}")
#: `aws://account/region`, an environment of the assembly's manifest.
_ENVIRONMENT = re.compile(r"aws://(?P<account>[^/]+)/(?P<region>.+)")

#: The account of a stack that has none.
UNKNOWN_ACCOUNT = "unknown-account"


class AssemblyError(UserError):
    """A folder that is no cloud assembly, or a broken one."""


@dataclass(frozen=True, kw_only=True)
class Stack:
    """One stack of a stage."""

    name: str
    """Name within the stage, e.g. `Serving`."""
    stack_name: str
    """Name in CloudFormation, e.g. `LoraServing-Prod-Serving`."""
    account: str
    """`unknown-account` for the account of the deploying credentials."""
    region: str
    termination_protection: bool
    tags: Mapping[str, str]
    dependencies: tuple[str, ...]
    """Names of the stage's stacks that are deployed before, sorted."""
    template: Mapping[str, Any]

    def without_environment(self, address: str) -> str:
        """Return the address of an asset without account and region, where these are the stack's.

        Only of the CDK's bootstrap resources, e.g. `cdk-hnb659fds-assets-${AWS::AccountId}-us-east-1`:
        any other name with a region in it may be of other owners.
        """
        account = r"\$\{AWS::AccountId\}" if self.account == UNKNOWN_ACCOUNT else re.escape(self.account)
        region = re.escape(self.region)
        bootstrapped = rf"(cdk-[a-z0-9]+-(?:container-)?assets)-{account}-{region}(?![-\w])"
        registry = rf"(?<![-\w.]){account}\.dkr\.ecr\.{region}\.(?=\S+/cdk-[a-z0-9]+-container-assets-)"
        return re.sub(bootstrapped, r"\1", re.sub(registry, "dkr.ecr.", address))

    @property
    def resources(self) -> Mapping[str, Mapping[str, Any]]:
        """The template's resources by logical id."""
        found: Mapping[str, Mapping[str, Any]] = self.template.get("Resources", {})
        return found


@dataclass(frozen=True, kw_only=True)
class Asset:
    """Content that a template names by its hash."""

    path: Path
    """Folder or file in the assembly."""
    is_image: bool
    """A container image's build context."""
    build: Mapping[str, Any]
    """The asset manifest's `source`: packaging, or Dockerfile and build arguments."""


@dataclass(frozen=True, kw_only=True)
class Stage:
    """One stage of the app."""

    id: str
    """Name in the app, e.g. `Prod`."""
    stacks: Mapping[str, Stack]
    """By name within the stage, in the order of deployment."""
    facts: StageFacts | None
    """None in an assembly of a commit that writes none."""
    assets: Mapping[str, Asset]
    """By hash."""

    def asset(self, value: Json) -> Asset | None:
        """Return the asset whose hash a property's value has; None for another value."""
        for found in _HASH.findall(json.dumps(value)):
            if found in self.assets:
                return self.assets[found]
        return None


@dataclass(frozen=True, kw_only=True)
class CloudAssembly:
    """The stages of one side."""

    stages: Mapping[str, Stage]
    """By id."""
    prices_date: str | None
    """Year and month of the prices' table; None without facts."""


def read_assembly(folder: Path) -> CloudAssembly:
    """Read the assembly in `folder`; raises `AssemblyError`."""
    manifest = _json(folder / "manifest.json")
    facts = _facts(folder / FACTS_FILE)
    stages = {}
    try:
        for name, artifact in manifest["artifacts"].items():
            if artifact["type"] == "cdk:cloud-assembly":
                stage = artifact.get("displayName") or name.removeprefix("assembly-")
                nested = folder / artifact["properties"]["directoryName"]
                stages[stage] = _stage(stage, nested, None if facts is None else facts.stages.get(stage))
    except (KeyError, TypeError, AttributeError) as error:
        raise AssemblyError(
            f"{folder}: not a cloud assembly of this app ({error!r}); synthesize it again"
        ) from error
    return CloudAssembly(stages=stages, prices_date=None if facts is None else facts.prices_date)


def _stage(name: str, folder: Path, facts: StageFacts | None) -> Stage:
    artifacts = _json(folder / "manifest.json")["artifacts"]
    stacks: dict[str, Stack] = {}
    assets: dict[str, Asset] = {}
    names = {
        key: artifact["displayName"].split(" ")[0].rpartition("/")[2]
        for key, artifact in artifacts.items()
        if artifact["type"] == "aws:cloudformation:stack"
    }
    for key, artifact in artifacts.items():
        if key in names:
            stacks[names[key]] = _stack(names, key, artifact, folder)
        elif artifact["type"] == "cdk:asset-manifest":
            assets |= _assets(folder, _json(folder / artifact["properties"]["file"]))
    return Stage(id=name, stacks=stacks, facts=facts, assets=assets)


def _stack(names: Mapping[str, str], key: str, artifact: Mapping[str, Any], folder: Path) -> Stack:
    properties = artifact["properties"]
    environment = _ENVIRONMENT.fullmatch(artifact["environment"])
    if environment is None:
        raise AssemblyError(
            f"{folder}: {key} has the environment {artifact['environment']!r}; synthesize it again"
        )
    return Stack(
        name=names[key],
        stack_name=properties.get("stackName", key),
        account=environment["account"],
        region=environment["region"],
        termination_protection=properties.get("terminationProtection", False),
        tags=properties.get("tags", {}),
        dependencies=tuple(sorted(names[each] for each in artifact.get("dependencies", ()) if each in names)),
        template=_template(folder / properties["templateFile"]),
    )


def _template(path: Path) -> dict[str, Any]:
    template = _json(path)
    resources = template.get("Resources", {})
    for name, resource in resources.items() if isinstance(resources, dict) else [("Resources", None)]:
        if not isinstance(resource, dict) or not isinstance(resource.get("Type"), str):
            raise AssemblyError(f"{path}: {name} is no resource with a Type; synthesize the assembly again")
    return template


def _assets(folder: Path, manifest: Mapping[str, Any]) -> dict[str, Asset]:
    found = {}
    for section, is_image in (("files", False), ("dockerImages", True)):
        for key, asset in manifest.get(section, {}).items():
            source = asset["source"]
            path = folder / source.get("path", source.get("directory", ""))
            if path.suffix != ".json" or is_image:  # a template is read as one
                found[key] = Asset(path=path, is_image=is_image, build=source)
    return found


def _facts(path: Path) -> AppFacts | None:
    """Read the facts; None if there are none, or if another version of them is written."""
    if not path.exists():
        return None
    content = _json(path)
    if content.get("schema") != SCHEMA:
        return None
    try:
        return AppFacts.model_validate(content)
    except ValidationError as error:
        problem = error.errors()[0]
        where = ".".join(map(str, problem["loc"]))
        raise AssemblyError(f"{path}: {where}: {problem['msg']}; synthesize the assembly again") from error


def _json(path: Path) -> dict[str, Any]:
    try:
        content = json.loads(path.read_text())
    except FileNotFoundError as error:
        raise AssemblyError(
            f"{path} is missing: name the folder of a cloud assembly, as `make synth` writes it"
        ) from error
    except (OSError, ValueError) as error:
        raise AssemblyError(f"{path} cannot be read ({error}); synthesize the assembly again") from error
    if not isinstance(content, dict):
        raise AssemblyError(f"{path}: not a JSON object; synthesize the assembly again")
    return content
