"""One run of a load test: the requests are sent, each answer is checked, and the figures are computed."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from loraserve.load.check import AnswerCheck, check_answers, indistinguishable
from loraserve.load.document import run_document
from loraserve.load.job import LoadJob, LoadRun, Target
from loraserve.load.processes import run as run_job
from loraserve.load.prompts import LoadPrompt
from loraserve.load.requests import LoadRequests
from loraserve.load.result import LoadOutcome
from loraserve.load.signing import KeyChain
from loraserve.load.slo import LatencySlo
from loraserve.load.summary import LoadSummary, summarize
from loraserve.workload.workload import BASE, Workload

#: Tokens of the answers that are compared with the base model's, a choice: models that differ at all do so
#: within a sentence.
_COMPARED_TOKENS = 32
_COMPARED_AT_ONCE = 4
#: SageMaker's limit of a whole answer, in seconds.
_COMPARED_TIMEOUT_S = 60.0
_COMPARED_PROMPT = "Hello, who are you?"
#: Adapters that a warning names.
_SHOWN = 5


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


def compared_with_base(target: Target, measured: MeasuredRun, credentials: KeyChain | None) -> MeasuredRun:
    """Return the run with a warning for adapters whose answer is the base model's.

    Asked are the adapters that no expected text has identified, and the base model: the same short prompt,
    without sampling. It is done after the run, because it loads the adapters.
    """
    workload, prompts = measured.requests.workload, measured.requests.prompts
    used = {workload.name_of(result.index) for result in measured.run.results}
    identified = {
        workload.name_of(result.index)
        for result, check in zip(measured.run.results, measured.checks, strict=True)
        if prompts and prompts[result.index].expect is not None and check is AnswerCheck.RIGHT
    }
    names = tuple(sorted(name for name in used - identified if name is not None))
    text = next((prompt.text for prompt in prompts if prompt.text), _COMPARED_PROMPT)
    same = indistinguishable(*_answers(target, names, text, credentials)) if names else []
    if not same:
        return measured
    shown = ", ".join(same[:_SHOWN]) + (", …" if len(same) > _SHOWN else "")
    warning = (
        f"{len(same)} of {len(names)} adapters answer one prompt as the base model does, word for word and "
        f"without sampling: {shown}; compare them by prompts that they were trained for"
    )
    return replace(measured, warnings=(*measured.warnings, warning))


def _answers(
    target: Target, names: tuple[str, ...], text: str, credentials: KeyChain | None
) -> tuple[dict[str, str], str | None]:
    """Return the answer of each adapter to a prompt, and the base model's; None without one."""
    count = len(names) + 1
    workload = Workload(
        due_s=np.zeros(count),
        adapter=np.arange(BASE, len(names), dtype=np.int32),
        input_tokens=np.ones(count, dtype=np.int32),
        output_tokens=np.full(count, _COMPARED_TOKENS, dtype=np.int32),
        adapters=names,
    )
    requests = LoadRequests(workload=workload, prompts=[LoadPrompt(text=text)] * count, stream=False)
    job = LoadJob(
        target=target,
        workload=workload,
        bodies=requests,
        mode="closed",
        clients=_COMPARED_AT_ONCE,
        timeout_s=_COMPARED_TIMEOUT_S,
    )
    results = run_job(job, lambda _: None, credentials).results
    texts = {
        workload.name_of(result.index): result.text or ""
        for result in results
        if result.outcome is LoadOutcome.OK
    }
    base = texts.pop(None, None)
    return {name: text for name, text in texts.items() if name is not None}, base


def _warnings(summary: LoadSummary) -> list[str]:
    found = []
    if unchecked := summary.checks.get(AnswerCheck.UNCHECKED.value, 0):
        found.append(
            f"{unchecked} answers are unchecked: the container names no adapter, and no text is expected; "
            "give expected texts with --prompts"
        )
    if summary.tokens_from != "usage" and summary.output_tokens:
        found.append(
            "output tokens are counted by the events of the streams, because the answers have no usage: an "
            "event may have several tokens"
        )
    return found
