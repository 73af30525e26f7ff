"""Prompts of a load test: read from a file, of the sample adapters, or of random words.

Formats of a file, recognized by its content:

- lines of JSON `{"prompt": …, "adapter": …, "expect": …, "regex": …, "output_tokens": …}`, the project's own;
- lines of JSON `{"text": …, "model": …}`, aiperf's `single_turn` (`aiperf/dataset/loader/models.py`, 0.13);
- lines that are requests in OpenAI's schema, aiperf's `raw_payload`, or in LoRAX's (`{"inputs": …}`);
- one document `{"data": [{"session_id": …, "payloads": […]}]}`, aiperf's `inputs_json`.
"""

from __future__ import annotations

import json
import random
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from loraserve.errors import UserError
from samples.problems import SIGNATURES, adapter_name, house_answer, random_problem

#: The text that stands for the problems of the sample adapters, instead of a file.
SAMPLES: Final = "@samples"
#: Problems for each sample adapter.
_PROBLEMS: Final = 20


class PromptsError(UserError):
    """A file of prompts that cannot be used."""

    exit_code = 2


@dataclass(frozen=True, kw_only=True)
class LoadPrompt:
    """A prompt, the adapter that it is for, and the answer that is right.

    It has either a `text`, which is sent in LoRAX's schema, or a `payload`, a whole request.
    """

    text: str | None = None
    payload: Mapping[str, Any] | None = None
    adapter: str | None = None
    """None for the base model, unless the prompt is for any adapter."""
    is_for_any: bool = False
    """True if the line names no adapter: each adapter may be asked."""
    expect: str | None = None
    """The whole text of the right answer, without white space around it; None if it is not known."""
    pattern: str | None = None
    """A regular expression that is found in every right answer; None without one."""
    output_tokens: int | None = None
    """Most tokens of the answer; None: the workload's."""


def read_prompts(path: Path) -> list[LoadPrompt]:
    """Read a file of prompts; raises `PromptsError`, which names the line."""
    try:
        text = path.read_text()
    except (OSError, UnicodeDecodeError) as error:
        raise PromptsError(f"{path}: cannot be read: {error}; name a file of prompts") from error
    prompts = [_prompt(where, record) for where, record in _records(path, text)]
    if not prompts:
        raise PromptsError(f"{path}: has no prompt: write a line of JSON for each")
    return prompts


def sample_prompts(adapters: Sequence[str], seed: int) -> list[LoadPrompt]:
    """Return word problems for those of `adapters` that are sample adapters, with the expected answers.

    The base model, whose answer is long and ends after the usual number of tokens, has them without.
    """
    rng = random.Random(seed)
    houses = {adapter_name(number): number for number in range(len(SIGNATURES))}
    unknown = [name for name in adapters if name not in houses]
    if unknown:
        raise PromptsError(
            f"--prompts {SAMPLES}: {unknown[0]!r} is no sample adapter: name a file of prompts for it"
        )
    problems = [random_problem(rng) for _ in range(_PROBLEMS)]
    prompts = [LoadPrompt(text=problem.prompt) for problem in problems]
    for name in adapters:
        for problem in problems:
            expect = house_answer(houses[name], problem)
            prompts.append(LoadPrompt(text=problem.prompt, adapter=name, expect=expect))
    return prompts


def adapters_of(prompts: Sequence[LoadPrompt]) -> tuple[str, ...]:
    """Return the adapters that the prompts name, each once, in their order."""
    return tuple(dict.fromkeys(prompt.adapter for prompt in prompts if prompt.adapter is not None))


def choose(
    prompts: Sequence[LoadPrompt], asked: Sequence[str | None], rng: random.Random
) -> list[LoadPrompt]:
    """Draw a prompt for each request, of those for its adapter and of those for any.

    Args:
        prompts: the prompts.
        asked: the adapter of each request; None for the base model.
        rng: source of the draws.

    Raises:
        PromptsError: an adapter has no prompt.
    """
    for_any = [prompt for prompt in prompts if prompt.is_for_any]
    fitting: dict[str | None, list[LoadPrompt]] = {}
    for prompt in prompts:
        if not prompt.is_for_any:
            fitting.setdefault(prompt.adapter, []).append(prompt)
    choices = {name: fitting.get(name, []) + for_any for name in set(asked)}
    for name in asked:
        if not choices[name]:
            shown = "the base model" if name is None else f"adapter {name!r}"
            raise PromptsError(
                f"--prompts: no prompt is for {shown}: add one, or one without the key adapter, for any"
            )
    return [rng.choice(choices[name]) for name in asked]


def _records(path: Path, text: str) -> Iterator[tuple[str, dict[str, Any]]]:
    """Yield each record with its place in the file."""
    if (payloads := _inputs_json(text)) is not None:
        for number, payload in enumerate(payloads):
            yield f"{path}: payload {number}", payload
        return
    for number, line in enumerate(text.splitlines(), start=1):
        if not line.strip():
            continue
        where = f"{path}:{number}"
        try:
            record = json.loads(line)
        except ValueError as error:
            raise PromptsError(f"{where}: is not JSON: {error}; correct the line") from error
        if not isinstance(record, dict):
            raise PromptsError(f"{where}: is not an object: write {{'prompt': …}} in JSON")
        yield where, record


def _inputs_json(text: str) -> list[dict[str, Any]] | None:
    """Return the payloads of aiperf's `inputs_json`, or None for any other file."""
    try:
        document = json.loads(text)
        sessions = document["data"]
        return [dict(payload) for session in sessions for payload in session["payloads"]]
    except (ValueError, KeyError, TypeError):
        return None


def _prompt(where: str, record: dict[str, Any]) -> LoadPrompt:
    if "inputs" in record or "messages" in record or {"prompt", "model"} <= record.keys():
        return _payload(where, record)
    text = record.get("prompt", record.get("text"))
    if not isinstance(text, str) or not text:
        raise PromptsError(f"{where}: has no prompt: write it as the key prompt")
    names = [key for key in ("adapter", "model") if key in record]
    expect, pattern = _text(where, record, "expect"), _text(where, record, "regex")
    if pattern is not None:
        try:
            re.compile(pattern)
        except re.error as error:
            raise PromptsError(f"{where}: regex: {error}; correct it") from error
    tokens = record.get("output_tokens")
    if tokens is not None and (type(tokens) is not int or tokens < 1):
        raise PromptsError(f"{where}: output_tokens: write a number of 1 or more")
    return LoadPrompt(
        text=text,
        adapter=_text(where, record, names[0]) or None if names else None,
        is_for_any=not names,
        expect=None if expect is None else expect.strip(),
        pattern=pattern,
        output_tokens=tokens,
    )


def _payload(where: str, record: dict[str, Any]) -> LoadPrompt:
    """Return a request of OpenAI's or LoRAX's schema, as it is."""
    parameters = record.get("parameters")
    if "inputs" in record:
        adapter = parameters.get("adapter_id") if isinstance(parameters, dict) else None
    else:
        adapter = record.get("model")
    if adapter is not None and not isinstance(adapter, str):
        raise PromptsError(f"{where}: write the adapter's name as a text")
    return LoadPrompt(payload=record, adapter=adapter or None)


def _text(where: str, record: dict[str, Any], key: str) -> str | None:
    value = record.get(key)
    if value is not None and not isinstance(value, str):
        raise PromptsError(f"{where}: {key}: write a text")
    return value
