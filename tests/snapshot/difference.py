"""The difference between two JSON documents, as a JSON document for a reviewer.

It has one entry for each change: `"+ key"` was added, `"- key"` was removed. A changed value is
`{"-": before, "+": after}`, with `"…"` for a long value. Items of a list have their index as key: `"3"` and
`"- 3"` are indices of the list before, `"+ 3"` is an index of the list after. A long string is a list of its
pieces. Keys that lead to one entry only are joined: `"Resources / Endpoint / Properties"`.
"""

import json
import re
from difflib import SequenceMatcher
from typing import Any

#: Characters above which a string is compared piece by piece, such as the body of a dashboard, and above which
#: a value that was replaced by one of another type is not repeated.
LONG = 200
#: Between joined keys; no key of a template has it.
SEPARATOR = " / "
_PIECE = re.compile(r"(?<=[}\]], )")
_CHANGED = {"-", "+"}


def difference(before: Any, after: Any) -> dict[str, Any]:
    """Return the changes from `before` to `after`; empty if they are equal."""
    if _text(before) == _text(after):
        return {}
    if isinstance(before, dict) and isinstance(after, dict):
        found = {f"- {key}": before[key] for key in before.keys() - after.keys()}
        found |= {f"+ {key}": after[key] for key in after.keys() - before.keys()}
        for key in before.keys() & after.keys():
            if inner := difference(before[key], after[key]):
                found[key] = inner
        return found
    if isinstance(before, list) and isinstance(after, list):
        return _difference_of_lists(before, after)
    if isinstance(before, str) and isinstance(after, str) and max(len(before), len(after)) > LONG:
        pieces, new_pieces = _PIECE.split(before), _PIECE.split(after)
        if len(pieces) > 1 or len(new_pieces) > 1:
            return _difference_of_lists(pieces, new_pieces)
    return {"-": before if len(_text(before)) <= LONG else "…", "+": after}


def _difference_of_lists(before: list[Any], after: list[Any]) -> dict[str, Any]:
    found: dict[str, Any] = {}
    texts = [[_text(item) for item in items] for items in (before, after)]
    for tag, start, end, new_start, new_end in SequenceMatcher(None, *texts, autojunk=False).get_opcodes():
        if tag == "equal":
            continue
        pairs = min(end - start, new_end - new_start)
        for number in range(pairs):
            found[str(start + number)] = difference(before[start + number], after[new_start + number])
        found |= {f"- {number}": before[number] for number in range(start + pairs, end)}
        found |= {f"+ {number}": after[number] for number in range(new_start + pairs, new_end)}
    return found


def _text(document: Any) -> str:
    """Return JSON text, in which 1, 1.0 and true differ."""
    return json.dumps(document, sort_keys=True)


def patched(before: Any, change: dict[str, Any]) -> Any:
    """Return the document that `change` makes of `before`: the inverse of `difference`."""
    if not change:
        return before
    if change.keys() == _CHANGED:
        return change["+"]
    if isinstance(before, dict):
        kept = {
            key: patched(value, change.get(key, {}))
            for key, value in before.items()
            if f"- {key}" not in change
        }
        return kept | {key[2:]: value for key, value in change.items() if key.startswith("+ ")}
    items = _PIECE.split(before) if isinstance(before, str) else before
    result = [
        patched(item, change.get(str(number), {}))
        for number, item in enumerate(items)
        if f"- {number}" not in change
    ]
    for number in sorted(int(key[2:]) for key in change if key.startswith("+ ")):
        result.insert(number, change[f"+ {number}"])
    return "".join(result) if isinstance(before, str) else result


def joined(change: dict[str, Any]) -> dict[str, Any]:
    """Join keys that lead to one entry only, which makes a deep difference short."""
    found: dict[str, Any] = {}
    for key, value in change.items():
        if key in _CHANGED or key.startswith(("+ ", "- ")):
            found[key] = value
            continue
        inner = joined(value)
        if len(inner) == 1:
            [(last, only)] = inner.items()
            found[f"{key}{SEPARATOR}{last}"] = only
        else:
            found[key] = inner
    return found
