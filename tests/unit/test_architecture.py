"""Rules that import-linter cannot express; its contracts are in pyproject.toml."""

from __future__ import annotations

import ast
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from stacks.project import ROOT
from tests.harness.rooms import ROOMS

ADAPTERS = sorted((ROOT / "adapters").rglob("*.py"))
#: `scope` and `construct_id` of a construct are positional and do not count; fields of a dataclass neither.
MAX_KEYWORDS = 8
#: The product's folders.
PRODUCT_ROOMS = tuple(room for room in ROOMS if room != "samples")
PRODUCT = sorted(file for room in PRODUCT_ROOMS for file in (ROOT / room).rglob("*.py"))


def imported(file: Path) -> Iterator[str]:
    """The first part of each imported module's name."""
    for node in ast.walk(ast.parse(file.read_text())):
        if isinstance(node, ast.Import):
            yield from (alias.name.split(".")[0] for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.module is not None and node.level == 0, f"{file}: a relative import"
            yield node.module.split(".")[0]


@pytest.mark.parametrize("file", ADAPTERS, ids=lambda file: file.relative_to(ROOT).as_posix())
def test_adapters_imports_the_standard_library_only(file: Path) -> None:
    # A Lambda, a container with LoRAX's packages, synth and the CLI all import it.
    others = set(imported(file)) - sys.stdlib_module_names - {"adapters"}
    assert not others, f"{file.relative_to(ROOT)} imports {', '.join(sorted(others))}"


def test_there_are_files_to_check() -> None:
    assert len(ADAPTERS) > 10
    assert len(PRODUCT) > 40


FOLDERS = sorted(
    {
        file.parent
        for room in PRODUCT_ROOMS
        if room != "benchmarks"
        for file in (ROOT / room).glob("**/__init__.py")
    }
)


@pytest.mark.parametrize("room", FOLDERS, ids=lambda room: room.relative_to(ROOT).as_posix())
def test_a_room_says_what_is_in_it(room: Path) -> None:
    docstring = ast.get_docstring(ast.parse((room / "__init__.py").read_text()))
    assert docstring, f"{room.relative_to(ROOT)}/__init__.py has no docstring"


def test_the_architecture_page_has_each_room() -> None:
    page = (ROOT / "docs" / "architecture.md").read_text()
    missing = [room.name for room in FOLDERS if room.parent == ROOT and f"| `{room.name}/` |" not in page]
    assert not missing


@pytest.mark.parametrize("file", PRODUCT, ids=lambda file: file.relative_to(ROOT).as_posix())
def test_no_keyword_list_is_longer_than_eight(file: Path) -> None:
    long = [
        f"{function.name}, line {function.lineno}: {len(keywords)}"
        for function in ast.walk(ast.parse(file.read_text()))
        if isinstance(function, ast.FunctionDef | ast.AsyncFunctionDef)
        and len(keywords := [argument.arg for argument in function.args.kwonlyargs]) > MAX_KEYWORDS
    ]
    assert not long, f"group keywords in a frozen dataclass beside the function: {long}"


#: A section or an entry of a configuration file, and the class of what it configures.
SECTIONS = {"Adapter", "Endpoint", "Gateway", "Rollout"}


def test_no_two_classes_share_a_name() -> None:
    homes: dict[str, list[str]] = {}
    for file in PRODUCT:
        for node in ast.parse(file.read_text()).body:
            if isinstance(node, ast.ClassDef) and not node.name.startswith("_"):
                homes.setdefault(node.name, []).append(file.relative_to(ROOT).as_posix())
    assert {name for name, files in homes.items() if len(files) > 1} == SECTIONS, homes
