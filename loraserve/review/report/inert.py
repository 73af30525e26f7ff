"""Text of a pull request's author, made inert: it can show itself, and do nothing else.

Titles and details quote names and values of templates and manifests. In a comment on GitHub these could be a
link, an image, HTML, a mention that notifies people, or a reference to an issue; in a terminal they could
move the cursor. GitHub finds mentions and references in the rendered text, where a backslash has no effect,
but not in code (the filters of https://github.com/gjtorikian/html-pipeline ignore `pre` and `code`).
Therefore each word that is not plain prose is set as code.
"""

from __future__ import annotations

import re
import unicodedata

#: Letters and symbols that are shown as nothing: fillers of Hangul, the empty pattern of Braille.
_BLANK = frozenset("\u115f\u1160\u2800\u3164\uffa0")
_SPACES = re.compile(r"\s+")
#: Words, whose parts in backquotes may have spaces.
_WORD = re.compile(r"(?:`[^`]+`|\S)+")
#: A part in backquotes, with punctuation around it.
_QUOTED = re.compile(r"(?P<before>\(?)`(?P<code>[^`]+)`(?P<after>[,.;:)]*)")
#: A word with the punctuation that is left outside of its code.
_AROUND = re.compile(r"(?P<before>\(?)(?P<code>.+?)(?P<after>[,.;:)]*)")
#: Words and numbers in which Markdown and GitHub see nothing: no dot, colon, slash, @ or # within.
_PLAIN = re.compile(
    r"\(?(?P<core>[^\W_]+(?:[-'’][^\W_]+)*)[,.;:?)]*"
    r"|\(?[+−]?\d[\d,]*(?:\.\d+)?%?[,;:.)]*"
    r"|e\.g\.|i\.e\."
    r"|[→·×=≥≤±−–—]"
)
#: A commit or the key of a ticket: GitHub may link them.
_REFERENCE = re.compile(r"[0-9a-f]{7,}|[a-z]+-\d+", re.IGNORECASE)
#: The first word of a block that would begin a numbered list.
_NUMBERED = re.compile(r"\d+[.)]")


def plain(text: str, limit: int) -> str:
    """Return one line of visible characters, at most `limit` and the note of what was cut."""
    return _cut(_visible(_SPACES.sub(" ", unicodedata.normalize("NFC", text)).strip()), limit)


def code_line(text: str, limit: int) -> str:
    """Return a line of a code block: as `plain`, with its spaces."""
    return _cut(_visible(text.replace("\t", "  ").rstrip()), limit)


def markdown(text: str, limit: int) -> str:
    """Return Markdown that shows the text on one line; parts in backquotes are code, as in the text."""
    words = _WORD.findall(plain(text, limit))
    shown = [_shown(word, first=number == 0) for number, word in enumerate(words)]
    # A list item without text would underline the line before, as a heading.
    return " ".join(shown) or "–"


def cell(text: str, limit: int) -> str:
    """Return Markdown for a cell of a table, where a bar would end the cell even in code."""
    return markdown(text.replace("|", "¦"), limit)


def fence(lines: list[str]) -> str:
    """Return a fence that no line ends: longer than any run of backquotes."""
    runs = (len(run) for line in lines for run in re.findall(r"`+", line))
    return "`" * max(3, 1 + max(runs, default=0))


def _shown(word: str, *, first: bool) -> str:
    quoted = _QUOTED.fullmatch(word)
    if quoted is not None and quoted["code"].strip():
        return f"{quoted['before']}`{quoted['code'].strip()}`{quoted['after']}"
    match = _PLAIN.fullmatch(word)
    begins_a_list = first and _NUMBERED.fullmatch(word) is not None
    if match is not None and not begins_a_list and not _REFERENCE.fullmatch(match["core"] or ""):
        return word
    word = word.replace("`", "'")
    around = _AROUND.fullmatch(word)
    return f"`{word}`" if around is None else f"{around['before']}`{around['code']}`{around['after']}"


def _visible(text: str) -> str:
    """Replace characters without a picture by their numbers: controls, marks, changes of direction."""
    if text.isascii() and text.isprintable():
        return text
    return "".join(
        each if each == " " or (unicodedata.category(each)[0] in "LNPS" and each not in _BLANK)
        # A space of any width is a space.
        else " " if unicodedata.category(each) == "Zs"
        else f"\\u{{{ord(each):x}}}"
        for each in text
    )  # fmt: skip


def _cut(text: str, limit: int) -> str:
    return text if len(text) <= limit else f"{text[:limit]}… (+{len(text) - limit:,} characters)"
