"""The link that reproduces a comparison: its query parameters, written and read."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from urllib.parse import urlencode

from loraserve.playground.comparison import ModelAnswer, Sampling

#: Most adapters of a comparison, beside the base model.
MAX_ADAPTERS = 4
#: Bytes of a link that browsers and chat programs still take.
MAX_LINK = 8000


@dataclass(frozen=True, kw_only=True)
class ComparisonSetup:
    """All that a comparison depends on, beside the endpoint."""

    adapters: tuple[str, ...] = ()
    """Names, or name@revision."""
    with_base: bool = True
    prompt: str = ""
    instruction: bool = False
    """True if the prompt is put between [INST] and [/INST]."""
    sampling: Sampling = field(default_factory=Sampling)


def pinned(adapters: Sequence[str], answers: Sequence[ModelAnswer]) -> tuple[str, ...]:
    """Return the adapters with the revisions that answered, so that a later one does not take their place."""
    revisions = {answer.model: answer.answered_by for answer in answers}
    return tuple(revisions.get(adapter) or adapter for adapter in adapters)


def to_query(setup: ComparisonSetup) -> str:
    """Return the query of the link; without the prompt if the link would be too long."""
    fields = {
        "adapters": ",".join(setup.adapters),
        "base": int(setup.with_base),
        "inst": int(setup.instruction),
        "temperature": setup.sampling.temperature,
        "tokens": setup.sampling.tokens,
        "seed": setup.sampling.seed,
    }
    whole = urlencode(fields | {"prompt": setup.prompt})
    return whole if len(whole) <= MAX_LINK else urlencode(fields)


def from_query(query: Mapping[str, str]) -> ComparisonSetup:
    """Read a link; a value that cannot be used is replaced by its default."""
    default = ComparisonSetup()
    names = [name.strip() for name in query.get("adapters", "").split(",")]
    return ComparisonSetup(
        adapters=tuple(dict.fromkeys(filter(None, names)))[:MAX_ADAPTERS],
        with_base=query.get("base", "1") != "0",
        prompt=query.get("prompt", ""),
        instruction=query.get("inst", "0") == "1",
        sampling=Sampling(
            temperature=_number(query.get("temperature"), 0.0, 2.0, default.sampling.temperature),
            tokens=int(_number(query.get("tokens"), 1, 2048, default.sampling.tokens)),
            seed=int(_number(query.get("seed"), 0, 2**31 - 1, default.sampling.seed)),
        ),
    )


def _number(text: str | None, least: float, most: float, default: float) -> float:
    try:
        value = float(text or "")
    except ValueError:
        return default
    return value if least <= value <= most else default
