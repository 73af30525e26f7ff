"""Edits of a synthesized stage, in place of a change of the code that synthesizes it.

A place is the stack's name and a path below its template: `Serving/Resources.Callers.Properties`. Each edit
must change something: a place that is gone after a change of the app fails the test that uses it.
"""

from __future__ import annotations

import copy
import hashlib
import json
import re
import shutil
import zipfile
from dataclasses import replace
from pathlib import Path
from typing import Any, NamedTuple

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


class _Place(NamedTuple):
    parent: Any
    key: Index


def edited(stage: Stage, edits: list[Edit], folder: Path) -> Stage:
    """Return the stage with the edits; new assets are written to `folder`."""
    for edit in edits:
        before = stage
        if edit.stack:
            stage = _with_stack(stage, edit.at, replace(stage.stacks[edit.at], **edit.stack))
        elif edit.file is not None:
            stage = _with_file(stage, edit, folder)
        else:
            name, _, path = edit.at.partition("/")
            stack = stage.stacks[name]
            template = copy.deepcopy(dict(stack.template))
            stage = _with_stack(stage, name, replace(stack, template=_edited(template, path, edit)))
        if _text(before) == _text(stage):
            raise ValueError(f"{edit.at}: nothing changes")
    return stage


def _text(stage: Stage) -> str:
    return repr(stage)  # with the order of keys, which is a change of form


def _with_stack(stage: Stage, name: str, stack: Stack) -> Stage:
    return replace(stage, stacks={**stage.stacks, name: stack})


def _edited(template: Template, path: str, edit: Edit) -> Template:
    place = _place(template, path)
    if edit.rename is not None:
        return _renamed(template, str(place.key), edit.rename)
    if edit.remove:
        del place.parent[place.key]
    elif edit.reverse:
        value = place.parent[place.key]
        place.parent[place.key] = (
            value[::-1] if isinstance(value, list) else dict(reversed(list(value.items())))
        )
    elif "add" in edit.model_fields_set:
        place.parent[place.key].append(edit.add)
    elif edit.copy_to is not None:
        place.parent[edit.copy_to] = copy.deepcopy(place.parent[place.key])
    else:
        place.parent[place.key] = edit.set
    return template


def _place(template: Template, path: str) -> _Place:
    *above, last = (int(part) if part.isdigit() else part for part in path.split("."))
    parent: Any = template
    for part in above:
        parent = parent[part]
    return _Place(parent, last)


def _renamed(template: Template, old: str, new: str) -> Template:
    found: Template = json.loads(re.sub(rf'"{old}(?=["])', f'"{new}', json.dumps(template)))
    return found


def _with_file(stage: Stage, edit: Edit, folder: Path) -> Stage:
    """Write a file of an asset, which gives it another hash wherever a template names it."""
    name, _, path = edit.at.partition("/")
    place = _place(dict(stage.stacks[name].template), path)
    asset = stage.asset(place.parent[place.key])
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
    elif asset.path.suffix == ".zip":
        shutil.copy(asset.path, copied)
        with zipfile.ZipFile(copied, "a") as archive:
            archive.writestr(edit.file, edit.content)
    else:
        copied.write_text(edit.content)
    stacks = {
        key: replace(stack, template=json.loads(json.dumps(stack.template).replace(old, new)))
        for key, stack in stage.stacks.items()
    }
    return replace(stage, stacks=stacks, assets={**stage.assets, new: replace(asset, path=copied)})
