"""The requests of a load test: drawn from a seed, or those of a file."""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from loraserve.load.prompts import LoadPrompt, PromptsError, adapters_of, choose
from loraserve.load.requests import LoadRequests
from loraserve.workload.arrivals import Arrivals, Extent
from loraserve.workload.draw import draw_workload
from loraserve.workload.lengths import parse_lengths
from loraserve.workload.popularity import parse_popularity
from loraserve.workload.workload import BASE, Workload


@dataclass(frozen=True, kw_only=True)
class RequestLaws:
    """The laws by which requests are drawn, in the texts of their options."""

    popularity: str = "zipf:1.0"
    base_share: float = 0.0
    input_tokens: str = "fixed:60"
    output_tokens: str = "fixed:64"
    stream: bool = True
    ignore_eos: bool | None = None
    """Answers of exactly the output length; None: for random words, and not for prompts."""
    seed: int = 0


def draw_requests(
    laws: RequestLaws,
    arrivals: Arrivals,
    extent: Extent,
    adapters: Sequence[str],
    prompts: Sequence[LoadPrompt] = (),
) -> LoadRequests:
    """Draw the requests: when, for which adapter, how long, and which of the prompts.

    Raises:
        WorkloadError: a law, rate or duration that cannot be used.
        PromptsError: prompts, but none for an adapter that is drawn.
    """
    workload = draw_workload(
        arrivals=arrivals,
        extent=extent,
        adapters=adapters,
        shares=parse_popularity(laws.popularity, adapters),
        input_tokens=parse_lengths(laws.input_tokens),
        output_tokens=parse_lengths(laws.output_tokens),
        base_share=laws.base_share,
        seed=laws.seed,
    )
    chosen: Sequence[LoadPrompt] = ()
    if prompts:
        asked = [workload.name_of(index) for index in range(len(workload))]
        chosen = choose(prompts, asked, random.Random(laws.seed))
    return _requests(workload, chosen, laws)


def requests_of(
    prompts: Sequence[LoadPrompt], laws: RequestLaws, arrivals: Arrivals, extent: Extent
) -> LoadRequests:
    """Return the requests of a file, each once and in its order, with drawn arrival times and lengths.

    A prompt that is for any adapter is asked of the base model.

    Raises:
        PromptsError: fewer arrivals than requests.
    """
    drawn = draw_workload(
        arrivals=arrivals,
        extent=replace(extent, requests=len(prompts)),
        adapters=(),
        shares=(),
        input_tokens=parse_lengths(laws.input_tokens),
        output_tokens=parse_lengths(laws.output_tokens),
        seed=laws.seed,
    )
    if len(drawn) < len(prompts):
        raise PromptsError(
            f"--requests: {len(prompts)} requests, of which {len(drawn)} are due in the duration: leave out "
            "--duration, or raise it"
        )
    names = adapters_of(prompts)
    number = {name: index for index, name in enumerate(names)}
    adapter = [BASE if prompt.adapter is None else number[prompt.adapter] for prompt in prompts]
    workload = replace(drawn, adapter=np.array(adapter, dtype=np.int32), adapters=names)
    return _requests(workload, tuple(prompts), laws)


def _requests(workload: Workload, prompts: Sequence[LoadPrompt], laws: RequestLaws) -> LoadRequests:
    ignore_eos = not prompts if laws.ignore_eos is None else laws.ignore_eos
    return LoadRequests(
        workload=workload, prompts=prompts, stream=laws.stream, ignore_eos=ignore_eos, seed=laws.seed
    )
