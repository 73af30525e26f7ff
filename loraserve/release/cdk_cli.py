"""The CDK CLI that deploys a release: its version must read the assembly's schema."""

from __future__ import annotations

import os
from collections.abc import Iterator

from loraserve.cdk import CdkError, cdk
from loraserve.finding import Finding, ok, problem
from loraserve.release.opened import OpenedRelease

_CHECK = "CDK CLI"


def check_cdk_cli(opened: OpenedRelease) -> Iterator[Finding]:
    """Let the CLI list the release's stacks, which reads its manifests and calls nothing.

    A CLI reads the schema of its time and earlier ones. A release was made with the versions that
    `release.json` names, and another commit may deploy it, e.g. in a rollback.
    """
    built = opened.release.versions
    try:
        cdk("list", "--app", str(opened.assembly), environment=os.environ, output=opened.assembly)
    except CdkError as error:
        yield problem(
            _CHECK,
            f"it cannot read the release, which aws-cdk {built['aws-cdk']} has written: {error}",
            f"use a working copy of the commit {opened.release.commit[:7]}, or a later one, and run `make "
            "setup` in it",
        )
        return
    yield ok(_CHECK, f"it reads the release's schema {built['assembly-schema']}")
