"""The suggestion in a message about an unknown name."""

from __future__ import annotations

import difflib
from collections.abc import Iterable


def closest(word: str, valid: Iterable[str], *, cutoff: float = 0.6) -> str:
    """Return `, did you mean …` if one of `valid` is like `word`, else an empty text.

    `cutoff` is the smallest similarity, from 0 to 1, as difflib measures it; by default difflib's own.
    """
    match = difflib.get_close_matches(word, list(valid), n=1, cutoff=cutoff)
    return f", did you mean {match[0]!r}" if match else ""
