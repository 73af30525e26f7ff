"""Answers of the endpoint: of the base model, of adapters from the revision that is meant, and of no adapter.

The prompts are fixed: no caller's data is sent.
"""

from __future__ import annotations

import random
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import datetime

from botocore.exceptions import BotoCoreError

from adapters.store.layout import revision_of
from adapters.store.registry import AdapterRegistry
from container.gateway.settings import Settings
from loraserve.aws import Client
from loraserve.client import EndpointClient, Generation, InvocationError, runtime_config
from loraserve.doctor.answers import REFUSALS
from loraserve.errors import UserError
from loraserve.finding import Finding, ok, problem, unknown, warning
from loraserve.verify.adapters import shown
from loraserve.verify.expected import Expected
from loraserve.verify.registry import RegistrySnapshot, read_registry
from stacks.config.stage_target import StageTarget

#: HTTP statuses that a later attempt may not have: a load that failed, a full queue, an instance that starts.
#: A request is repeated for so many seconds.
_LATER, LATER_SECONDS = (424, 429, 503), 300.0
#: Seconds between two attempts.
LOOK_SECONDS = 5.0
#: A prompt that any model continues, with few tokens.
_PROMPT, _TOKENS = "[INST] Say hello. [/INST]", 8
#: A name that no manifest has.
_NO_ADAPTER = "verification/not-published"


class _Denied(UserError):
    """The credentials lack the permission to invoke."""


@dataclass(frozen=True)
class _Answer:
    """The outcome for one adapter."""

    name: str
    seconds: float = 0.0
    revision: str = ""
    wrong: str = ""
    """The answer is of another model."""
    failed: str = ""
    """There was no answer."""


@dataclass(frozen=True, kw_only=True)
class Selection:
    """The adapters that are asked."""

    sample: int
    """Number of adapters besides those that were published since the deployment began."""
    since: datetime | None
    """Begin of the deployment."""


def check_answers(
    target: StageTarget, client: Client, expected: Expected, selection: Selection, say: Callable[[str], None]
) -> Iterator[Finding]:
    """Ask the base model, an unpublished name, and adapters: the changed ones and a sample of the others.

    The sample is the same for each verification of a release. As many adapters are asked at a time as an
    instance loads at a time (`gateway.max_cold_loads`), so that callers' loads are not held up.
    """
    registry = read_registry(target, client)
    runtime = client("sagemaker-runtime", runtime_config())
    endpoint = EndpointClient(target.endpoint_name, runtime, adapter_affine=_is_affine(expected))
    asking = _Asking(endpoint, registry, expected)
    try:
        yield asking.base_model()
        yield asking.unpublished()
        names = _selected(registry, expected, selection)
        say(f"{len(names)} adapters are asked")
        with ThreadPoolExecutor(_cold_loads(expected)) as pool:
            answers = list(pool.map(asking.adapter, names))
    except _Denied as denied:
        yield unknown("answers", f"the endpoint was not asked: {denied}")
        return
    yield from _judged(answers, expected)


def _selected(registry: RegistrySnapshot, expected: Expected, selection: Selection) -> list[str]:
    changed = registry.changed(selection.since)
    others = sorted(set(registry.entries) - set(changed))
    seeded = random.Random(expected.release)
    return [*changed, *seeded.sample(others, min(selection.sample, len(others)))]


def _setting(expected: Expected, name: str) -> float:
    """Read a setting of the gateway from the model's environment."""
    default = Settings.model_fields[name].default
    for model in expected.resources("AWS::SageMaker::Model"):
        return float(model["PrimaryContainer"].get("Environment", {}).get(name.upper(), default))
    return float(default)


def _is_affine(expected: Expected) -> bool:
    """Return True if an adapter that is asked is to be loaded on the instance which its callers reach."""
    variants = (
        variant
        for config in expected.resources("AWS::SageMaker::EndpointConfig")
        for variant in config["ProductionVariants"]
    )
    return any(each.get("RoutingConfig", {}).get("RoutingStrategy") == "PREFIX_AWARE" for each in variants)


def _cold_loads(expected: Expected) -> int:
    return int(_setting(expected, "max_cold_loads"))


def _judged(answers: list[_Answer], expected: Expected) -> Iterator[Finding]:
    remedy = "look at the endpoint's log for the request, see docs/alarms.md"
    right = [answer for answer in answers if not answer.wrong and not answer.failed]
    for answer in answers:
        if answer.wrong:
            yield problem("adapter", answer.wrong, "callers get this answer: roll back; " + remedy)
        elif answer.failed:
            # Of an adapter that no release has, the publisher answers for; but one must answer.
            is_expected = answer.name in (expected.adapters or {}) or not right
            yield (problem if is_expected else warning)("adapter", answer.failed, remedy)
    if right:
        times = [answer.seconds for answer in right]
        yield ok(
            "adapters",
            f"{shown([answer.name for answer in right])}: each from its revision, in {min(times):.1f} to "
            f"{max(times):.1f} s",
        )
    elif not answers:
        yield ok("adapters", "none is published")


class _Asking:
    """Requests to one endpoint; used by several threads."""

    def __init__(self, endpoint: EndpointClient, registry: RegistrySnapshot, expected: Expected) -> None:
        """Ask `endpoint`, whose adapters `registry` has."""
        self._endpoint = endpoint
        self._registry = AdapterRegistry(registry.s3, registry.bucket)
        self._digests = expected.adapters or {}
        #: An instance may resolve a name to its revision before, for so long.
        self._stale_seconds = _setting(expected, "registry_cache_seconds") + LOOK_SECONDS

    def base_model(self) -> Finding:
        """Ask without an adapter; raises `_Denied`."""
        check, remedy = "base model", "look at the endpoint's log, see docs/alarms.md"
        try:
            answer = self._patiently(None)
        except (InvocationError, BotoCoreError) as error:
            return problem(check, f"no answer: {error}", remedy)
        if answer.adapter is not None:
            return problem(check, f"the answer is of {answer.adapter}", remedy)
        return ok(check, f"answers in {answer.seconds:.1f} s")

    def unpublished(self) -> Finding:
        """Ask for a name that is not published, which no model may answer; raises `_Denied`."""
        check, remedy = "unknown name", "callers with a wrong name get answers: look at the gateway's version"
        try:
            answer = self._patiently(_NO_ADAPTER)
        except InvocationError as error:
            if error.error_type == "adapter_not_found":
                return ok(check, "adapter_not_found")
            return problem(check, f"{_NO_ADAPTER!r} is answered with {error}", remedy)
        except BotoCoreError as error:
            return problem(check, f"no answer: {error}", remedy)
        return problem(check, f"{_NO_ADAPTER!r} is answered by {answer.adapter or 'the base model'}", remedy)

    def adapter(self, name: str) -> _Answer:
        """Ask one adapter until its revision is the wanted one; raises `_Denied`."""
        until = time.monotonic() + self._stale_seconds
        while True:
            try:
                answer = self._patiently(name)
            except (InvocationError, BotoCoreError) as error:
                return _Answer(name, failed=f"{name} does not answer: {error}")
            wanted = self._wanted(name)
            if answer.adapter == f"{name}@{wanted}":
                return _Answer(name, answer.seconds, wanted)
            if time.monotonic() > until:
                by = answer.adapter or "the base model"
                return _Answer(name, wrong=f"{name} is answered by {by}, and its revision is {wanted}")
            time.sleep(LOOK_SECONDS)

    def _wanted(self, name: str) -> str:
        """Return the revision of the release, or the one that is published now."""
        digest = self._digests.get(name)
        if digest is not None:
            return revision_of(digest)
        published = self._registry.get(name)
        return "none" if published is None else published.entry.revision

    def _patiently(self, adapter: str | None) -> Generation:
        until = time.monotonic() + LATER_SECONDS
        while True:
            try:
                return self._endpoint.generate(_PROMPT, adapter=adapter, max_new_tokens=_TOKENS)
            except InvocationError as error:
                if error.error_type in REFUSALS:
                    raise _Denied(str(error)) from error
                if error.status not in _LATER or time.monotonic() > until:
                    raise
            time.sleep(LOOK_SECONDS)
