"""The help of every command: its content, and that it imports no module that only a run needs."""

import json
import re
import shlex
import subprocess
import sys
from collections.abc import Iterator
from typing import Any

import pytest
import typer
from typer.testing import CliRunner

from loraserve.cli.commands import app
from stacks.project import ROOT

#: Each takes a tenth of a second or more, and more than half a second together.
SLOW = ("aws_cdk", "boto3", "botocore", "huggingface_hub", "laptop_cloud", "matplotlib", "stacks.config")
SCRIPT = f"""
import json, sys
from typer.testing import CliRunner
from loraserve.cli.commands import app
for path in json.loads(sys.argv[1]):
    done = CliRunner().invoke(app, [*path, "--help"])
    assert done.exit_code == 0, (path, done.output)
print(json.dumps([name for name in {SLOW!r} if name in sys.modules]))
"""


def commands(command: Any, path: tuple[str, ...] = ()) -> Iterator[tuple[tuple[str, ...], Any]]:
    """Every group and command, with its path."""
    yield path, command
    for name, each in getattr(command, "commands", {}).items():
        yield from commands(each, (*path, name))


APPLICATION = typer.main.get_command(app)
TREE = dict(commands(APPLICATION))
PATHS = list(TREE)
GROUPS = [path for path, command in TREE.items() if hasattr(command, "commands")]


def help_of(path: tuple[str, ...]) -> str:
    done = CliRunner().invoke(app, [*path, "--help"])
    assert done.exit_code == 0, done.output
    return done.stdout


def test_the_tree_has_groups_and_commands() -> None:
    assert len(GROUPS) >= 3
    assert len(PATHS) >= 40


def test_no_help_imports_what_only_running_a_command_needs() -> None:
    done = subprocess.run(
        [sys.executable, "-c", SCRIPT, json.dumps(PATHS)],
        cwd=ROOT, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout) == []


def examples(path: tuple[str, ...]) -> list[list[str]]:
    """The words of each example in a command's help."""
    parts = (" ".join(part.split()) for part in (TREE[path].help or "").split("\n\n"))
    found = [part.removeprefix("Example: ") for part in parts if part.startswith("Example: ")]
    return [shlex.split(example.partition(", ")[0]) for example in found]


@pytest.mark.parametrize("path", PATHS, ids=" ".join)
def test_help_has_a_sentence_and_an_example(path: tuple[str, ...]) -> None:
    _, sentence, *rest = help_of(path).split("\n\n")
    assert sentence.strip().endswith(".")
    assert any(part.strip().startswith("Example: ") for part in rest)


@pytest.mark.parametrize("path", PATHS, ids=" ".join)
def test_examples_are_of_the_command_and_accepted_by_it(path: tuple[str, ...]) -> None:
    for program, *words in examples(path):
        if program == "make":
            assert path[-1].split("-")[0] in calls_of_target(words[0]), (
                f"make {words[0]} runs another command"
            )
            continue
        assert program == "loraserve" or words[:2] == ["-m", "loraserve"], program
        arguments = words if program == "loraserve" else words[2:]
        # Parsed with its values, and not run.
        found = APPLICATION.make_context("loraserve", list(arguments))
        command = APPLICATION
        while hasattr(command, "commands"):
            name, command, rest = command.resolve_command(found, found._protected_args + found.args)
            found = command.make_context(name, rest, parent=found)
        assert found.command_path.split()[1:][: len(path)] == list(path)


def calls_of_target(target: str) -> str:
    """The lines of a target in the Makefile."""
    [lines] = re.findall(rf"^{target}:.*\n((?:\t.*\n)+)", (ROOT / "Makefile").read_text(), re.MULTILINE)
    return lines


@pytest.mark.parametrize("path", GROUPS, ids=" ".join)
def test_the_list_of_commands_shows_whole_sentences(path: tuple[str, ...]) -> None:
    assert "..." not in help_of(path).partition("Commands:")[2]


def test_the_exit_codes_are_in_the_applications_help() -> None:
    assert "Exit codes: 0 success; 1 an error" in help_of(())


def test_square_brackets_in_help_are_shown_as_they_are() -> None:
    assert "'[INST] … [/INST]'" in help_of(("invoke",))
