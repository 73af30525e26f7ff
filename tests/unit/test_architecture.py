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
