"""Every message that the code raises, found in the syntax tree: keys, commands and flags in it exist."""

import ast
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import typer
from pydantic import BaseModel

from loraserve.cli.commands import app
from stacks.config.stage_config import StageConfig
from stacks.project import ROOT
from tests.harness.rooms import DEPLOYED
from tests.unit.messages.test_config_mistakes import section_of

#: Signals between modules, whose reasons others quote; an error with a default remedy; a measurement's result.
WITHOUT_REMEDY = {"AssertionError", "TypeError", "OutOfTime", "NotAnObject", "UnreadableEntry"}
WITHOUT_REMEDY |= {"UnusableCheckpoint", "DemoFailed", "HTTPError"}
#: Nothing is left to do; reasons that the doctor completes.
WITHOUT_REMEDY |= {"LocalStage", "NotDeployed", "DockerFailed", "UnusableSource"}
#: Mistakes of this project's own code and data.
OWN_MISTAKES = ("adapters/engines/record.py", "adapters/validation/rules.py", "stacks/sizing/instances.py")
#: Words with which a remedy begins, in a message without an argument for it.
REMEDY = re.compile(
    r"\b(to add|train|convert|download|gather|let|write|give|name|use|take|leave|choose|raise|add|set|run|check|correct|start|install|make|build|keep"
    r"|delete|save|deploy|try|bring|put|pass|allow|remove|connect|store|needs?|detach|publish"
    r"|stop|fetch|send|belongs|log in|wait|close|see|do not|accept|pin|change|list|replace|share|rename|correct|detach|clear)\b",
    re.IGNORECASE,
)
MAKEFILE = (ROOT / "Makefile").read_text()


@dataclass(frozen=True)
class Site:
    """A `raise` with an error of this project."""

    where: str
    error: str
    arguments: tuple[str, ...]
    """The text of each argument, with a placeholder for what is known at run time alone."""

    @property
    def text(self) -> str:
        return "; ".join(self.arguments)


def text_of(node: ast.expr, names: dict[str, str]) -> str:
    """Return the text that an expression makes, `…` for a part that is not written there."""
    match node:
        case ast.Constant(value=str(text)):
            return text
        case ast.JoinedStr(values=values):
            return "".join(text_of(value, names) for value in values)
        case ast.BinOp(left=left, right=right):
            return text_of(left, names) + text_of(right, names)
        case ast.IfExp(body=body, orelse=orelse):
            return f"{text_of(body, names)} {text_of(orelse, names)}"
        case ast.Name(id=name):
            return names.get(name, "…")
    return "…"


def constants(nodes: list[ast.AST]) -> dict[str, str]:
    """Return the texts that a module, of these nodes, gives names to."""
    found: dict[str, str] = {}
    for node in nodes:
        if isinstance(node, ast.Assign) and isinstance(node.targets[0], ast.Name):
            text = text_of(node.value, {})
            if text != "…":
                found[node.targets[0].id] = text
    return found


def sites() -> Iterator[Site]:
    for room in DEPLOYED:
        for path in sorted((ROOT / room).rglob("*.py")):
            nodes = [*ast.walk(ast.parse(path.read_text()))]
            names = constants(nodes)
            for node in nodes:
                if isinstance(node, ast.Raise | ast.Return) and (call := call_of(node)) is not None:
                    arguments = tuple(
                        text_of(a, names) for a in (*call.args, *(k.value for k in call.keywords))
                    )
                    where = f"{path.relative_to(ROOT)}:{node.lineno}"
                    yield Site(where, ast.unparse(call.func), arguments)


def call_of(node: ast.Raise | ast.Return) -> ast.Call | None:
    call = node.exc if isinstance(node, ast.Raise) else node.value
    if not isinstance(call, ast.Call) or not isinstance(call.func, ast.Name | ast.Attribute):
        return None
    name = ast.unparse(call.func).rpartition(".")[2]
    # A function that returns an error is not one itself.
    return call if name[0].isupper() and (isinstance(node, ast.Raise) or is_error(name)) else None


def is_error(name: str) -> bool:
    return name.startswith("Invalid") or name.endswith(("Error", "Unavailable", "Repository", "Conflict"))


SITES = [
    site
    for site in sites()
    if site.error not in WITHOUT_REMEDY
    and not site.where.startswith(OWN_MISTAKES)
    # Of pydantic's validators; elsewhere a caller catches it.
    and (site.error != "ValueError" or site.where.startswith(("adapters/", "stacks/")))
]


def keys_of(model: type[BaseModel], start: str = "") -> Iterator[str]:
    for name, field in model.model_fields.items():
        yield f"{start}{name}"
        section, _ = section_of(field.annotation)
        if section is not None:
            yield from keys_of(section, f"{start}{name}.")


KEYS = set(keys_of(StageConfig))
SECTIONS = {key.partition(".")[0] for key in KEYS if "." in key}


def flags_of(command: Any) -> Iterator[str]:
    for parameter in command.params:
        yield from (*parameter.opts, *parameter.secondary_opts)
    for child in getattr(command, "commands", {}).values():
        yield from flags_of(child)


def test_there_are_as_many_messages_as_the_walk_is_for() -> None:
    assert len(SITES) > 250
    assert {"InvalidAdapter", "InvalidFiles", "SourceError", "ConfigError", "ValueError"} <= {
        site.error for site in SITES
    }


@pytest.mark.parametrize("site", SITES, ids=lambda site: site.where)
def test_a_message_ends_with_a_remedy(site: Site) -> None:
    known = [text for text in site.arguments if text.strip("…: ")]
    if not known:
        # Passed on from where it was made.
        return
    assert ends_with_remedy(site), site


def ends_with_remedy(site: Site) -> bool:
    """Return whether a message ends with what to do; a part that is known at run time alone may be that."""
    is_adapters = len(site.arguments) >= 3 and site.error.startswith(("Invalid", "Source", "Publish"))
    parts = re.split(r"[;:,.?]\s+|\b(?:and|or|so|with) ", site.arguments[2] if is_adapters else site.text)
    return any(REMEDY.match(part) or part.startswith("…") for part in parts)


@pytest.mark.parametrize(
    "arguments",
    [
        ("the only thing that is odd",),
        ("n", "its tensors are odd", ""),
        ("s", "odd", "too bad"),
        ("odd: bad",),
    ],
)
def test_a_message_without_remedy_is_found(arguments: tuple[str, ...]) -> None:
    error = "InvalidAdapter" if len(arguments) == 3 else "ConfigError"
    assert not ends_with_remedy(Site("here", error, arguments))


@pytest.mark.parametrize("path", sorted(p for room in DEPLOYED for p in (ROOT / room).rglob("*.py")), ids=str)
def test_keys_commands_and_flags_in_texts_exist(path: Path) -> None:
    tree = ast.parse(path.read_text())
    docstrings = {
        id(node.body[0].value)
        for node in ast.walk(tree)
        if isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef)
        and node.body
        and isinstance(node.body[0], ast.Expr)
    }
    for node in ast.walk(tree):
        if not (isinstance(node, ast.Constant) and isinstance(node.value, str)) or id(node) in docstrings:
            continue
        if " " not in node.value:
            continue
        for section, key in re.findall(r"(?<![\w/.])([a-z_]+)\.([a-z_]+)(?![\w(/]|\.[<\w])", node.value):
            if section in SECTIONS:
                assert f"{section}.{key}" in KEYS, node.value
        for target in re.findall(r"\bmake ([a-z][a-z-]*)(?=[ '`.;,)]|$)", node.value):
            if target != "with" and re.search(rf"(?:run|with|`|') ?make {target}", node.value):
                assert re.search(rf"^([a-z-]+ )*{target}( [a-z-]+)*:", MAKEFILE, re.MULTILINE), node.value
        for variable in re.findall(r"\bmake [a-z-]+ ([A-Z]+)=", node.value):
            assert re.search(rf"\$[({{]*{variable}\b", MAKEFILE), node.value


FLAGS = {*flags_of(typer.main.get_command(app)), "--help"}


@pytest.mark.parametrize("site", [site for site in SITES if "--" in site.text], ids=lambda site: site.where)
def test_a_flag_in_a_message_is_one_of_the_command_line(site: Site) -> None:
    for flag in re.findall(r"(?<![\w-])--[a-z][a-z0-9-]+", site.text):
        assert flag in FLAGS, site
