"""CloudFormation's own diff of two assemblies, as `cdk diff` prints it, in one call of its library."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from loraserve.review.assembly import CloudAssembly
from loraserve.review.comparison import equal
from loraserve.review.impacts import call

_SCRIPT = Path(__file__).with_name("stock_diff.js")


def stock_diff(before: CloudAssembly, after: CloudAssembly) -> str:
    """Return the differences of all stacks that differ, each below a line with its path."""
    old, new = dict(_templates(before)), dict(_templates(after))
    paths = [path for path in {**new, **old} if not equal(old.get(path, {}), new.get(path, {}))]
    if not paths:
        return ""
    printed = call(_SCRIPT, [(old.get(path, {}), new.get(path, {})) for path in paths])
    return "\n".join(f"Stack {path}\n{text}" for path, text in zip(paths, printed, strict=True))


def _templates(assembly: CloudAssembly) -> Iterator[tuple[str, Mapping[str, Any]]]:
    for stage in assembly.stages.values():
        for stack in stage.stacks.values():
            yield f"{stage.id}/{stack.name}", stack.template
