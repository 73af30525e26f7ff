"""Values of templates: as plain text, as the leaves in which two of them differ, and as references."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from loraserve.review.assembly import Stack, Stage
from loraserve.review.comparison import equal
from loraserve.review.difference import Json
from loraserve.review.finding import MAX_TITLE

#: The custom resource that makes the store match the manifest.
SEEDING = "Custom::AdapterSeeding"
#: Characters of a value in a finding.
_MAX_TEXT = 80


@dataclass(frozen=True)
class Leaf:
    """A value inside a property that differs."""

    path: str
    """Names with dots between them, e.g. `ProductionVariants.InstanceType`; without indexes of lists."""
    before: Json
    """None where it is absent."""
    after: Json

    @property
    def values(self) -> str:
        """Both values, e.g. `4096 → 8192`."""
        return f"{text(self.before)} → {text(self.after)}"


def leaves(path: str, before: Json, after: Json) -> Iterator[Leaf]:
    """Yield the values below `path` that differ; an intrinsic function is one value."""
    if equal(before, after):
        return
    found: list[Leaf] = []
    if is_object(before) and is_object(after):
        old, new = before or {}, after or {}
        for key in sorted({*old, *new}):
            found += leaves(f"{path}.{key}" if path else key, old.get(key), new.get(key))
    elif _are_objects(before) and _are_objects(after) and len(before) == len(after):
        for one, other in zip(before, after, strict=True):
            found += leaves(path, one, other)
    # Of {} and an absent value nothing below differs.
    yield from found or [Leaf(path, before, after)]


def text(value: Json) -> str:
    """Format a value in one line, a reference as the thing that it refers to."""
    shown = " ".join(written(value).split())
    return shown if len(shown) <= _MAX_TEXT else f"{shown[: _MAX_TEXT - 1]}…"


def written(value: Json) -> str:  # noqa: PLR0911 — a line for each kind of value
    """Format a value as `text` does, however long it is."""
    match value:
        case None:
            return "none"
        case str():
            return value
        case {"Ref": str(name)}:
            return name
        case {"Fn::GetAtt": [str(name), str(attribute)]}:
            return f"{name}.{attribute}"
        case {"Fn::ImportValue": str(export)}:
            return export
        case {"Fn::Sub": str(pattern)}:
            return pattern
        case {"Fn::Join": [str(separator), [*parts]]}:
            return separator.join(written(part) for part in parts)
    return json.dumps(value, sort_keys=True)


def title(words: str) -> str:
    """Cut a title to the characters that a finding has for it."""
    return words if len(words) <= MAX_TITLE else f"{words[: MAX_TITLE - 1]}…"


def counted(number: int, noun: str) -> str:
    """Return e.g. `1 alarm`, `17 alarms` or `2 policies`."""
    if number == 1:
        return f"1 {noun}"
    return f"{number} {noun[:-1]}ies" if noun.endswith("y") else f"{number} {noun}s"


def mapping(value: Json) -> Mapping[str, Json]:
    """Return an object as it is, and an empty one for another value."""
    return value if isinstance(value, dict) else {}


def mappings(value: Json) -> list[Mapping[str, Json]]:
    """Return the objects of a list; none for another value."""
    return [each for each in value if isinstance(each, dict)] if isinstance(value, list) else []


def referred(value: Json) -> str | None:
    """Return the logical id that a value refers to; None for another value."""
    match value:
        case {"Ref": str(name)} if not name.startswith("AWS::"):
            return name
        case {"Fn::GetAtt": [str(name), *_]}:
            return name
        case {"Fn::GetAtt": str(name)}:
            return name.partition(".")[0]
    return None


def is_inside(stage: Stage, stack: Stack, value: Json) -> bool:
    """Return whether a value is, for certain, one of a resource of the stage."""
    name = referred(value)
    if name is not None:
        return name in stack.resources
    match value:
        case {"Fn::ImportValue": str(export)}:
            # The CDK names its exports by the stack that has the resource.
            return export.partition(":")[0] in {each.stack_name for each in stage.stacks.values()}
    return False


def resource_of(stage: Stage, stack: Stack, value: Json) -> Mapping[str, Json]:
    """Return the resource of the stage that a value refers to, by an export as well; empty for none."""
    name = referred(value)
    if name is not None:
        return stack.resources.get(name, {})
    export = mapping(value).get("Fn::ImportValue")
    for other in stage.stacks.values() if isinstance(export, str) else ():
        for output in mapping(other.template.get("Outputs")).values():
            if mapping(mapping(output).get("Export")).get("Name") == export:
                return other.resources.get(referred(mapping(output).get("Value")) or "", {})
    return {}


def properties(resource: Mapping[str, Any] | None) -> Mapping[str, Any]:
    """Return the properties of a resource; empty for an absent one."""
    found: Mapping[str, Any] = {} if resource is None else resource.get("Properties", {})
    return found


def resources_of(stage: Stage | None, *types: str) -> Iterator[tuple[str, str, Mapping[str, Any]]]:
    """Yield stack, logical id and resource of each resource of these types on one side of a stage."""
    for stack in stage.stacks.values() if stage is not None else ():
        for logical_id, resource in stack.resources.items():
            if resource["Type"] in types:
                yield stack.name, logical_id, resource


def properties_of(stage: Stage | None, kind: str) -> Iterator[Mapping[str, Any]]:
    """Yield the properties of each resource of a type on one side of a stage."""
    return (properties(resource) for _, _, resource in resources_of(stage, kind))


def output_texts(stage: Stage, name: str) -> Iterator[str]:
    """Yield the value of an output of each stack that has it as text."""
    for stack in stage.stacks.values():
        value = mapping(mapping(stack.template.get("Outputs")).get(name)).get("Value")
        if isinstance(value, str):
            yield value


def is_object(value: Json) -> bool:
    """Return whether a value is absent or an object whose keys can be read: no intrinsic function."""
    return value is None or (isinstance(value, dict) and not _is_intrinsic(value))


def _are_objects(value: Json) -> bool:
    return isinstance(value, list) and all(isinstance(each, dict) for each in value)


def _is_intrinsic(value: dict[str, Json]) -> bool:
    return len(value) == 1 and all(key == "Ref" or key.startswith("Fn::") for key in value)
