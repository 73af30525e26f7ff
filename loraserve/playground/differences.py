"""Differences between answers, word by word, as HTML."""

from __future__ import annotations

import re
from difflib import SequenceMatcher
from html import escape

_WORD = re.compile(r"\s+|[^\s]+")


def segments(reference: str, text: str) -> list[tuple[str, bool]]:
    """Cut `text` into pieces; those marked True are not in `reference`, or at another place.

    The pieces together are `text`. Spaces between two marked words are marked with them.
    """
    before, after = _WORD.findall(reference), _WORD.findall(text)
    found: list[tuple[str, bool]] = []
    # Without autojunk: it drops words that are frequent in texts of 200 words or more.
    for kind, _, _, start, end in SequenceMatcher(None, before, after, autojunk=False).get_opcodes():
        piece = "".join(after[start:end])
        if not piece:
            continue
        is_new = kind != "equal" and not piece.isspace()
        bridges = len(found) > 1 and is_new and found[-1][0].isspace() and found[-2][1]
        if bridges:
            space, (earlier, _) = found.pop()[0], found.pop()
            piece = earlier + space + piece
        found.append((piece, is_new))
    return found


def marked_html(reference: str | None, text: str) -> str:
    """Return `text` as escaped HTML, with differences from `reference`, unless that is None, in `<mark>`."""
    if reference is None:
        return escape(text)
    return "".join(
        f"<mark>{escape(piece)}</mark>" if is_new else escape(piece)
        for piece, is_new in segments(reference, text)
    )
