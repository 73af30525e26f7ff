"""The help of every command: its content, and that it imports no module that only a run needs."""

import json
import subprocess
import sys
from collections.abc import Iterator
from typing import Any

import pytest
import typer
from typer.testing import CliRunner

from loraserve.cli.commands import ADAPTER_COMMANDS, COMMANDS, RELEASE_COMMANDS, app
from stacks.project import ROOT

#: Each takes a tenth of a second or more, and more than half a second together.
SLOW = ("aws_cdk", "boto3", "botocore", "huggingface_hub", "laptop_cloud", "matplotlib", "stacks.config")
PATHS = [
    (), ("adapters",), ("release",),
    *((name.replace("_", "-"),) for name in COMMANDS),
    *(("adapters", name) for name in ADAPTER_COMMANDS),
    *(("release", name) for name in RELEASE_COMMANDS),
]  # fmt: skip
SCRIPT = f"""
import json, sys
from typer.testing import CliRunner
from loraserve.cli.commands import app
for path in json.loads(sys.argv[1]):
    done = CliRunner().invoke(app, [*path, "--help"])
    assert done.exit_code == 0, (path, done.output)
print(json.dumps([name for name in {SLOW!r} if name in sys.modules]))
"""


def commands(group: Any, path: tuple[str, ...] = ()) -> Iterator[tuple[str, ...]]:
    """The path of every group and command."""
    yield path
    for name, command in getattr(group, "commands", {}).items():
        yield from commands(command, (*path, name))


def help_of(path: tuple[str, ...]) -> str:
    done = CliRunner().invoke(app, [*path, "--help"])
    assert done.exit_code == 0, done.output
    return done.stdout


def test_the_lists_name_every_command() -> None:
    assert sorted(commands(typer.main.get_command(app))) == sorted(PATHS)


def test_no_help_imports_what_only_running_a_command_needs() -> None:
    done = subprocess.run(
        [sys.executable, "-c", SCRIPT, json.dumps(PATHS)],
        cwd=ROOT, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout) == []


@pytest.mark.parametrize("path", PATHS, ids=" ".join)
def test_help_has_a_sentence_and_an_example(path: tuple[str, ...]) -> None:
    _, sentence, *rest = help_of(path).split("\n\n")
    assert sentence.strip().endswith(".")
    assert any(part.strip().startswith("Example: ") for part in rest)


@pytest.mark.parametrize("path", [(), ("adapters",), ("release",)], ids=" ".join)
def test_the_list_of_commands_shows_whole_sentences(path: tuple[str, ...]) -> None:
    assert "..." not in help_of(path).partition("Commands:")[2]


def test_the_exit_codes_are_in_the_applications_help() -> None:
    assert "Exit codes: 0 success; 1 an error" in help_of(())


def test_square_brackets_in_help_are_shown_as_they_are() -> None:
    assert "'[INST] … [/INST]'" in help_of(("invoke",))
