"""The differences of each stack's template between the working tree and a git revision.

Both sides are synthesized here, and `cdk diff` compares the templates: it needs no credentials, Docker or
network.
"""

from __future__ import annotations

import json
import os
import subprocess
from collections.abc import Iterator
from pathlib import Path
from tempfile import TemporaryDirectory

from rich.console import Console

from loraserve.cdk import cdk
from loraserve.errors import UserError
from stacks.project import ROOT

PYTHON = ROOT / ".venv" / "bin" / "python"


class DiffError(UserError):
    """A git revision that cannot be checked out for the comparison."""


def diff(console: Console, base: str, stage: str | None) -> None:
    """Print `cdk diff` of each stack; raises `DiffError` if the base revision cannot be synthesized."""
    context = () if stage is None else ("--context", f"stage={stage}")
    with TemporaryDirectory(prefix="cdk-diff-") as folder:
        head, before = Path(folder) / "head", Path(folder) / "base"
        cdk("synth", "--quiet", *context, environment=os.environ, output=head)
        _synth_base(base, context, Path(folder) / "tree", before)
        templates = dict(stack_templates(before))
        for path, _ in stack_templates(head):
            if path not in templates:
                console.print(f"Stack [bold]{path}[/]: new")
                continue
            printed = cdk(
                "diff", path, "--exclusively", "--template", str(templates[path]), "--app", str(head),
                environment=os.environ, output=head,
            )  # fmt: skip
            console.print(printed.strip(), markup=False, highlight=False)
        for path in templates.keys() - dict(stack_templates(head)).keys():
            console.print(f"Stack [bold]{path}[/]: removed from the app")


def stack_templates(assembly: Path) -> Iterator[tuple[str, Path]]:
    """Yield the path (`Dev/Serving`) and template file of each stack of a cloud assembly, stages included."""
    manifest = json.loads((assembly / "manifest.json").read_text())
    for artifact in manifest["artifacts"].values():
        if artifact["type"] == "cdk:cloud-assembly":
            yield from stack_templates(assembly / artifact["properties"]["directoryName"])
        elif artifact["type"] == "aws:cloudformation:stack":
            yield artifact["displayName"].split(" ")[0], assembly / artifact["properties"]["templateFile"]


def _synth_base(base: str, context: tuple[str, ...], tree: Path, output: Path) -> None:
    try:
        _git("worktree", "add", "--detach", str(tree), base)
        environment = os.environ | {"PYTHONPATH": str(tree)}
        _build_layer(tree, environment)
        cdk(
            "synth", "--quiet", *context, "--app", f"{PYTHON} {tree / 'app.py'}",
            environment=environment, output=output,
        )  # fmt: skip
    finally:
        subprocess.run(["git", "worktree", "remove", "--force", str(tree)], cwd=ROOT, capture_output=True)  # noqa: PLW1510, S607


def _build_layer(tree: Path, environment: dict[str, str]) -> None:
    """Build the base revision's Lambda layer; the CDK CLI builds the working tree's."""
    if (tree / "loraserve" / "lambda_layer.py").exists():
        subprocess.run([PYTHON, "-m", "loraserve.lambda_layer"], cwd=tree, env=environment, check=True)


def _git(*arguments: str) -> None:
    done = subprocess.run(["git", *arguments], cwd=ROOT, capture_output=True, text=True)  # noqa: PLW1510, S607
    if done.returncode != 0:
        raise DiffError(
            f"git {' '.join(arguments[:2])} failed: {done.stderr.strip()}; name a revision with BASE=…"
        )
