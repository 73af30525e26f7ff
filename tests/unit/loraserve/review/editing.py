"""Comparisons of a stage with edited copies of it."""

import copy
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from loraserve.review.assembly import CloudAssembly, Stage
from loraserve.review.comparison import StageComparison, compare

#: Changes a stage's templates, by stack, in place.
Edit = Callable[[dict[str, dict[str, Any]]], object]


def edited(stage: Stage, edit: Edit) -> Stage:
    """Return a copy of the stage with edited templates."""
    templates = {name: copy.deepcopy(dict(stack.template)) for name, stack in stage.stacks.items()}
    edit(templates)
    stacks = {name: replace(stage.stacks[name], template=template) for name, template in templates.items()}
    return replace(stage, stacks=stacks)


def compared(stage: Stage, pairs: Mapping[str, tuple[Edit, Edit]]) -> dict[str, StageComparison]:
    """Compare the stage under the first edit with it under the second, each pair by name, all in one call."""
    sides = [
        CloudAssembly(
            stages={name: replace(edited(stage, pair[side]), id=name) for name, pair in pairs.items()},
            prices_date=None,
        )
        for side in (0, 1)
    ]
    return {change.id: change for change in compare(*sides)}


def nothing(_: dict[str, dict[str, Any]]) -> None:
    """Leave the templates as they are."""


def put(resource: str, path: str, value: object, stack: str = "Serving") -> Edit:
    """Set a property, by its path with dots; digits are indexes of a list; None removes it."""

    def edit(templates: dict[str, dict[str, Any]]) -> None:
        *parents, last = path.split(".")
        at = templates[stack]["Resources"][resource]["Properties"]
        for name in parents:
            at = at[int(name)] if name.isdigit() else at.setdefault(name, {})
        if value is None:
            at.pop(last, None)
        else:
            at[int(last) if isinstance(at, list) else last] = value

    return edit


def all_of(*edits: Edit) -> Edit:
    """Make several edits."""

    def edit(templates: dict[str, dict[str, Any]]) -> None:
        for each in edits:
            each(templates)

    return edit


def write(folder: Path, files: Mapping[str, str]) -> Path:
    """Write files below a folder."""
    for name, content in files.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(content)
    return folder
