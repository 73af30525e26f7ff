"""A verification whose requests are refused: after a deployment it does not count as passed."""

from typing import Any

import pytest
from botocore.exceptions import ClientError

from loraserve.finding import State
from loraserve.verify import traffic
from loraserve.verify.verification import VerificationOptions, verify
from tests.unit.loraserve.verify.made import PROD, SCALING, SERVING, expected, template

ALARMS = template(Errors=("AWS::CloudWatch::Alarm", {"AlarmName": "errors"}))


class Refusing:
    """A client of a service that refuses every request."""

    def __getattr__(self, operation: str) -> Any:
        raise ClientError({"Error": {"Code": "AccessDenied", "Message": "no"}}, operation)


@pytest.mark.parametrize("must_answer", [False, True])
def test_what_is_not_answered_is_not_verified(monkeypatch: pytest.MonkeyPatch, must_answer: bool) -> None:
    monkeypatch.setattr(traffic, "METRIC_SECONDS", 0.0)
    lines = verify(
        PROD,
        lambda *_: Refusing(),
        expected(Serving=SERVING, Scaling=SCALING, Alarms=ALARMS),
        options=VerificationOptions(must_answer=must_answer),
    )
    states = {line.finding.check: line.finding.state for line in lines}
    required = State.PROBLEM if must_answer else State.UNKNOWN
    assert states == dict.fromkeys(
        ("stacks", "config", "capacity", "registry", "answers", "alarms"), required
    ) | dict.fromkeys(("image", "metrics", "drift"), State.UNKNOWN)
