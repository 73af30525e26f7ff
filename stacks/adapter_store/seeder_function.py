"""The seeder: two Lambda functions, their packages, and the asset with the adapters to publish."""

from __future__ import annotations

import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

import aws_cdk as cdk
from aws_cdk import aws_lambda as lambda_
from aws_cdk import aws_logs as logs
from aws_cdk import aws_s3_assets as s3_assets
from constructs import Construct

from stacks.config.local_model import LocalModel
from stacks.config.manifest import Manifest, write_json
from stacks.project import LAMBDA_LAYER, ROOT, only

#: A seeding invocation stops itself before Lambda's 15 minutes; the next one continues.
SEEDER_TIMEOUT = cdk.Duration.minutes(15)
#: CloudFormation's wait for the whole seeding; an hour is its maximum.
SEEDING_TIMEOUT = cdk.Duration.hours(1)
QUERY_INTERVAL = cdk.Duration.seconds(5)


@dataclass(frozen=True, kw_only=True)
class AdapterSources:
    """The manifest, and the directory that its relative paths start from."""

    manifest: Manifest
    directory: Path


@dataclass(frozen=True, kw_only=True)
class PackedManifest:
    """The packed manifest, local adapters and local model."""

    asset: s3_assets.Asset
    """All of it: the template holds only its hash."""
    adapters: list[dict[str, Any]]
    """The packed manifest's entries, see `Manifest.pack`."""


def desired_state(
    scope: Construct, adapters: AdapterSources, local_model: LocalModel | None
) -> PackedManifest:
    """Pack manifest, local adapters and local model as one asset."""
    with tempfile.TemporaryDirectory() as folder:
        target = Path(folder)
        packed = adapters.manifest.pack(adapters.directory, target)
        content = {
            "adapters": packed,
            "removals": adapters.manifest.removable_share,
            "model": {} if local_model is None else local_model.pack(target),
        }
        write_json(target / "manifest.json", content)
        return PackedManifest(asset=s3_assets.Asset(scope, "Manifest", path=folder), adapters=packed)


def seeder_function(
    scope: Construct, construct_id: str, *, handler: str, timeout: cdk.Duration, log_retention_days: int
) -> lambda_.Function:
    """Create the function whose handler is `handle` in the module `handler` of `lambdas.adapter_seeder`."""
    return lambda_.Function(
        scope,
        construct_id,
        runtime=lambda_.Runtime.PYTHON_3_13,
        architecture=lambda_.Architecture.ARM_64,
        handler=f"lambdas.adapter_seeder.{handler}.handle",
        code=lambda_.Code.from_asset(
            str(ROOT), exclude=only("adapters", "ingest", "lambdas"), ignore_mode=cdk.IgnoreMode.DOCKER
        ),
        timeout=timeout,
        memory_size=512,
        log_group=log_group(scope, f"{construct_id}Logs", retention_days=log_retention_days),
    )


def packages_layer(scope: Construct) -> lambda_.LayerVersion:
    """Create the layer with the packages of lambdas/requirements.txt."""
    return lambda_.LayerVersion(
        scope,
        "SeederPackages",
        description="Packages of lambdas/requirements.txt",
        code=lambda_.Code.from_asset(str(LAMBDA_LAYER)),
        compatible_runtimes=[lambda_.Runtime.PYTHON_3_13],
        compatible_architectures=[lambda_.Architecture.ARM_64],
    )


def log_group(scope: Construct, construct_id: str, *, retention_days: int) -> logs.LogGroup:
    """Create a log group that is deleted with the stack."""
    group = logs.LogGroup(scope, construct_id, removal_policy=cdk.RemovalPolicy.DESTROY)
    resource = cast(logs.CfnLogGroup, group.node.default_child)
    # The L2 construct takes an enum of periods instead of a number of days.
    resource.retention_in_days = retention_days
    return group
