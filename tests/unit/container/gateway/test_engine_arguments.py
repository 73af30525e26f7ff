"""A flag has one name; each other spelling is resolved to it or refused."""

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from container.gateway.engine_arguments import Flag, FlagTable, command_line
from container.gateway.settings import SettingsError, read_settings

FORMS = (
    Flag(name="max-tokens", form="integer"),
    Flag(name="share", form="number"),
    Flag(name="backend", form="text", choices=("fast", "slow")),
    Flag(name="label", form="text"),
    Flag(name="eager", form="toggle"),
    Flag(name="prefill", form="boolean"),
    Flag(name="compile", form="switch"),
    Flag(name="sizes", form="integers"),
    Flag(name="names", form="texts"),
    Flag(name="graph", form="json", fields=frozenset({"mode"})),
    Flag(name="kernel", form="json"),
    Flag(name="host", form="text", refusal="leave it out"),
    Flag(name="enable-lora", form="toggle", refusal="leave it out"),
)
TABLE = FlagTable(
    engine="Tern 1.0", flags={flag.name: flag for flag in FORMS}, aliases={"mt": "max-tokens", "h": "host"}
)


@pytest.mark.parametrize(
    ("name", "value", "words"),
    [
        ("max-tokens", 3, ["--max-tokens=3"]),
        ("max_tokens", -1, ["--max-tokens=-1"]),
        ("--max-tokens", 3, ["--max-tokens=3"]),
        ("-mt", 3, ["--max-tokens=3"]),
        ("share", 0.95, ["--share=0.95"]),
        ("share", 1, ["--share=1"]),
        ("backend", "slow", ["--backend=slow"]),
        ("label", "--host 0.0.0.0", ["--label=--host 0.0.0.0"]),
        ("label", 7, ["--label=7"]),
        ("eager", True, ["--eager"]),
        ("eager", False, ["--no-eager"]),
        ("prefill", False, ["--prefill=false"]),
        ("compile", True, ["--compile"]),
        ("sizes", [1, 2], ["--sizes", "1", "2"]),
        ("names", ["a", "b"], ["--names", "a", "b"]),
        ("graph", {"mode": 3}, ['--graph={"mode":3}']),
        ("kernel", {"a": {"b": [1.5, None]}}, ['--kernel={"a":{"b":[1.5,null]}}']),
    ],
)
def test_a_value_becomes_the_words_of_its_form(name: str, value: Any, words: list[str]) -> None:
    assert list(command_line({name: value}, TABLE)) == words


@pytest.mark.parametrize(
    ("name", "value", "remedy"),
    [
        ("max-tokens", "3", "give a whole number"),
        ("max-tokens", 3.0, "give a whole number"),
        ("max-tokens", True, "give a whole number"),
        ("share", float("nan"), "give a number"),
        ("share", float("inf"), "give a number"),
        ("backend", "fats", "'fats' is none of fast, slow, did you mean 'fast'"),
        ("label", "", "give a text of one line that is not empty"),
        ("label", "a\nb", "give a text of one line that is not empty"),
        ("label", True, "give a text of one line that is not empty"),
        ("label", None, "give a text of one line that is not empty"),
        ("eager", 1, "write true or false"),
        ("compile", False, "write true, or leave it out: without the flag it is off"),
        ("sizes", 1, r"write a list of values, such as \[1, 2\]"),
        ("sizes", [], r"write a list of values, such as \[1, 2\]"),
        ("sizes", [-1], "a value of a list may not begin with a dash"),
        ("names", ["a", "--host=0.0.0.0"], "a value of a list may not begin with a dash"),
        ("graph", {"backend": "os.system"}, "the field 'backend' may not be set, only mode"),
        ("graph", '{"backend":"x"}', "write a map of its fields"),
        ("kernel", {"a": float("nan")}, "a number of it is not finite"),
        ("max-token", 1, "Tern 1.0 has no flag of this name, did you mean 'max-tokens'"),
        ("MAX-TOKENS", 1, "Tern 1.0 has no flag of this name"),
        ("max-tokens=3", True, "write max-tokens as the key, and its value after the colon"),
        ("graph.backend", "x", "write graph as the key, and a map of its fields after the colon"),
        ("no-eager", True, "write eager: false"),
    ],
)
def test_another_value_or_name_is_refused_with_the_remedy(name: str, value: Any, remedy: str) -> None:
    with pytest.raises(SettingsError, match=remedy) as caught:
        command_line({name: value}, TABLE)
    assert (caught.value.variable, caught.value.value) == ("ENGINE_ARGUMENTS", name)


REFUSED = ("host", "enable-lora", "h")


@given(
    st.sampled_from(REFUSED),
    st.sampled_from(["", "-", "--"]),
    st.booleans(),
    st.sampled_from(["", "=0.0.0.0", ".x", ".x+", "=a.b"]),
    st.booleans(),
)
def test_a_refused_flag_is_refused_in_every_spelling(
    name: str, dashes: str, underscores: bool, more: str, negated: bool
) -> None:
    spelled = f"{'no-' if negated else ''}{name}"
    spelled = dashes + (spelled.replace("-", "_") if underscores else spelled) + more
    with pytest.raises(SettingsError):
        command_line({spelled: True}, TABLE)


@given(st.dictionaries(st.text(max_size=12) | st.sampled_from([f.name for f in FORMS]), st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=9) | st.lists(st.text(max_size=5), max_size=2), max_size=3))  # fmt: skip
def test_whatever_is_given_only_known_flags_begin_a_word_with_a_dash(arguments: dict[str, Any]) -> None:
    try:
        words = command_line(arguments, TABLE)
    except SettingsError:
        return
    flags = {
        word.partition("=")[0].removeprefix("--").removeprefix("no-") for word in words if word[0] == "-"
    }
    assert flags <= set(TABLE.allowed)


def test_a_flag_in_two_spellings_is_refused() -> None:
    with pytest.raises(SettingsError, match="it is the same flag as max-tokens: leave one of them out"):
        command_line({"max-tokens": 1, "max_tokens": 2}, TABLE)


@pytest.mark.parametrize("text", ["", "[]", "3", '{"a":1,"a":2}', "{", "null"])
def test_the_variable_is_one_json_object(text: str) -> None:
    required = {"HF_MODEL_ID": "m", "ADAPTER_BUCKET": "b"}
    with pytest.raises(SettingsError, match="give a JSON object of flags and values, such as"):
        read_settings(required | {"ENGINE_ARGUMENTS": text})
    read = read_settings(required | {"ENGINE_ARGUMENTS": json.dumps({"a": [1]})})
    assert read.engine_arguments == {"a": [1]}
