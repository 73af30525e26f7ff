"""YAML files that people write, read without surprises: no key is lost, no number is another than it looks.

PyYAML reads YAML 1.1. It keeps the last of two equal keys, reads `0123` as 83, `12:30` as 750 and a key `on`
as true, and a few lines of aliases can have billions of values. A `Document` refuses all of these, and knows
each value as it is written in the file, for messages about it.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from typing import Any

import yaml
from yaml.nodes import MappingNode, Node, ScalarNode, SequenceNode

from adapters.strict_json import there_twice

#: Maximum of values, those of an alias counted for each use. A manifest of ten thousand adapters has fewer.
MAX_VALUES = 500_000
#: Maximum of levels; stage files and manifests have a few, an engine's flag in JSON some more.
MAX_LEVELS = 64
_STANDARD = "tag:yaml.org,2002:"
_TEXT, _MERGE = f"{_STANDARD}str", f"{_STANDARD}merge"
_COLLECTIONS = {f"{_STANDARD}map", f"{_STANDARD}seq"}
_TOO_DEEP = f"it is nested too deeply; write at most {MAX_LEVELS} levels"
#: In messages: the path of what has no key.
_WHOLE = "the file"
#: Numbers that people mean as texts, or in base 10: octal (`0123`) and of base 60 (`12:30`).
_SURPRISING_NUMBER = re.compile(r"[-+]?(0[0-7_]+|[0-9_]+(:[0-5]?[0-9])+(\.[0-9_]*)?)")
_CONFLICT_MARKER = re.compile(r"^(<{7}|={7}|>{7})( |$)", re.MULTILINE)
_SHOWN_CHARACTERS = 80


class UnusableYaml(Exception):
    """A file that cannot be read as one YAML document; the message is one line, with line and remedy."""


class Document:
    """The content of a YAML file."""

    def __init__(self, content: bytes) -> None:
        """Read a file's content; raises `UnusableYaml`."""
        text = _decoded(content)
        try:
            # The parser in C is ten times as fast, and crashes Python at a text of 200,000 brackets.
            loader = yaml.SafeLoader(text)
            self._root: Node | None = loader.get_single_node()
            if self._root is not None:
                _Check(loader).count(self._root, _WHOLE)
            self.data: Any = None if self._root is None else loader.construct_document(self._root)
            """The values; None for an empty file. Every key of a mapping is a text."""
        except RecursionError as error:
            raise UnusableYaml(_TOO_DEEP) from error
        except yaml.YAMLError as error:
            raise UnusableYaml(_not_yaml(text, error)) from error

    def scalar(self, location: Sequence[int | str]) -> ScalarNode | None:
        """Return the text, number or other single value at a location of the data; None if there is none.

        The location of a pydantic error may go on with the branch of a union: the rest does not count.
        """
        node = self._root
        for part in location:
            if isinstance(node, MappingNode):
                # The keys that `<<` merges are before the mapping's own, which count.
                found = [value for key, value in node.value if key.value == part]
                node = found[-1] if found else None
            elif isinstance(node, SequenceNode) and isinstance(part, int):
                node = node.value[part]
        return node if isinstance(node, ScalarNode) else None


class _Check:
    """A walk over all values in the order of the file, which ends at the first that cannot be used."""

    def __init__(self, loader: yaml.SafeLoader) -> None:
        self._loader = loader
        self._counts: dict[Node, int | None] = {}
        """By node: the number of its values; None while they are counted."""

    def count(self, node: Node, path: str, level: int = 0) -> int:
        """Check a value, which is at `path`; return the number of values that it consists of."""
        if level > MAX_LEVELS:
            raise UnusableYaml(_TOO_DEEP)
        if node in self._counts:
            known = self._counts[node]
            if known is None:
                raise _unusable(node, f"{path}: it has an alias of itself; write the value")
            return known
        self._counts[node] = None
        if isinstance(node, ScalarNode):
            self._check_scalar(node, path)
        elif node.tag not in _COLLECTIONS:
            raise _unusable(node, f"{path}: {_tag(node)} is not known; leave it out")
        count = 1
        for child, child_path in self._children(node, path):
            count += self.count(child, child_path, level + 1)
            if count > MAX_VALUES:
                raise _unusable(node, f"{path}: with its aliases it has more than {MAX_VALUES} values")
        self._counts[node] = count
        return count

    def _children(self, node: Node, path: str) -> Iterator[tuple[Node, str]]:
        if isinstance(node, SequenceNode):
            yield from ((child, f"{path}{_item(child, index)}") for index, child in enumerate(node.value))
        elif isinstance(node, MappingNode):
            lines: dict[str, int] = {}
            for key, value in node.value:
                name = _checked_key(key)
                line = key.start_mark.line + 1
                if name in lines:
                    raise UnusableYaml(there_twice(name, lines[name], line))
                lines[name] = line
                yield value, name if path == _WHOLE else f"{path}.{name}"

    def _check_scalar(self, node: ScalarNode, path: str) -> None:
        if node.tag == _TEXT:
            return
        if node.style is None and _SURPRISING_NUMBER.fullmatch(node.value):
            problem = f"YAML reads {as_written(node)} as {self._loader.construct_object(node)}"
            remedy = f"write {quoted(node)} if it is a text, or the number in base 10"
            raise _unusable(node, f"{path}: {problem}; {remedy}")
        try:
            self._loader.construct_object(node)
        except (ValueError, KeyError, AttributeError, yaml.YAMLError) as error:
            # A day that no month has, a number of 5,000 digits, `=`, a tag that does not fit or is unknown.
            problem = f"{as_written(node)} cannot be read as {_tag(node)}"
            is_standard = node.tag.startswith(_STANDARD)
            remedy = f"write {quoted(node)} if it is a text" if is_standard else "leave the tag out"
            raise _unusable(node, f"{path}: {problem}; {remedy}") from error


def as_written(node: ScalarNode) -> str:
    """Return a value as the file has it, on one line, and shortened if it is long."""
    text = " ".join(str(node.value).split())
    return text if len(text) <= _SHOWN_CHARACTERS else text[:_SHOWN_CHARACTERS] + "…"


def quoted(node: ScalarNode) -> str:
    """Return a value in YAML's single quotes."""
    return "'" + as_written(node).replace("'", "''") + "'"


def is_text(written: str) -> bool:
    """Return whether YAML reads a value that is written without quotes as a text."""
    resolver: Any = yaml.SafeLoader("")
    return bool(resolver.resolve(ScalarNode, written, (True, False)) == _TEXT)


def _checked_key(key: Node) -> str:
    if not isinstance(key, ScalarNode):
        # {{ name }}, of a template that was not filled in, is such a mapping.
        raise _unusable(key, "a key has to be a text; write texts with { or [ in quotes")
    if key.tag not in {_TEXT, _MERGE}:
        remedy = f"write {quoted(key)}"
        raise _unusable(key, f"YAML does not read the key {as_written(key)} as a text; {remedy}")
    return str(key.value)


def _decoded(content: bytes) -> str:
    try:
        return content.decode()
    except UnicodeDecodeError as error:
        line = content.count(b"\n", 0, error.start) + 1
        raise UnusableYaml(f"line {line}: not UTF-8; save the file as UTF-8") from error


def _not_yaml(text: str, error: yaml.YAMLError) -> str:
    """Return what is wrong with a text that has no YAML syntax, on one line."""
    if (marker := _CONFLICT_MARKER.search(text)) is not None:
        line = text.count("\n", 0, marker.start()) + 1
        return f"line {line}: not YAML: {marker[1]} is a conflict marker of git; resolve the conflict"
    if isinstance(error, yaml.reader.ReaderError):
        line = text.count("\n", 0, error.position) + 1
        character = f"U+{ord(text[error.position]):04X}"
        return f"line {line}: not YAML: the character {character} is not allowed; delete it"
    if not isinstance(error, yaml.MarkedYAMLError):
        return f"not YAML: {' '.join(str(error).split())}"
    mark = error.problem_mark or error.context_mark
    line = 0 if mark is None else mark.line
    if "duplicate anchor" in str(error.context):
        return f"line {line + 1}: not YAML: an anchor (&name) is there twice; rename one"
    if (alias := re.fullmatch("found undefined alias '(.*)'", str(error.problem))) is not None:
        absent = f"no anchor &{alias[1]} is above"
        return f"line {line + 1}: not YAML: {absent}; write '*{alias[1]}' if it is a text"
    problem = str(error.problem)
    if error.context_mark is not None and error.context_mark.line < line:
        problem = f"{problem} ({error.context} that begins in line {error.context_mark.line + 1})"
    remedy = "check the indentation, and write texts with signs such as : @ * & % in quotes"
    written = "".join(text.splitlines()[line : line + 1])
    if "\t" in written[: len(written) - len(written.lstrip())]:
        problem, remedy = "a tab", "indent with spaces"
    elif "found another document" in problem:
        problem, remedy = "a second document begins", "keep one, without a line ---"
    return f"line {line + 1}: not YAML: {problem}; {remedy}"


def _unusable(node: Node, problem: str) -> UnusableYaml:
    return UnusableYaml(f"line {node.start_mark.line + 1}: {problem}")


def _item(node: Node, index: int) -> str:
    """Return the place of a list's item by its name or position, as `stacks.wording.key_text` does."""
    pairs = node.value if isinstance(node, MappingNode) else []
    name = next((value for key, value in pairs if key.value == "name"), None)
    is_named = isinstance(name, ScalarNode) and name.tag == _TEXT
    return f"[{name.value!r}]" if name is not None and is_named else f"[item {index + 1}]"


def _tag(node: Node) -> str:
    """Return the tag of a value as people write it, such as `!!int` or `!Ref`."""
    return str(node.tag).replace(_STANDARD, "!!")
