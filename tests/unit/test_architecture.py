"""What import-linter cannot say; its contracts are in pyproject.toml."""

from __future__ import annotations

import ast
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from stacks.project import ROOT

ADAPTERS = sorted((ROOT / "adapters").rglob("*.py"))


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


ROOMS = sorted({file.parent for room in ("adapters", "ingest", "stacks", "lambdas", "container", "loraserve", "laptop_cloud")
                for file in (ROOT / room).glob("**/__init__.py")})  # fmt: skip


@pytest.mark.parametrize("room", ROOMS, ids=lambda room: room.relative_to(ROOT).as_posix())
def test_a_room_says_what_is_in_it(room: Path) -> None:
    docstring = ast.get_docstring(ast.parse((room / "__init__.py").read_text()))
    assert docstring, f"{room.relative_to(ROOT)}/__init__.py has no docstring"


def test_the_architecture_page_has_each_room() -> None:
    page = (ROOT / "docs" / "architecture.md").read_text()
    missing = [room.name for room in ROOMS if room.parent == ROOT and f"| `{room.name}/` |" not in page]
    assert not missing
