"""One run of a load test: the requests are sent, each answer is checked, and the figures are computed."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from loraserve.load.check import AnswerCheck, check_answers, indistinguishable
from loraserve.load.document import run_document
from loraserve.load.job import LoadJob, LoadRun, Target
from loraserve.load.processes import run as run_job
from loraserve.load.prompts import LoadPrompt
from loraserve.load.request_draw import LoadRequests
from loraserve.load.result import LoadOutcome
from loraserve.load.signing import KeyChain
from loraserve.load.slo import LatencySlo
from loraserve.load.summary import LoadSummary, summarize
from loraserve.workload.workload import Workload

#: Tokens of the answers that are compared with the base model's, a choice: models that differ at all do so within
#: a sentence.
_COMPARED_TOKENS = 32
_COMPARED_AT_ONCE = 4


@dataclass(frozen=True, kw_only=True)
class MeasuredRun:
    """A run and what it says."""

    endpoint: str
    requests: LoadRequests
    run: LoadRun
    checks: list[AnswerCheck]
    summary: LoadSummary
    slo: LatencySlo
    warnings: tuple[str, ...] = ()

    def document(self, options: Mapping[str, Any]) -> dict[str, Any]:
        """Return the JSON document; `options` are the command's."""
        return run_document(
            self.endpoint,
            self.run,
            self.requests.workload,
            self.summary,
            options=options,
            slo=self.slo,
            warnings=self.warnings,
        )


def measure(
    endpoint: str,
    job: LoadJob,
    requests: LoadRequests,
    *,
    slo: LatencySlo,
    credentials: KeyChain | None,
    advance: Callable[[int], None],
) -> MeasuredRun:
    """Send the requests of `job`, which are `requests`, and judge the answers.

    Args:
        endpoint: its name, for reports.
        job: the job of `loraserve.load.processes.run`.
        requests: workload and prompts of the job.
        slo: the bounds of goodput.
        credentials: source of the keys; None for a target without signatures.
        advance: is called with the number of requests that ended since its last call.
    """
    run = run_job(job, advance, credentials)
    checks = check_answers(run.results, requests.workload, requests.prompts)
    summary = summarize(run.results, checks, requests.workload, slo=slo, warm_up_s=job.warm_up_s)
    return MeasuredRun(
        endpoint=endpoint,
        requests=requests,
        run=run,
        checks=checks,
        summary=summary,
        slo=slo,
        warnings=tuple(_warnings(summary)),
    )


def adapters_like_base(target: Target, measured: MeasuredRun, credentials: KeyChain | None) -> list[str]:
    """Return the adapters whose answer, without sampling, is the base model's answer to the same prompt.

    Asked are the adapters of the run that no expected text has identified. It sends one short request for each
    of them and one for the base model, after the run: before it they would load the adapters.
    """
    workload = measured.requests.workload
    identified = {
        workload.name_of(result.index)
        for result, check in zip(measured.run.results, measured.checks, strict=True)
        if check is AnswerCheck.RIGHT
        and measured.requests.prompts
        and measured.requests.prompts[result.index].expect is not None
    }
    used = {workload.name_of(result.index) for result in measured.run.results}
    names = tuple(sorted(name for name in used - identified if name is not None))
    if not names:
        return []
    text = next((prompt.text for prompt in measured.requests.prompts if prompt.text), "Hello, who are you?")
    count = len(names) + 1
    asked = Workload(
        due_s=np.zeros(count),
        adapter=np.arange(-1, len(names), dtype=np.int32),
        input_tokens=np.ones(count, dtype=np.int32),
        output_tokens=np.full(count, _COMPARED_TOKENS, dtype=np.int32),
        adapters=names,
    )
    same = LoadRequests(workload=asked, prompts=[LoadPrompt(text=text)] * count, stream=False)
    job = LoadJob(target=target, workload=asked, bodies=same.bodies, mode="closed", clients=_COMPARED_AT_ONCE)
    results = run_job(job, lambda _: None, credentials).results
    texts = {asked.name_of(r.index): r.text or "" for r in results if r.outcome is LoadOutcome.OK}
    base = texts.pop(None, None)
    answers = {name: text for name, text in texts.items() if name is not None}
    return [] if base is None else indistinguishable(answers, base)


def _warnings(summary: LoadSummary) -> list[str]:
    found = []
    if unchecked := summary.checks.get(AnswerCheck.UNCHECKED.value, 0):
        found.append(
            f"{unchecked} answers are unchecked: the container names no adapter, and no text is expected; give "
            "expected texts with --prompts"
        )
    if summary.tokens_from != "usage" and summary.output_tokens:
        found.append(
            "output tokens are counted by the events of the streams, because the answers have no usage: an "
            "event may have several tokens"
        )
    return found
