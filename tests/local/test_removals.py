"""Adapters that a manifest has lost: removed within the manifest's share, else refused before any change."""

import json
from typing import Any

import boto3
import pytest
from botocore.exceptions import ClientError
from botocore.stub import Stubber

from adapters.store.s3 import is_outage
from adapters.store.transfer import OutOfTime
from lambdas.adapter_seeder.outcome import MAX_MESSAGE_BYTES, Report, SeedingFailed
from lambdas.adapter_seeder.removals import UnknownDirection, is_rollback, refused_removals
from laptop_cloud.cloud import LaptopCloud
from tests.harness.sample_adapters import sample_files
from tests.harness.store import Store

STACK = "arn:aws:cloudformation:us-east-1:000000000000:stack/LoraServing-Dev-AdapterStore/4f1c"


@pytest.fixture
def store(laptop: LaptopCloud) -> Store:
    return Store(laptop.client("s3"))


def many(count: int) -> dict[str, Any]:
    otter = sample_files("otter")
    return {f"team/{number:02d}": otter for number in range(count)}


@pytest.mark.parametrize(
    ("published", "removed", "share", "refused"),
    [
        (1, 1, 0.2, False),
        (5, 1, 0.2, False),
        (2, 2, 0.2, True),
        (10, 2, 0.2, False),
        (10, 3, 0.2, True),
        (100, 20, 0.2, False),
        (100, 21, 0.2, True),
        (100, 29, 0.29, False),
        (10, 10, 1, False),
        (10, 10, 0.99, True),
        (10, 1, 0, True),
        (10, 1, 0.01, False),
        (10, 0, 0, False),
        (0, 0, 0.2, False),
    ],
)
def test_more_than_one_and_more_than_the_share_are_refused(
    published: int, removed: int, share: float, refused: bool
) -> None:
    names = [f"{number:03d}" for number in range(published)]
    found = refused_removals(names, [*names[removed:], "new"], share)
    assert [error.adapter for error in found] == (names[:removed] if refused else [])


def test_a_manifest_that_lost_its_list_unpublishes_nothing_and_names_what_is_missing(store: Store) -> None:
    store.seed(many(50))
    before = store.objects("registry/") | store.objects("adapters/")
    left = {"team/49": sample_files("otter"), "new": sample_files("heron")}
    with pytest.raises(SeedingFailed) as failed:
        store.seed(left, removals=0.2)
    message = str(failed.value)
    report = f"s3://{store.bucket}/seeding/stack/report.json"
    named = ", ".join(f"team/{number:02d}" for number in range(10))
    assert message == (
        f"49 of 50 published adapters are not in the manifest: {named} and 39 more; nothing was changed. "
        f"All of them: {report}\n"
        "List them again or, if they are to be removed, write `removals: allow` into the manifest for this deploy"
    )
    assert store.objects("registry/") | store.objects("adapters/") == before
    assert store.status()["phase"] == "failed"
    [failures] = json.loads(store.objects("seeding/stack/report.json")["seeding/stack/report.json"]).values()
    assert {failure["adapter"] for failure in failures} == {f"team/{number:02d}" for number in range(49)}
    assert store.seed(left, removals=1) == Report(2, 1, 49, sum(map(len, sample_files("heron").values())))


def test_names_of_any_length_fit_into_the_message(store: Store) -> None:
    otter = sample_files("otter")
    store.seed({f"{number:02d}" + "n" * 198: otter for number in range(12)})
    with pytest.raises(SeedingFailed) as failed:
        store.seed({}, removals=0.2)
    assert "and 2 more; nothing was changed" in str(failed.value)
    assert str(failed.value).endswith("`removals: allow` into the manifest for this deploy")
    assert len(str(failed.value).encode()) <= MAX_MESSAGE_BYTES


def test_new_names_for_all_adapters_are_removals_of_the_old_ones(store: Store) -> None:
    otter = sample_files("otter")
    store.seed({"a": otter, "b": otter, "c": otter})
    with pytest.raises(SeedingFailed, match="3 of 3 published adapters are not in the manifest: a, b, c;"):
        store.seed({"x/a": otter, "x/b": otter, "x/c": otter}, removals=0.2)
    assert store.names() == ["a", "b", "c"]


def test_adapters_of_other_owners_count_neither_as_published_nor_as_removed(store: Store) -> None:
    store.seed(many(8), owner="other-stack")
    assert store.seed({"ours": sample_files("heron")}, removals=0).unpublished == 0
    with pytest.raises(SeedingFailed, match="1 of 1 published adapters are not in the manifest: ours;"):
        store.seed({}, removals=0)
    assert len(store.names()) == 9


def test_cloudformations_rollback_removes_what_the_update_has_added(store: Store) -> None:
    store.seed({"team/00": sample_files("otter")}, manifest="first")
    store.seed(many(50), manifest="second")
    back = {"team/00": sample_files("otter")}
    report = store.seed(back, manifest="first", removals=0.2, is_rollback=lambda: True)
    assert report.unpublished == 49
    assert store.names() == ["team/00"]


def test_a_direction_that_cloudformation_does_not_say_may_be_a_rollback(store: Store) -> None:
    def unknown() -> bool:
        raise UnknownDirection("cloudformation:DescribeStacks is denied")

    store.seed(many(5))
    assert store.seed({}, removals=0.2, is_rollback=unknown).unpublished == 5
    [warning] = store.status()["warnings"]
    assert warning == "5 removals are not checked: cloudformation:DescribeStacks is denied"


def test_the_direction_is_asked_for_only_if_removals_would_be_refused(store: Store) -> None:
    def fails() -> bool:
        raise AssertionError("not needed")

    store.seed(many(10), is_rollback=fails)
    store.seed(many(9), removals=0.2, is_rollback=fails)
    store.seed({}, removals=1, is_rollback=fails)


def test_removals_that_are_half_done_are_finished_and_a_refused_manifest_stays_refused(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    store.seed(many(10))
    delete, deleted = store.s3.delete_object, []

    def dies_at_the_second(**arguments: Any) -> Any:
        if arguments["Key"].startswith("registry/"):
            deleted.append(arguments["Key"])
            if len(deleted) > 1:
                raise OutOfTime
        return delete(**arguments)

    with monkeypatch.context() as patched:
        patched.setattr(store.s3, "delete_object", dies_at_the_second)
        with pytest.raises(OutOfTime):
            store.seed(many(7), removals=0.3, manifest="seven")
    assert 7 < len(store.names()) < 10
    for _ in range(2):
        with pytest.raises(SeedingFailed, match="published adapters are not in the manifest"):
            store.seed(many(2), removals=0.3, manifest="two")
    assert len(store.names()) > 7
    store.seed(many(7), removals=0.3, manifest="seven")
    assert store.names() == [f"team/{number:02d}" for number in range(7)]


@pytest.mark.parametrize(
    ("status", "answer"),
    [
        ("UPDATE_ROLLBACK_IN_PROGRESS", True),
        ("UPDATE_IN_PROGRESS", False),
        ("CREATE_IN_PROGRESS", False),
        ("ROLLBACK_IN_PROGRESS", False),
    ],
)
def test_the_direction_is_the_stacks_status(status: str, answer: bool) -> None:
    client = boto3.client("cloudformation", region_name="us-east-1")
    stack = {"StackName": "LoraServing-Dev-AdapterStore", "CreationTime": "2026-11-27", "StackStatus": status}
    with Stubber(client) as stubber:
        stubber.add_response("describe_stacks", {"Stacks": [stack]}, {"StackName": STACK})
        assert is_rollback(client, STACK) is answer


@pytest.mark.parametrize(
    ("code", "status", "error"),
    [
        ("AccessDenied", 403, UnknownDirection),
        ("ValidationError", 400, UnknownDirection),
        ("Throttling", 400, ClientError),
        ("ExpiredToken", 403, ClientError),
        ("RequestExpired", 400, ClientError),
        ("ServiceUnavailable", 503, ClientError),
    ],
)
def test_only_a_denial_and_an_unknown_stack_leave_the_direction_unknown(
    code: str, status: int, error: type[Exception]
) -> None:
    client = boto3.client("cloudformation", region_name="us-east-1")
    with Stubber(client) as stubber:
        stubber.add_client_error("describe_stacks", code, http_status_code=status)
        with pytest.raises(error, match=code) as raised:
            is_rollback(client, STACK)
    assert is_outage(raised.value) is (error is ClientError), "the next invocation asks again"
