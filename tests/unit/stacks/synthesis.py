"""Stacks synthesized separately, with the flags of cdk.json."""

import subprocess
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import aws_cdk as cdk

from stacks.project import ROOT
from tests.harness.assembly import empty_app

Template = dict[str, Any]
ENV = cdk.Environment(account="123456789012", region="eu-west-1")


def synthesize(output: Path, make: Callable[[cdk.App], list[cdk.Stack]]) -> dict[str, Path]:
    """The template files of the stacks that `make` makes, by stack name."""
    app = empty_app(output)
    stacks = make(app)
    app.synth()
    return {stack.stack_name: output / stack.template_file for stack in stacks}


def of_type(template: Template, resource_type: str) -> list[dict[str, Any]]:
    return [r["Properties"] for r in template["Resources"].values() if r["Type"] == resource_type]


def cfn_lint(files: Iterable[Path]) -> str:
    """Return cfn-lint's findings in the templates; empty if there are none."""
    command = [str(ROOT / ".venv" / "bin" / "cfn-lint"), *map(str, files)]
    return subprocess.run(command, capture_output=True, text=True, check=False).stdout
