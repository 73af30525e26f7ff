"""Denials by IAM right after a role's change are waited out; a lasting one counts, with action and resource."""

import io
import json
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from types import SimpleNamespace
from typing import Any

import pytest
from botocore.awsrequest import AWSResponse
from botocore.exceptions import ClientError

from adapters.store.layout import ADAPTER_FILES
from adapters.store.registry import AdapterRegistry
from adapters.store.s3 import S3Client
from adapters.store.transfer import OutOfTime
from lambdas.adapter_seeder.empty_bucket import empty_bucket
from lambdas.adapter_seeder.iam_propagation import PROPAGATION_SECONDS, IamPropagation
from lambdas.adapter_seeder.outcome import SeedingFailed
from laptop_cloud.cloud import LaptopCloud
from tests.harness.sample_adapters import sample_files
from tests.harness.store import Store

STARTED = time.time()
#: S3's answer since 2024 within one account (S3 User Guide, Troubleshoot access denied); HEAD has no body.
DENIAL = b"""<?xml version="1.0" encoding="UTF-8"?><Error><Code>AccessDenied</Code><Message>User: \
arn:aws:sts::000000000000:assumed-role/seeder/seeder is not authorized to perform this action because no \
identity-based policy allows it</Message></Error>"""
#: Secrets Manager's answer, with status 400.
DENIAL_JSON = b'{"__type": "AccessDeniedException", "Message": "User is not authorized"}'


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """The pauses between botocore's attempts, in seconds; they pass at once."""
    slept: list[float] = []
    monkeypatch.setattr("botocore.endpoint.time", SimpleNamespace(sleep=slept.append))
    now = SimpleNamespace(time=lambda: STARTED + sum(slept))
    monkeypatch.setattr("lambdas.adapter_seeder.iam_propagation.time", now)
    return slept


class Body(io.BytesIO):
    """A body as urllib3 gives it."""

    def stream(self, **_: object) -> Any:
        """Yield it as a whole."""
        yield self.read()


@dataclass
class Policy:
    """A service that denies requests on the wire; botocore does not know the difference."""

    denies: Callable[[str, str], bool]
    """Of method and URL."""
    body: bytes = DENIAL
    status: int = 403
    denied: list[str] = field(default_factory=list)

    def on(self, client: Any) -> Any:
        """Put the policy before a client's requests; return the client."""
        client.meta.events.register("before-send", self._answer)
        return client

    def _answer(self, request: Any, **_: object) -> AWSResponse | None:
        if not self.denies(request.method, request.url):
            return None
        self.denied.append(f"{request.method} {request.url.partition('?')[0].rsplit('/', 1)[-1]}")
        body = b"" if request.method == "HEAD" else self.body
        return AWSResponse(request.url, self.status, {}, Body(body))


def propagation(has_time: Callable[[], bool] = lambda: True) -> IamPropagation:
    return IamPropagation(STARTED, has_time)


def foreign_source(s3: S3Client, name: str = "otter") -> str:
    """Put an adapter into another bucket."""
    other = Store(s3)
    for file in ADAPTER_FILES:
        s3.put_object(Bucket=other.bucket, Key=f"team/{file}", Body=sample_files(name)[file])
    return f"s3://{other.bucket}/team/"


@pytest.mark.usefixtures("clock")
def test_each_request_of_a_seeding_may_be_denied_at_first(laptop: LaptopCloud) -> None:
    plain = laptop.client("s3")
    sources = {name: foreign_source(plain, name) for name in ("otter", "lynx")}
    store = Store(plain)
    asked: set[tuple[str, str]] = set()

    def first_time(method: str, url: str) -> bool:
        new = (method, url) not in asked
        asked.add((method, url))
        return new

    policy = Policy(first_time)
    store.s3 = IamPropagation(STARTED + 10_000, lambda: True).watch(policy.on(laptop.client("s3")))
    assert store.seed({"packed": sample_files("heron"), "a": sources["otter"]}).published == 2
    # Publishes, unpublishes and retires.
    changed = store.seed({"a": sources["lynx"]})
    assert (changed.published, changed.unpublished) == (1, 1)
    assert {line.split()[0] for line in policy.denied} == {"GET", "HEAD", "PUT", "DELETE"}
    assert len(policy.denied) == len(asked) > 20
    store.s3 = plain
    store.check()
    assert store.names() == ["a"]


def test_a_seeding_goes_on_once_iam_has_applied_the_role(laptop: LaptopCloud, clock: list[float]) -> None:
    store = Store(laptop.client("s3"))
    store.s3 = propagation().watch(Policy(lambda *_: sum(clock) < 100).on(store.s3))
    assert store.seed({"otter": sample_files("otter")}).published == 1
    assert sum(clock) >= 100


@pytest.mark.parametrize(
    ("method", "part", "named"),
    [
        ("PUT", "/adapters/", "s3:PutObject on s3://{bucket}/adapters/otter/"),
        ("GET", "prefix=adapters", "s3:ListBucket on s3://{bucket}/adapters/"),
        ("PUT", "/registry/", "s3:PutObject on s3://{bucket}/registry/otter.json"),
        ("GET", "/seeding/", "s3:GetObject on s3://{bucket}/seeding/stack/record.json"),
    ],
)
def test_a_denial_that_lasts_counts_after_two_minutes_with_action_and_resource(
    laptop: LaptopCloud, clock: list[float], method: str, part: str, named: str
) -> None:
    store = Store(laptop.client("s3"))
    policy = Policy(lambda asked, url: asked == method and part in url)
    store.s3 = propagation().watch(policy.on(store.s3))
    with pytest.raises(ClientError) as failed:
        store.seed({"otter": sample_files("otter")})
    assert "AccessDenied" in str(failed.value)
    assert "is not authorized to perform" in str(failed.value)
    assert f"[denied: {named.format(bucket=store.bucket)}" in str(failed.value)
    assert PROPAGATION_SECONDS <= sum(clock) < PROPAGATION_SECONDS + 60
    assert len(policy.denied) > PROPAGATION_SECONDS / 5
    assert AdapterRegistry(laptop.client("s3"), store.bucket).etags() == {}


def test_a_source_of_another_account_without_a_grant_fails_after_two_minutes_beside_the_other_bad_adapters(
    laptop: LaptopCloud, clock: list[float]
) -> None:
    source = foreign_source(laptop.client("s3"))
    store = Store(laptop.client("s3"))
    policy = Policy(lambda method, url: method == "HEAD" and "/team/" in url)
    store.s3 = propagation().watch(policy.on(store.s3))
    broken = sample_files("raven", base_model_name_or_path="other")
    with pytest.raises(SeedingFailed) as failed:
        store.seed({"foreign": source, "good": sample_files("otter"), "wrong": broken})
    assert "2 adapter(s) cannot be published" in str(failed.value)
    assert f"adapter 'foreign': {source}adapter_config.json: S3 answers 403 to s3:GetObject" in str(
        failed.value
    )
    assert "S3 denies a missing one without s3:ListBucket" in str(failed.value)
    assert sum(clock) >= PROPAGATION_SECONDS
    assert store.names() == []


def test_long_after_the_roles_change_a_denial_counts_at_once(laptop: LaptopCloud, clock: list[float]) -> None:
    store = Store(laptop.client("s3"))
    policy = Policy(lambda method, _: method == "PUT")
    store.s3 = IamPropagation(STARTED - PROPAGATION_SECONDS, lambda: True).watch(policy.on(store.s3))
    with pytest.raises(ClientError, match="AccessDenied"):
        store.seed({"otter": sample_files("otter")})
    assert clock == []


def test_waiting_ends_when_the_invocations_time_does_and_keeps_the_reason(
    laptop: LaptopCloud, clock: list[float]
) -> None:
    store = Store(laptop.client("s3"))
    policy = Policy(lambda method, _: method == "PUT")
    store.s3 = propagation(has_time=lambda: sum(clock) < 30).watch(policy.on(store.s3))
    with pytest.raises(OutOfTime) as ended:
        store.seed({"otter": sample_files("otter")})
    assert "IAM denies s3:PutObject on s3://" in str(ended.value.__cause__)


def test_the_secret_with_the_token_is_waited_for_too(laptop: LaptopCloud, clock: list[float]) -> None:
    name = f"hub/{time.time_ns()}"
    laptop.client("secretsmanager").create_secret(Name=name, SecretString="hf_token")
    policy = Policy(lambda *_: sum(clock) < 30, body=DENIAL_JSON, status=400)
    client = propagation().watch(policy.on(laptop.client("secretsmanager")))
    assert client.get_secret_value(SecretId=name)["SecretString"] == "hf_token"
    assert sum(clock) >= 30
    policy.denies = lambda *_: True
    with pytest.raises(ClientError, match=rf"\[denied: secretsmanager:GetSecretValue on {name}\]"):
        client.get_secret_value(SecretId=name)


def test_deletions_that_are_denied_one_by_one_are_repeated(laptop: LaptopCloud, clock: list[float]) -> None:
    store = Store(laptop.client("s3"))
    store.seed({"otter": sample_files("otter")})
    answer = b"""<DeleteResult><Error><Key>k</Key><Code>AccessDenied</Code><Message>no</Message></Error></DeleteResult>"""
    policy = Policy(lambda method, _: method == "POST" and sum(clock) < 30, body=answer, status=200)
    client = propagation().watch(policy.on(laptop.client("s3")))
    assert empty_bucket(client, store.bucket, has_time=lambda: True) > 0
    assert sum(clock) >= 30


def test_the_wait_is_logged_once_for_a_request(
    laptop: LaptopCloud, clock: list[float], capsys: pytest.CaptureFixture[str]
) -> None:
    store = Store(laptop.client("s3"))
    client = propagation().watch(Policy(lambda *_: sum(clock) < 60).on(laptop.client("s3")))
    client.put_object(Bucket=store.bucket, Key="a", Body=b"content")
    assert store.objects() == {"a": b"content"}, "the body is sent again"
    [line] = capsys.readouterr().out.splitlines()
    waiting = f"IAM denies s3:PutObject on s3://{store.bucket}/a, perhaps not for long"
    assert json.loads(line) == {"waiting": waiting}
