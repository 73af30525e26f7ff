"""Substitute of a tokenizer: words, digits and punctuation marks are tokens; and stopping criteria."""

import re
import zlib
from collections.abc import Sequence
from dataclasses import dataclass

BOS, EOS = "<s>", "</s>"
_SPECIAL = {BOS: 1, EOS: 2}
#: Every text is a row of these, with no character left over.
_TOKEN = re.compile(r"</?s>| ?(?:[^\W\d_]+|\d|[^\w\s]|_)|\s")
#: All the same, so that no sequence is better than another; a 32-bit float shows it as it is.
LOGPROB = -0.125


@dataclass(frozen=True)
class Token:
    text: str
    start: int = 0
    """Position in the text, in characters."""

    @property
    def id(self) -> int:
        return _SPECIAL.get(self.text, zlib.crc32(self.text.encode()) % 32_000 + 3)

    @property
    def special(self) -> bool:
        return self.text in _SPECIAL


def tokenize(text: str, *, add_special_tokens: bool) -> list[Token]:
    found = [Token(match.group(), match.start()) for match in _TOKEN.finditer(text)]
    return [Token(BOS), *found] if add_special_tokens else found


class StoppingCriteria:
    """Port of server/lorax_server/utils/tokens.py: the length comes first, a stop string is kept."""

    def __init__(self, stop_sequences: Sequence[str], max_new_tokens: int, ignore_eos_token: bool) -> None:
        self._stops = [re.compile(f".*{re.escape(stop)}$") for stop in stop_sequences]
        self._max_new_tokens = max_new_tokens
        self._ignore_eos_token = ignore_eos_token
        self._output = ""
        self.current_tokens = 0

    def __call__(self, token: Token) -> str | None:
        """The reason to stop after this token, or None."""
        self.current_tokens += 1
        if self.current_tokens >= self._max_new_tokens:
            return "length"
        if not self._ignore_eos_token and token.text == EOS:
            return "eos_token"
        self._output += token.text
        # A stop string that ends inside a token is not seen.
        return "stop_sequence" if any(stop.findall(self._output) for stop in self._stops) else None
