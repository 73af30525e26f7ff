"""CloudFormation's own differences of each stack's template between the working tree and a git revision.

`cdk diff` compares the templates of two assemblies: it needs no credentials, Docker or network. Both are
synthesized as for a review.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from pathlib import Path

from rich.console import Console

from loraserve.cdk import cdk
from loraserve.review.sides import synthesized_sides


def diff(console: Console, base: str | None, stage: str | None, *, same_packages: bool) -> None:
    """Print `cdk diff` of each stack; raises the errors of `synthesized_sides`."""
    with synthesized_sides(base, stage, same_packages=same_packages) as (before, after):
        console.print(
            f"base {before.commit[:7]} ({before.name}) · head {after.commit[:7]} ({after.name})",
            markup=False,
            highlight=False,
        )
        if before.has_heads_packages:
            console.print("The base has the head's packages: changes of packages are not shown.")
        old, new = dict(stack_templates(before.assembly)), dict(stack_templates(after.assembly))
        for path in new:
            if path not in old:
                console.print(f"Stack [bold]{path}[/]: new")
                continue
            printed = cdk(
                "diff", path, "--exclusively", "--template", str(old[path]), "--app", str(after.assembly),
                environment=os.environ, output=after.assembly,
            )  # fmt: skip
            console.print(printed.strip(), markup=False, highlight=False)
        for path in old.keys() - new.keys():
            console.print(f"Stack [bold]{path}[/]: removed from the app")


def stack_templates(assembly: Path) -> Iterator[tuple[str, Path]]:
    """Yield the path (`Dev/Serving`) and template file of each stack of a cloud assembly, stages included."""
    manifest = json.loads((assembly / "manifest.json").read_text())
    for artifact in manifest["artifacts"].values():
        if artifact["type"] == "cdk:cloud-assembly":
            yield from stack_templates(assembly / artifact["properties"]["directoryName"])
        elif artifact["type"] == "aws:cloudformation:stack":
            yield artifact["displayName"].split(" ")[0], assembly / artifact["properties"]["templateFile"]
