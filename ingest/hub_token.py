"""The Hub token inside a secret: the rule that the seeder applies, and the doctor before it."""

from __future__ import annotations


def plain_token(text: str) -> str | None:
    """Return the token that a secret's text is; None if it is empty, JSON or several words.

    Whitespace around the token is dropped: an editor ends a file with a newline.
    """
    token = text.strip()
    if not token or any(character.isspace() or character in "{}\"'" for character in token):
        return None
    return token
