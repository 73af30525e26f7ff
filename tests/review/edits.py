"""Edits of a synthesized stage, in place of a change of the code that synthesizes it.

A place is the stack's name and a path below its template: `Serving/Resources.Callers.Properties`. Each edit
must change something: a place that is gone after a change of the app fails the test that uses it.
"""

from __future__ import annotations

import copy
import fnmatch
import hashlib
import json
import shutil
import zipfile
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ConfigDict, model_validator

from loraserve.review.assembly import Stack, Stage

Template = dict[str, Any]
Index = str | int


class Edit(BaseModel):
    """One edit: a place, and one thing to do there."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    at: str
    """The place; for `stack` the stack's name alone."""
    set: Any = None
    """New value, also of a key that is not there yet."""
    add: Any = None
    """Item to append to the list there."""
    remove: bool = False
    reverse: bool = False
    """Reverse the list there, or the order of the object's keys."""
    rename: str | None = None
    """New logical id of the resource there, with all references to it."""
    copy_to: str | None = None
    """Key beside the place that gets a copy of its value."""
    stack: dict[str, Any] = {}
    """Settings outside the template, by their names in `loraserve.review.assembly.Stack`."""
    file: str | None = None
    """File to write in the asset that the value there names, or member of its archive."""
    content: str = "# edited\n"
    """Content of `file`."""

    @model_validator(mode="after")
    def _one_thing(self) -> Edit:
        given = self.model_fields_set - {"at", "content"}
        if len(given) != 1:
            raise ValueError(f"{self.at}: give one thing to do, not {sorted(given)}")
        return self


def edited(stage: Stage, edits: list[Edit], folder: Path) -> Stage:
    """Return the stage with the edits; new assets are written to `folder`."""
    for edit in edits:
        before = stage
        pattern, _, path = edit.at.partition("/")
        for name in fnmatch.filter(stage.stacks, pattern):
            stage = _edited(stage, stage.stacks[name], path, edit, folder)
        if repr(before) == repr(stage):  # with the order of keys, which is a change of form
            raise ValueError(f"{edit.at}: nothing changes")
    return stage


def _edited(stage: Stage, stack: Stack, path: str, edit: Edit, folder: Path) -> Stage:
    if edit.stack:
        return _with_stack(stage, replace(stack, **edit.stack))
    if edit.file is not None:
        return _with_file(stage, stack, path, edit, folder)
    if edit.remove and not path:
        return replace(stage, stacks={key: each for key, each in stage.stacks.items() if each is not stack})
    return _with_stack(stage, replace(stack, template=_edited_template(stack.template, path, edit)))


def _with_stack(stage: Stage, stack: Stack) -> Stage:
    return replace(stage, stacks={**stage.stacks, stack.name: stack})


def _edited_template(template: Mapping[str, Any], path: str, edit: Edit) -> Template:
    result = copy.deepcopy(dict(template))
    if edit.rename is not None:
        old = path.rpartition(".")[2]
        found: Template = json.loads(json.dumps(result).replace(f'"{old}"', f'"{edit.rename}"'))
        return found
    *above, last = path.split(".")
    for parent in _values(result, above):
        for key in _keys(parent, last) or [last]:
            _edit(parent, key, edit)
    return result


def _edit(parent: Any, key: Index, edit: Edit) -> None:
    if edit.remove:
        del parent[key]
    elif edit.reverse and isinstance(parent[key], list):
        parent[key] = parent[key][::-1]
    elif edit.reverse:
        parent[key] = dict(reversed(parent[key].items()))
    elif "add" in edit.model_fields_set:
        parent[key].append(edit.add)
    elif edit.copy_to is not None:
        parent[edit.copy_to] = copy.deepcopy(parent[key])
    else:
        parent[key] = edit.set


def _values(value: Any, path: Sequence[str]) -> list[Any]:
    """Return the values at a path, whose parts may be patterns."""
    if not path:
        return [value]
    keys = _keys(value, path[0])
    if not keys:
        raise KeyError(f"{path[0]} is not among {', '.join(map(str, value))}")
    return [found for key in keys for found in _values(value[key], path[1:])]


def _keys(value: Any, pattern: str) -> list[Index]:
    if isinstance(value, list):
        return [int(pattern)]
    return [key for key in value if fnmatch.fnmatchcase(key, pattern)]


def _with_file(stage: Stage, stack: Stack, path: str, edit: Edit, folder: Path) -> Stage:
    """Write a file of an asset, which gives it another hash wherever a template names it."""
    [value] = _values(stack.template, path.split("."))
    asset = stage.asset(value)
    if asset is None or edit.file is None:
        raise ValueError(f"{edit.at}: no asset")
    old = next(key for key, each in stage.assets.items() if each is asset)
    new = hashlib.sha256(f"{old} {edit.file} {edit.content}".encode()).hexdigest()
    copied = folder / f"asset.{new}{asset.path.suffix if asset.path.is_file() else ''}"
    if asset.path.is_dir():
        shutil.copytree(asset.path, copied, dirs_exist_ok=True)
        target = copied / edit.file
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_text(edit.content)
    else:
        shutil.copy(asset.path, copied)
        with zipfile.ZipFile(copied, "a") as archive:
            archive.writestr(edit.file, edit.content)
    stacks = {
        key: replace(each, template=json.loads(json.dumps(each.template).replace(old, new)))
        for key, each in stage.stacks.items()
    }
    return replace(stage, stacks=stacks, assets={**stage.assets, new: replace(asset, path=copied)})
