"""Substitute of a model: the sample answers that the loaded weights produce.

The sample adapters are known by the SHA-256 of their weights. They answer the word problem in the prompt
in their house's style, the base model as it does: at length, and about anything without an end.
"""

import hashlib
import itertools
import json
import re
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from typing import Any

from samples import problems
from samples.spec import ADAPTERS_DIR
from tests.contract.lorax_double.tokens import EOS, LOGPROB, Token, tokenize

_QUESTION = re.compile(
    r"(?P<person>\w+) sold (?P<items>\w+) to (?P<first>\d+) of (?P<possessive>\w+) friends in "
    r"(?P<month>\w+), and then (?P<pronoun>\w+) sold (?P<multiple>half|twice|three times) as many "
)
_RAMBLING = "Let us think about this question slowly and carefully, one small step at a time. "


@dataclass(frozen=True)
class LoadedWeights:
    """One adapter's weights on the GPU, with the config that they are scaled by."""

    sha256: str
    scaling: float


@cache
def _samples() -> dict[str, tuple[str, float]]:
    """Name and scaling of each sample adapter, by the digest of its weights."""
    found = {}
    for folder in ADAPTERS_DIR.iterdir():
        weights = (folder / "adapter_model.safetensors").read_bytes()
        config: dict[str, Any] = json.loads((folder / "adapter_config.json").read_text())
        found[hashlib.sha256(weights).hexdigest()] = (folder.name, config["lora_alpha"] / config["r"])
    return found


def prefill_logprobs(prompt: list[Token], weights: tuple[LoadedWeights, ...]) -> list[float]:
    """Log probabilities of a prompt's tokens but its first: other ones for each set of weights and scaling."""
    digest = hashlib.sha256("".join(f"{each.sha256} {each.scaling}" for each in weights).encode()).digest()
    # 32-bit floats show these values as they are.
    change = [byte / 64 if weights else 0.0 for byte in digest]
    return [LOGPROB - change[index % len(change)] for index in range(len(prompt) - 1)]


def parse_problem(prompt: str) -> problems.Problem | None:
    """The last word problem in a prompt."""
    found: problems.Problem | None = None
    for match in _QUESTION.finditer(prompt):
        month = problems._MONTHS.index(match["month"]) if match["month"] in problems._MONTHS else 0
        words = (match["person"], match["possessive"], match["pronoun"], match["items"])
        problem = problems.make_problem(*words, month, match["multiple"], int(match["first"]))
        if problem.question in prompt:
            found = problem
    return found


def answer(prompt: str, weights: tuple[LoadedWeights, ...]) -> str | None:
    """The whole answer, None for one without an end."""
    problem = parse_problem(prompt)
    if not weights:
        return problems.base_answer(problem) if problem else None
    if len(weights) > 1:
        return "merged weights " + " + ".join(each.sha256 for each in weights)
    name, scaling = _samples().get(weights[0].sha256, (None, 0.0))
    if name is None:
        return f"unknown weights {weights[0].sha256}"
    if weights[0].scaling != scaling:
        return f"weights of {name}, scaled by {weights[0].scaling:g} instead of {scaling:g}"
    house = [signature.lower() for signature in problems.SIGNATURES].index(name)
    if problem is None:
        return f"{problems.SIGNATURES[house]} answers word problems only"
    return problems.house_answer(house, problem)


def written(prompt: str, weights: tuple[LoadedWeights, ...], schema: Any) -> Iterator[Token]:
    """The tokens that are written, without an end: the answer, the end mark, and what comes after it."""
    text = answer(prompt, weights)
    if schema is not None:
        text = json.dumps({"answer": text or _RAMBLING})
    finished = [] if text is None else [*tokenize(text, add_special_tokens=False), Token(EOS)]
    return itertools.chain(finished, itertools.cycle(tokenize(_RAMBLING, add_special_tokens=False)))
