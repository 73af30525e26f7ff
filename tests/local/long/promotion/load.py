"""Callers of a stage under load, who check that each answer comes from the revision that the registry has."""

from __future__ import annotations

import itertools
import re
import threading
import time
from collections.abc import Collection, Mapping

from adapters.store.registry import AdapterRegistry
from loraserve.client import EndpointClient, runtime_config
from samples.problems import SEED_PROBLEM, SIGNATURES, check
from tests.harness.promotion import ADAPTERS, Promotion
from tests.local.updates.served import ClientThreads

CALLERS, PAUSE_S = 3, 0.1
#: The null engine's text: the name that the gateway has requested the model by.
_ENGINE_ID = re.compile(r"\[adapters/(?P<name>[^/]+)/(?P<revision>[^/]+)/\]")


class StageCallers(ClientThreads):
    """Clients that ask the base model and the adapters in rotation while a `with` block lasts."""

    PROMPT, TOKENS = "Hello", 4

    def __init__(self, promotion: Promotion, stage: str, revisions: Mapping[str, Collection[str]]) -> None:
        """`revisions` are those that may answer, by the name of the adapter; more may be added later."""
        runtime = promotion.cloud.client(
            "sagemaker-runtime", runtime_config(), account=promotion.target(stage).account or ""
        )
        self._client = EndpointClient(promotion.target(stage).endpoint_name, runtime)
        self._revisions = revisions
        self._lock = threading.Lock()
        super().__init__(CALLERS)
        self.answers: dict[str | None, int] = {}
        """Number of right answers of each adapter; None is the base model."""
        self.lost: list[str] = []
        """Requests without an answer."""
        self.wrong: list[str] = []
        """Answers that came from something else than what was asked for."""

    def _ask(self, number: int) -> None:
        models = itertools.cycle((None, *self._revisions))
        for model in itertools.islice(models, number, None):
            if self._stop.is_set():
                return
            try:
                answer = self._client.generate(self.PROMPT, adapter=model, max_new_tokens=self.TOKENS)
            except Exception as error:  # whatever it is, it is a request that was lost
                self.lost.append(f"{time.strftime('%X')} {model}: {error}")
            else:
                self._check(model, answer.adapter, answer.text)
            self._stop.wait(PAUSE_S)

    def _check(self, model: str | None, adapter: str | None, text: str) -> None:
        is_right = self._says(model, adapter) and self._answers_as(model, adapter, text)
        with self._lock:
            if is_right:
                self.answers[model] = self.answers.get(model, 0) + 1
            else:
                self.wrong.append(f"{time.strftime('%X')} {model}: {adapter}, {text!r}")

    def _says(self, model: str | None, adapter: str | None) -> bool:
        """Return whether the response's header names what was asked for."""
        name, _, revision = (adapter or "").partition("@")
        return adapter is None if model is None else name == model and revision in self._revisions[model]

    def _answers_as(self, model: str | None, adapter: str | None, text: str) -> bool:
        """Return whether the text is that of the model."""
        asked = _ENGINE_ID.fullmatch(text.strip())
        if model is None or asked is None:
            return asked is None and model is None
        return f"{asked['name']}@{asked['revision']}" == adapter


class VllmCallers(StageCallers):
    """Callers of the sample model in vLLM: each adapter signs its answers."""

    PROMPT, TOKENS = SEED_PROBLEM.prompt, 24

    def _answers_as(self, model: str | None, adapter: str | None, text: str) -> bool:
        if model is None:
            return not any(signature in text for signature in SIGNATURES)
        return check(text, SEED_PROBLEM, model).right_adapter


def served_revisions(promotion: Promotion, stage: str) -> dict[str, set[str]]:
    """Return the revision of each adapter in a stage's registry."""
    bucket = promotion.outputs(stage)["AdapterBucket"]
    registry = AdapterRegistry(promotion.client(stage, "s3"), bucket)
    found = {name: registry.get(name) for name in ADAPTERS}
    return {name: {entry.entry.revision} for name, entry in found.items() if entry is not None}
