"""The Makefile's list of commands."""

import re
import subprocess
from typing import Any

import pytest
import typer

from loraserve.cli.commands import app
from stacks.project import ROOT
from tests.harness.working_copy import ENVIRONMENT

TEXT = (ROOT / "Makefile").read_text()


def test_help_lists_each_command_with_a_sentence() -> None:
    [names] = re.findall(r"^\.PHONY: (help .*)$", TEXT, re.MULTILINE)
    done = subprocess.run(
        ["make", "help"], cwd=ROOT, env=ENVIRONMENT, capture_output=True, text=True, check=True
    )
    listed = {line.split()[0]: line for line in done.stdout.splitlines()}
    assert set(listed) == set(names.split())
    assert all(len(line.split()) > 3 for line in listed.values())


@pytest.mark.parametrize(
    "target", ["bootstrap", "roles", "doctor", "deploy", "promote", "rollback", "destroy"]
)
def test_a_command_on_a_stage_asks_for_it_before_anything_is_installed(target: str) -> None:
    done = subprocess.run(
        ["make", target], cwd=ROOT, env=ENVIRONMENT, capture_output=True, text=True, check=False
    )
    assert done.returncode == 2
    assert done.stderr.startswith(f"make {target} needs STAGE=dev, staging or prod\n")


def test_a_rollback_asks_for_its_reason() -> None:
    done = subprocess.run(
        ["make", "rollback", "STAGE=prod"],
        cwd=ROOT, env=ENVIRONMENT, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 2
    assert done.stderr.startswith("make rollback needs REASON='…'")


def test_the_set_up_runs_once_for_each_command_that_needs_it() -> None:
    """`make -n` prints the recipes: the level of the set-up, then the command."""
    for target, level in (("synth", "deploy"), ("diff", "deploy"), ("demo", "laptop"), ("check", "check")):
        done = subprocess.run(
            ["make", "-n", target], cwd=ROOT, env=ENVIRONMENT, capture_output=True, text=True, check=True
        )
        assert done.stdout.count("-m loraserve.setup") == 1
        assert f"-m loraserve.setup {level}\n" in done.stdout


def test_the_stage_reaches_each_command_that_takes_one() -> None:
    """A STAGE that make did not pass on would be ignored without a word."""
    commands: Any = typer.main.get_command(app)
    recipes = re.findall(
        r"^([a-z-]+):[^\n]*\n\t@\$\(VENV_PYTHON\) -m loraserve ([a-z-]+)", TEXT, re.MULTILINE
    )
    taking = [
        target
        for target, name in recipes
        if any(parameter.name == "stage" for parameter in commands.commands[name].params)
    ]
    assert {"simulate", "plan", "synth", "deploy"} <= set(taking)
    for target in taking:
        done = subprocess.run(
            ["make", "-n", target, "STAGE=probe"],
            cwd=ROOT, env=ENVIRONMENT, capture_output=True, text=True, check=True,
        )  # fmt: skip
        assert "probe" in done.stdout.splitlines()[-1], target
