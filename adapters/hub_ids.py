"""The Hub's rules of names: of repositories, and of folders inside them."""

from __future__ import annotations

import re

#: huggingface_hub, `utils/_validators.py`.
_ID = re.compile(r"(?!.*(--|\.\.))(?!.*\.git$)(\b[\w.-]{1,96}\b/)?\b[\w.-]{1,96}\b", re.ASCII)
#: A folder has no empty parts, and none that a file system would resolve.
_FOLDER = re.compile(r"(?!\.{1,2}(/|$))[^/\x00-\x1f]+(/(?!\.{1,2}(/|$))[^/\x00-\x1f]+)*")


def is_hub_id(text: str) -> bool:
    """Return whether a repository can have this id, such as `org/repo`; old ones have no organization."""
    return _ID.fullmatch(text) is not None


def is_hub_folder(path: str) -> bool:
    """Return whether a repository can have a folder of this path."""
    return _FOLDER.fullmatch(path) is not None
