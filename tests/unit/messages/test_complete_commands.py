"""A command in a message runs when it is copied: it has every option that the command requires."""

import ast
import re
from collections.abc import Iterator
from typing import Any

import pytest
import typer
from typer.core import TyperOption

from loraserve.cli.commands import app
from stacks.project import ROOT
from tests.unit.messages.test_raise_sites import text_of

GROUP: Any = typer.main.get_command(app)
#: The options that a command requires, by its name.
REQUIRED = {
    name: [each.opts[0] for each in command.params if isinstance(each, TyperOption) and each.required]
    for name, command in GROUP.commands.items()
}
#: What a make target requires beside STAGE.
OF_MAKE = {"rollback": "REASON="}
COMMAND = re.compile("`((?:python -m loraserve|make) ([a-z-]+)[^`]*)`")


def commands() -> Iterator[tuple[str, str]]:
    """Yield each command in a text of the command line, with the name of its first word."""
    for file in sorted((ROOT / "loraserve").rglob("*.py")):
        text = file.read_text()
        for node in ast.walk(ast.parse(text)) if "`make " in text or "`python -m" in text else ():
            if isinstance(node, ast.JoinedStr | ast.Constant):
                yield from COMMAND.findall(text_of(node, {}))


def test_some_commands_require_an_option() -> None:
    assert REQUIRED["rollback"] == ["--reason"]
    assert REQUIRED["promote"] == ["--release"]


@pytest.mark.parametrize("command", sorted(set(commands())), ids=lambda found: found[0])
def test_a_command_in_a_message_is_complete(command: tuple[str, str]) -> None:
    text, name = command
    wanted = [OF_MAKE.get(name, "")] if text.startswith("make") else REQUIRED.get(name, [])
    assert [option for option in wanted if option not in text] == []
