"""Refusals of YAML files, and what is read."""

import time
from itertools import pairwise

import pytest

from stacks.yaml_document import MAX_VALUES, Document, UnusableYaml


def refusal(content: str | bytes) -> str:
    with pytest.raises(UnusableYaml) as caught:
        Document(content if isinstance(content, bytes) else content.encode())
    assert "\n" not in str(caught.value)
    return str(caught.value)


def aliases(content: str, use: str) -> str:
    """Nine lines, each of which has the one before ten times."""
    names = "abcdefghij"
    lines = [f"{name}: &{name} {use % ', '.join([f'*{before}'] * 10)}" for before, name in pairwise(names)]
    return "\n".join([f"a: &a {content}", *lines])


@pytest.mark.parametrize(
    ("content", "lines"),
    [
        (
            "region: a\n\n# of the other branch\nregion: b\n",
            "line 4: 'region' is there twice, first in line 1",
        ),
        ("a: {b: 1, b: 2}\n", "line 1: 'b' is there twice"),
        ("a:\n  - {x: 1}\n  - {x: 1, y: 2, x: 3}\n", "line 3: 'x' is there twice"),
        ("a:\r\n  b: 1\r\n  b: 2\r\n", "line 3: 'b' is there twice, first in line 2"),
        ("a: 1\n'a': 2\n", "line 2: 'a' is there twice, first in line 1"),
        ('a: 1\n"\\x61": 2\n', "line 2: 'a' is there twice, first in line 1"),
        ("a: {b: {c: 1, c: 2}}\na: 1\n", "line 1: 'c' is there twice"),
        ("a: {<<: {b: 1}, <<: {b: 2}}\n", "line 1: '<<' is there twice"),
        ("a: &a {b: 1, b: 2}\nc: *a\n", "line 1: 'b' is there twice"),
    ],
)
def test_a_key_is_there_once(content: str, lines: str) -> None:
    assert refusal(content) == f"{lines}; keep one of them"


@pytest.mark.parametrize(
    ("key", "remedy"),
    [("1", "'1'"), ("on", "'on'"), ("~", "'~'"), ("010", "'010'"), ("2026-01-01", "'2026-01-01'")],
)
def test_each_key_is_a_text(key: str, remedy: str) -> None:
    message = f"line 2: YAML does not read the key {key} as a text; write {remedy}"
    assert refusal(f"a: 1\n{key}: 2\n") == message
    assert Document(f"a: 1\n{remedy}: 2\n".encode()).data == {"a": 1, key: 2}


def test_a_key_that_overrides_a_merged_one_is_there_once() -> None:
    document = Document(b"a: &a {x: 1, y: 1}\nb: &b {x: 2, z: 2}\nc: {<<: [*a, *b], y: 0x3}\n")
    assert document.data["c"] == {"x": 1, "y": 3, "z": 2}
    written = document.scalar(("c", "y"))
    assert written is not None
    assert written.value == "0x3"


@pytest.mark.parametrize(
    ("value", "number"),
    [
        ("0123", "83"),
        ("-017", "-15"),
        ("0_17", "15"),
        ("12:30", "750"),
        ("1:30.5", "90.5"),
        ("1:00:00", "3600"),
    ],
)
def test_a_number_is_in_base_10_or_says_its_base(value: str, number: str) -> None:
    assert refusal(f"a:\n- b: {value}\n") == (
        f"line 2: a[item 1].b: YAML reads {value} as {number}; write '{value}' if it is a text, or the number in base 10"
    )
    assert Document(f"a: '{value}'".encode()).data == {"a": value}


def test_numbers_that_look_like_what_they_are_are_read() -> None:
    assert Document(b"a: [0, -1, 1_000, 0x10, 0b11, 1.5, 1.0e+3, 0.1, 08]").data == {
        "a": [0, -1, 1000, 16, 3, 1.5, 1000.0, 0.1, "08"]
    }


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("a: =", "line 1: a: = cannot be read as !!value; write '=' if it is a text"),
        ("a: 2026-13-45", "line 1: a: 2026-13-45 cannot be read as !!timestamp; write '2026-13-45' if it is a text"),
        ("a: !!int x", "line 1: a: x cannot be read as !!int; write 'x' if it is a text"),
        ("a: !!bool x", "line 1: a: x cannot be read as !!bool; write 'x' if it is a text"),
        ("a: !Ref x", "line 1: a: x cannot be read as !Ref; leave the tag out"),
        ("a: !Sub [x]", "line 1: a: !Sub is not known; leave it out"),
        ("a: !!set {b}", "line 1: a: !!set is not known; leave it out"),
        ("a: {{ x }}", "line 1: a key has to be a text; write texts with { or [ in quotes"),
        ("? [a]\n: 1", "line 1: a key has to be a text; write texts with { or [ in quotes"),
        ("a: *x", "line 1: not YAML: no anchor &x is above; write '*x' if it is a text"),
        ("a: &a 1\nb: &a 2", "line 2: not YAML: an anchor (&name) is there twice; rename one"),
        ("a: &a [*a]", "line 1: a[item 1]: it has an alias of itself; write the value"),
        ("a:\n\t- b", "line 2: not YAML: a tab; indent with spaces"),
        ("a: 1\n---\nb: 1", "line 2: not YAML: a second document begins; keep one, without a line ---"),
        ("a: 1\nb: \x01", "line 2: not YAML: the character U+0001 is not allowed; delete it"),
        (b"a: 1\nb: \xff", "line 2: not UTF-8; save the file as UTF-8"),
        ("a: 1".encode("utf-16"), "line 1: not UTF-8; save the file as UTF-8"),
        (
            "a: 1\n<<<<<<< HEAD\nb: 1\n=======\nb: 2\n>>>>>>> other\n",
            "line 2: not YAML: <<<<<<< is a conflict marker of git; resolve the conflict",
        ),
    ],
)  # fmt: skip
def test_what_cannot_be_read_is_named_with_line_and_remedy(content: str | bytes, message: str) -> None:
    assert refusal(content) == message


@pytest.mark.parametrize("content", ["a: b: c", "a: @b", "a: 1\n  b: 2", "a\nb: 1\nc", "a: [1", "a: 'b"])
def test_what_is_not_yaml_has_a_line_and_a_remedy(content: str) -> None:
    message = refusal(content)
    assert message.startswith("line ")
    assert ": not YAML: " in message
    assert message.endswith("; check the indentation, and write texts with signs such as : @ * & % in quotes")


@pytest.mark.parametrize("bomb", [aliases("[x, x]", "[%s]"), aliases("{x: 1}", "{<<: [%s]}")])
def test_aliases_of_aliases_are_refused_before_they_are_expanded(bomb: str) -> None:
    started = time.monotonic()
    assert refusal(bomb).endswith(f"with its aliases it has more than {MAX_VALUES} values")
    assert time.monotonic() - started < 1


@pytest.mark.parametrize("levels", [66, 900, 100_000])
def test_deep_nesting_is_refused(levels: int) -> None:
    assert refusal("[" * levels + "]" * levels) == "it is nested too deeply; write at most 64 levels"
    assert Document(b"[" * 65 + b"]" * 65).data is not None


def test_an_empty_file_has_no_data() -> None:
    assert Document(b"").data is None
    assert Document(b"# nothing\n").data is None


def test_a_byte_order_mark_is_no_part_of_the_first_key() -> None:
    assert Document("\ufeffa: 1".encode()).data == {"a": 1}
