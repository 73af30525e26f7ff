"""Answers of the base model, of adapters and of no adapter."""

from __future__ import annotations

import io
import json
import threading
import time
from collections import Counter
from dataclasses import replace
from typing import Any

import pytest

from adapters.store.layout import revision_of
from loraserve.finding import Finding, State
from loraserve.verify import answers
from loraserve.verify.answers import Selection, check_answers
from loraserve.verify.expected import Expected
from tests.unit.loraserve.stubbed_cloud import Cloud
from tests.unit.loraserve.verify.made import PROD, entry, expected, template

A, B = "a" * 64, "b" * 64


def locked(cache_seconds: int = 0, **adapters: str | None) -> Expected:
    """A release with these adapters; one is asked at a time, so that the answers keep their order."""
    environment = {"MAX_COLD_LOADS": "1", "REGISTRY_CACHE_SECONDS": str(cache_seconds)}
    serving = template(Model=("AWS::SageMaker::Model", {"PrimaryContainer": {"Environment": environment}}))
    return replace(expected(Serving=serving), adapters=adapters)


def asked(cloud: Cloud, of: Expected, sample: int = 5) -> list[Finding]:
    selection = Selection(sample=sample, since=None)
    return list(check_answers(PROD, cloud, of, selection, lambda _: None))


def problems(found: list[Finding]) -> list[str]:
    return [finding.found for finding in found if finding.state is State.PROBLEM]


def healthy(cloud: Cloud) -> None:
    cloud.generates(None)
    cloud.fails(404, "adapter_not_found")


def test_base_model_unknown_name_and_each_adapter_of_its_revision_pass(cloud: Cloud) -> None:
    cloud.store(entry("otter", A))
    healthy(cloud)
    cloud.generates(f"otter@{revision_of(A)}")
    found = asked(cloud, locked(otter=A))
    assert [(finding.check, finding.state) for finding in found] == [
        ("base model", State.OK),
        ("unknown name", State.OK),
        ("adapters", State.OK),
    ]


def test_an_answer_of_another_revision_is_a_problem(cloud: Cloud, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(answers, "LOOK_SECONDS", 0)
    cloud.store(entry("otter", B))
    healthy(cloud)
    cloud.generates(f"otter@{revision_of(B)}")
    [found] = problems(asked(cloud, locked(otter=A)))
    assert found == f"otter is answered by otter@{revision_of(B)}, and its revision is {revision_of(A)}"


def test_a_revision_before_is_tolerated_while_an_instance_may_cache_it(cloud: Cloud) -> None:
    cloud.store(entry("otter", A))
    healthy(cloud)
    cloud.generates(f"otter@{revision_of(B)}")
    cloud.generates(f"otter@{revision_of(A)}")
    assert problems(asked(cloud, locked(60, otter=A))) == []


@pytest.mark.parametrize("by", ["otter@01", None])
def test_an_unknown_name_with_an_answer_and_a_wrong_base_model_are_problems(
    cloud: Cloud, by: str | None
) -> None:
    cloud.store()
    cloud.generates("otter@01")
    cloud.generates(by)
    found = problems(asked(cloud, locked()))
    assert found[0] == "the answer is of otter@01"
    assert found[1].endswith(f"is answered by {by or 'the base model'}")


def test_a_busy_endpoint_is_asked_again_for_a_time(cloud: Cloud, monkeypatch: pytest.MonkeyPatch) -> None:
    cloud.store()
    cloud.fails(429, "overloaded")
    cloud.fails(503, "starting")
    cloud.fails(424, "adapter_load_failed")
    healthy(cloud)
    assert problems(asked(cloud, locked())) == []
    monkeypatch.setattr(answers, "LATER_SECONDS", 0)
    cloud.store()
    cloud.fails(503, "engine_dead")
    cloud.fails(404, "adapter_not_found")
    assert problems(asked(cloud, locked())) == ["no answer: not today (503 engine_dead)"]


@pytest.mark.parametrize(
    ("of", "state"),
    [({"otter": A, "heron": A}, State.PROBLEM), ({"heron": A}, State.WARNING)],
    ids=["of the release", "by hand"],
)
def test_an_adapter_without_an_answer(
    cloud: Cloud, monkeypatch: pytest.MonkeyPatch, of: dict[str, str | None], state: State
) -> None:
    monkeypatch.setattr(answers, "_selected", lambda *_: ["heron", "otter"])
    cloud.store(entry("heron", A), entry("otter", A))
    healthy(cloud)
    cloud.generates(f"heron@{revision_of(A)}")
    cloud.fails(409, "adapter_incompatible")
    found = [finding for finding in asked(cloud, locked(**of)) if finding.check == "adapter"]
    assert [finding.state for finding in found] == [state]


def test_credentials_that_may_not_invoke_are_not_a_problem(cloud: Cloud) -> None:
    cloud.store()
    cloud.refuses("sagemaker-runtime", "invoke_endpoint", "AccessDeniedException")
    [found] = asked(cloud, locked())
    assert found.state is State.UNKNOWN


class Runtime:
    """Endpoint with as many answers at a time as it is asked for."""

    def __init__(self) -> None:
        self.asked: Counter[str] = Counter()
        self.most = 0
        self._now = 0
        self._lock = threading.Lock()

    def invoke_endpoint(self, *, Body: bytes, **_: Any) -> dict[str, Any]:
        name = json.loads(Body)["parameters"].get("adapter_id", "")
        with self._lock:
            self.asked[name] += 1
            self._now += 1
            self.most = max(self.most, self._now)
        time.sleep(0.02)
        with self._lock:
            self._now -= 1
        text = json.dumps([{"generated_text": "hi", "details": {"generated_tokens": 1}}]).encode()
        return {"Body": io.BytesIO(text), "CustomAttributes": f"adapter={name}@{revision_of(A)}"}


def test_as_many_adapters_are_asked_at_a_time_as_an_instance_loads(
    cloud: Cloud, monkeypatch: pytest.MonkeyPatch
) -> None:
    runtime = Runtime()
    monkeypatch.setitem(cloud.clients, "sagemaker-runtime", runtime)
    two = template(
        Model=("AWS::SageMaker::Model", {"PrimaryContainer": {"Environment": {"MAX_COLD_LOADS": "2"}}})
    )
    names = {f"a{number}": A for number in range(12)}
    of = replace(expected(Serving=two), adapters=names)
    samples = []
    for _ in range(2):
        cloud.store(*(entry(name) for name in names))
        asked(cloud, of, sample=6)
        samples.append(set(runtime.asked) & set(names))
        runtime.asked.clear()
    assert runtime.most == 2
    assert samples[0] == samples[1], "the same sample for one release"
    assert len(samples[0]) == 6
