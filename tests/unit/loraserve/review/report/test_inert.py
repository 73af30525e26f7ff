"""Text of a pull request's author in a report: read by a Markdown parser, it is text or code and nothing else."""

import re
import unicodedata
from collections.abc import Iterator
from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from markdown_it import MarkdownIt
from markdown_it.token import Token

from loraserve.review.document import AdapterEntry, ComparedSide
from loraserve.review.report.inert import cell, fence, markdown, plain
from loraserve.review.report.markdown import COMMENT_BUDGET
from loraserve.review.report.markdown import markdown as report_of
from loraserve.review.report.text import text as text_of
from tests.unit.loraserve.review.report.documents import EXAMPLE, finding, stage

#: As GitHub reads a comment: with tables, strikethrough and HTML.
PARSER = MarkdownIt("commonmark", {"html": True}).enable(["table", "strikethrough"])
#: What GitHub makes of text outside of code: mentions, references, addresses, emoji, formulas, footnotes.
LIVE = re.compile(
    r"@\w|#\d|\b[0-9a-f]{7,}\b|\bgh-\d|://|www\.|\w\.\w*[a-z]|:\w+:|\$|\[|<|&|\*|_|~|`|mailto:", re.IGNORECASE
)
FRAGMENTS = (
    "@octocat", "@org/team", "#1", "GH-1", "owner/repo#2", "https://evil.example/x", "www.evil.example", "a@b.example",
    "[a](https://evil.example)", "![a](https://evil.example/x.png)", "<img src=x onerror=alert(1)>", "<!-- x", "-->",
    "</details>", "<details>", "<script>", "&lt;", "`", "``", "```", "~~~", "\\", "\\`", "|", "\\|", "*a*", "**", "_b_",
    "~~c~~", "$x$", "$`x`$", ":smile:", "[^1]", "[ ]", "# h", "> q", "- l", "1. n", "1)", "---", "===", "    code",
    "\n", "\n\n", "\r", "\t", "\x1b[2J", "\x07", "\u202e", "\u2066", "\u200b", "\u200d", "\ufeff", "\u2028", "\ud800", "\u0301",
    "\u3164", "\u00a0", "deadbeef", "1a2b3c4d5e6f", "e.g.", "adapter `x` goes", "plain words", "s3:GetObject", "é", "中",
)  # fmt: skip
HOSTILE = st.one_of(
    st.lists(st.sampled_from(FRAGMENTS), min_size=1, max_size=8).flatmap(
        lambda parts: st.sampled_from(["".join(parts), " ".join(parts)])
    ),
    st.text(st.characters(), max_size=60),
)


def tokens(found: list[Token]) -> Iterator[Token]:
    for each in found:
        yield each
        yield from tokens(each.children or [])


def types(source: str) -> set[str]:
    return {each.type for each in tokens(PARSER.parse(source))}


def texts(source: str) -> str:
    """The text outside of code."""
    found = " ".join(each.content for each in tokens(PARSER.parse(source)) if each.type == "text")
    return found.replace("e.g.", "")


def invisible(text: str) -> set[str]:
    return {each for each in text if unicodedata.category(each)[0] in "CM" or each in "\u2028\u2029\u3164"}


@given(HOSTILE)
@settings(max_examples=250, deadline=None)
def test_a_text_shows_itself_and_does_nothing(hostile: str) -> None:
    shown = markdown(hostile, 300)
    assert "\n" not in shown
    assert not invisible(shown)
    in_list = {"bullet_list_open", "list_item_open", "paragraph_open", "inline"}
    in_list |= {each.replace("open", "close") for each in in_list} | {"text", "code_inline"}
    assert types(f"- {shown}\n") <= in_list
    assert types(f"- first\n  - {shown}\n") <= in_list
    assert not LIVE.search(texts(shown)), texts(shown)
    row = f"| a | b |\n|---|---|\n| x | {cell(hostile, 300)} |\n"
    cells = [each for each in PARSER.parse(row) if each.type == "td_open"]
    assert len(cells) == 2
    assert types(row) & {"link_open", "image", "html_inline", "em_open", "strong_open", "s_open"} == set()
    assert not LIVE.search(texts(row)), texts(row)


@given(HOSTILE)
@settings(max_examples=100, deadline=None)
def test_a_terminal_gets_one_line_of_visible_characters(hostile: str) -> None:
    assert not invisible(plain(hostile, 300))
    assert plain(plain(hostile, 10_000), 10_000) == plain(hostile, 10_000)


@given(st.lists(HOSTILE, min_size=10, max_size=10))
@settings(max_examples=60, deadline=None)
def test_a_report_with_hostile_values_everywhere_keeps_its_form(values: list[str]) -> None:
    one, two, three, four, five, six, seven, eight, nine, ten = values
    document = replace(
        EXAMPLE,
        base=ComparedSide(name=one, commit=two),
        notes=(three,),
        stages=(replace(stage("prod", "REVIEW"), name=four, requests=five),),
        findings=(
            finding(
                "access.wider",
                "REVIEW",
                six,
                stage=four,
                consequence=seven,
                action=eight,
                details=(nine, ten),
            ),
            finding("rollover.fleet", "ROLLOVER", nine, stage=four, consequence=one, details=(two, three)),
        ),
        adapters=(AdapterEntry(stage=four, name=five, what=six, before=seven, after=eight),),
        diff="\n".join(values),
        prices_date=ten,
    )
    report = report_of(document)
    assert len(report.encode()) <= COMMENT_BUDGET
    assert not invisible(report.replace("\n", ""))
    parsed = list(tokens(PARSER.parse(report)))
    html = [
        line for each in parsed if each.type.startswith("html") for line in each.content.splitlines() if line
    ]
    assert {re.sub(r"\d+", "N", line) for line in html} <= {
        "<details><summary>meaning and action (N)</summary>",
        "<details><summary>what else changes (N)</summary>",
        "<details><summary>adapters (N)</summary>",
        "<details><summary>access, statement by statement (N)</summary>",
        "<details><summary>CloudFormation's own diff (N lines)</summary>",
        "</details>",
    }
    assert html.count("</details>") == 5
    counts = {
        each: sum(token.type == each for token in parsed) for each in ("table_open", "fence", "heading_open")
    }
    assert counts == {"table_open": 2, "fence": 1, "heading_open": 1}
    assert not {"link_open", "image", "em_open", "s_open"} & {each.type for each in parsed}
    assert not LIVE.search(texts(report)), texts(report)
    assert not invisible(text_of(document).replace("\n", ""))


@pytest.mark.parametrize(("text", "shown"), [
    ("adapter `gsm8k` goes: its callers get 404 within 5 s", "adapter `gsm8k` goes: its callers get 404 within 5 s"),
    ("up to 8 instances instead of 4; needs a quota of 12 ml.g5.xlarge",
     "up to 8 instances instead of 4; needs a quota of 12 `ml.g5.xlarge`"),
    ("+4,112 (4,127 → 8,239), +7.6 %", "+4,112 (4,127 → 8,239), +7.6 `%`"),
    ("engine.max_total_tokens: 4096 → 8192", "`engine.max_total_tokens`: 4096 → 8192"),
    ("see (https://a.example).", "see (`https://a.example`)."),
    ("1. not a list", "`1`. not a list"),
    ("the stage's model, e.g. this", "the stage's model, e.g. this"),
    ("``", "`''`"),
    ("a\x1b[31mb\u202ec", r"`a\u{1b}[31mb\u{202e}c`"),
])  # fmt: skip
def test_prose_stays_prose_and_values_are_code(text: str, shown: str) -> None:
    assert markdown(text, 300) == shown


def test_a_cut_says_how_much() -> None:
    assert plain("x" * 100, 90) == "x" * 90 + "… (+10 characters)"


def test_a_fence_is_longer_than_any_in_the_lines() -> None:
    assert fence(["a", "`````"]) == "``````"
