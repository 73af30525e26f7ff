"""The playground without its page: catalog, comparison, differences, link, export."""

import json
from urllib.parse import parse_qsl

import pytest
from botocore.exceptions import EndpointConnectionError

from adapters.store.layout import RegistryEntry
from loraserve.client import InvocationError
from loraserve.playground import export
from loraserve.playground.catalog import catalog, fastest, summary
from loraserve.playground.comparison import BASE, ModelAnswer, Sampling
from loraserve.playground.differences import marked_html, segments
from loraserve.playground.link import MAX_ADAPTERS, ComparisonSetup, from_query, pinned, to_query
from loraserve.playground.sentences import sentence
from loraserve.playground.settings import PageSettings


def entry(name: str, **labels: str) -> RegistryEntry:
    return RegistryEntry(name, "a" * 16, "a" * 64, 8, 400_000, "base", "here", labels=labels)


def answer(**fields: object) -> ModelAnswer:
    return ModelAnswer(**{"model": "otter", "prompt": "p", "is_complete": True} | fields)  # type: ignore[arg-type]


def test_residency_is_a_tier_or_no_where_it_is_known_and_otherwise_not_known() -> None:
    entries = [entry("otter", team="a"), entry("heron")]
    known = catalog(entries, {"otter": "slot", "heron": None})
    assert [(each.name, each.resident) for each in known] == [("heron", "no"), ("otter", "slot")]
    assert known[1].choice == ("otter · aaaaaaaa · team=a · 0.4 MB · in a slot", "otter")
    unknown = catalog(entries, None)
    assert {each.resident for each in unknown} == {"not known"}
    assert "invocations only" in summary(unknown, "bucket")
    assert "type their names" in summary([], None)


def test_the_fastest_tier_of_all_instances_counts() -> None:
    assert fastest([None, "disk", "slot"]) == "slot"
    assert fastest([None]) is None


@pytest.mark.parametrize(
    ("reference", "text", "expected"),
    [
        ("a b c", "a b c", [("a b c", False)]),
        ("a b c", "a x c", [("a ", False), ("x", True), (" c", False)]),
        ("", "new", [("new", True)]),
        ("a", "", []),
    ],
)
def test_words_that_the_reference_lacks_are_marked(
    reference: str, text: str, expected: list[tuple[str, bool]]
) -> None:
    assert segments(reference, text) == expected
    assert "".join(piece for piece, _ in segments(reference, text)) == text


def test_an_answer_is_text_to_the_browser() -> None:
    assert marked_html("a", "<img>") == "<mark>&lt;img&gt;</mark>"
    assert marked_html(None, "<b>") == "&lt;b&gt;"


def test_a_link_has_the_whole_comparison() -> None:
    setup = ComparisonSetup(
        adapters=("otter@" + "a" * 16, "team/heron"),
        with_base=False,
        prompt="48 & 24?\n",
        instruction=True,
        sampling=Sampling(temperature=0.7, tokens=9, seed=3),
    )
    read = dict(parse_qsl(to_query(setup)))
    assert from_query(read) == setup


def test_a_damaged_link_has_defaults() -> None:
    read = from_query({"adapters": "a,b,a,c,d,e", "tokens": "nan", "temperature": "9", "seed": "x"})
    assert read.adapters == ("a", "b", "c", "d")
    assert len(read.adapters) == MAX_ADAPTERS
    assert read.sampling == Sampling()


def test_a_link_names_the_revisions_that_answered() -> None:
    assert pinned(("otter", "gone"), [answer(answered_by="otter@1"), answer(model="gone")]) == (
        "otter@1",
        "gone",
    )


def test_the_rate_is_that_after_the_first_token() -> None:
    assert answer(tokens=11, first_token_s=1.0, last_token_s=2.0).tokens_per_second == 10
    assert answer(tokens=1, first_token_s=1.0, last_token_s=1.0).tokens_per_second is None


def test_exports_have_prompt_answer_figures_and_settings() -> None:
    rows = [export.row(answer(text="=1+1"), Sampling(seed=5))]
    assert json.loads(export.as_jsonl(rows))["text"] == "=1+1"
    assert json.loads(export.as_jsonl(rows))["seed"] == 5
    assert ",'=1+1," in export.as_csv(rows)


def test_prompts_of_a_file() -> None:
    assert export.read_prompts("a\n\nb\n", "x.txt") == ["a", "b"]
    assert export.read_prompts('{"prompt": "a"}\n', "x.jsonl") == ["a"]
    with pytest.raises(export.PromptFileError, match=r"x\.jsonl:1: write an object"):
        export.read_prompts("[]\n", "x.jsonl")
    with pytest.raises(export.PromptFileError, match="has no prompt"):
        export.read_prompts("\n", "x.txt")


def test_failures_are_sentences_with_a_remedy() -> None:
    unknown = sentence(InvocationError(404, "adapter_not_found", "adapter 'x' is not registered"), "e")
    assert unknown is not None
    assert unknown.endswith("Pick a published adapter, or read the list again.")
    gone = sentence(EndpointConnectionError(endpoint_url="http://127.0.0.1:1"), "e")
    assert gone is not None
    assert "endpoint e has gone away" in gone
    missing = sentence(InvocationError(400, "ValidationError", "Endpoint e not found"), "e")
    assert missing is not None
    assert "deploy its stage" in missing
    assert sentence(KeyError("a bug"), "e") is None


def test_settings_survive_the_command_line() -> None:
    settings = PageSettings(endpoint="e", port=1, containers=("http://127.0.0.1:2",))
    assert PageSettings.from_json(settings.to_json()) == settings
    assert BASE not in settings.to_json()
