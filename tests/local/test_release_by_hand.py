"""A deployment by hand: the stage's lock, and the record of each end that it can have."""

import io
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from botocore.exceptions import ClientError
from rich.console import Console
from typer.testing import CliRunner

from loraserve.cdk import CdkError
from loraserve.cli.commands import app
from loraserve.promotion import by_hand
from loraserve.promotion.by_hand import DeploymentByHand, recorded
from loraserve.release.ledger import Ledger
from loraserve.release.lock import StageLocked
from loraserve.release.record import DeploymentKind, Outcome
from loraserve.release.release import template_sha256
from stacks.config import loading
from stacks.config.stage_target import StageTarget
from tests.harness.ledger import new_ledger, record

TARGET = StageTarget(name="prod", account=None, region="us-east-1")
TEMPLATE = {"Resources": {"Topic": {"Type": "AWS::SNS::Topic"}}}


@pytest.fixture
def ledger(laptop_client: Callable[[str], Any], monkeypatch: pytest.MonkeyPatch) -> Ledger:
    """The ledger of the stage, which is deployed."""
    ledger = new_ledger(laptop_client("s3"))
    monkeypatch.setattr(by_hand, "open_ledger", lambda *_: ledger)
    return ledger


@pytest.fixture
def deployment(laptop_client: Callable[[str], Any], tmp_path: Path) -> Callable[..., DeploymentByHand]:
    """Make a deployment of an assembly with one stack."""
    stack = {
        "type": "aws:cloudformation:stack",
        "displayName": "Prod/Serving (LoraServing-Prod-Serving)",
        "properties": {"templateFile": "serving.json"},
    }
    (tmp_path / "manifest.json").write_text(json.dumps({"artifacts": {"ProdServing": stack}}))
    (tmp_path / "serving.json").write_text(json.dumps(TEMPLATE, indent=1))

    def make(**fields: Any) -> DeploymentByHand:
        options: dict[str, Any] = {"takes_releases": False, "reason": None} | fields
        return DeploymentByHand(target=TARGET, client=laptop_client, assembly=tmp_path, **options)

    return make


def test_a_deployment_is_locked_and_recorded(
    ledger: Ledger, deployment: Callable[..., DeploymentByHand]
) -> None:
    with recorded(Console(), deployment()) as under_way:
        lock = ledger.locked_by()
        assert lock is not None
        assert lock.holder.kind is DeploymentKind.BY_HAND
        under_way.outcome = Outcome.VERIFIED
    assert ledger.locked_by() is None
    made = ledger.current()
    assert made is not None
    assert (made.kind, made.outcome, made.release) == (DeploymentKind.BY_HAND, Outcome.VERIFIED, None)
    assert made.account == "000000000000"
    assert len(made.commit) == 40
    assert "@" in made.run
    assert made.started <= made.ended
    assert made.templates == {"Serving": template_sha256(TEMPLATE)}
    assert ledger.records(10) == [made]


def test_another_deployment_under_way_ends_it_before_a_change(
    ledger: Ledger, deployment: Callable[..., DeploymentByHand]
) -> None:
    with (
        ledger.lock(DeploymentKind.PROMOTION, release="r1"),
        pytest.raises(StageLocked, match="the promotion of r1"),
        recorded(Console(), deployment()),
    ):
        pytest.fail("the deployment has begun")
    assert ledger.records(10) == []


def test_a_repair_does_not_run_beside_a_deployment(ledger: Ledger, monkeypatch: pytest.MonkeyPatch) -> None:
    repaired = []
    monkeypatch.setattr("loraserve.aws.client_factory", lambda *_: None)
    monkeypatch.setattr("loraserve.adapters.open_store.check_account", lambda *_: None)
    monkeypatch.setattr("loraserve.release.ledger.open_ledger", lambda *_: ledger)
    monkeypatch.setattr("loraserve.verify.repair.repair", lambda *_: repaired.append(ledger.locked_by()))
    with ledger.lock(DeploymentKind.PROMOTION, release="r1"):
        refused = CliRunner().invoke(app, ["repair", "prod"])
    assert refused.exit_code == 1 and "the promotion of r1" in refused.stderr and not repaired
    assert CliRunner().invoke(app, ["repair", "prod"]).exit_code == 0
    [lock] = repaired
    assert lock is not None and ledger.locked_by() is None


def test_a_failed_deployment_is_recorded_and_what_served_stays_current(
    ledger: Ledger, deployment: Callable[..., DeploymentByHand]
) -> None:
    before = record("r1")
    ledger.write(before)
    with pytest.raises(CdkError, match="no"), recorded(Console(), deployment()):
        raise CdkError("no")
    assert ledger.current() == before
    assert [made.outcome for made in ledger.records(10)] == [Outcome.FAILED, Outcome.VERIFIED]
    assert ledger.locked_by() is None


@pytest.mark.parametrize(("outcome", "records"), [(Outcome.FAILED, 0), (Outcome.UNVERIFIED, 1)])
def test_an_interrupted_deployment_is_recorded_once_it_serves(
    ledger: Ledger, deployment: Callable[..., DeploymentByHand], outcome: Outcome, records: int
) -> None:
    with pytest.raises(KeyboardInterrupt), recorded(Console(), deployment()) as under_way:
        under_way.outcome = outcome
        raise KeyboardInterrupt
    assert len(ledger.records(10)) == records
    assert ledger.locked_by() is None


def test_the_first_deployment_is_recorded_in_the_bucket_that_it_created(
    ledger: Ledger, deployment: Callable[..., DeploymentByHand], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(by_hand, "open_ledger", lambda *_: None)
    with recorded(Console(), deployment()) as under_way:
        under_way.outcome = Outcome.VERIFIED
        monkeypatch.setattr(by_hand, "open_ledger", lambda *_: ledger)
    assert len(ledger.records(10)) == 1


def test_the_next_deployment_knows_the_instance_type_of_a_deleted_config(
    ledger: Ledger, deployment: Callable[..., DeploymentByHand]
) -> None:
    ledger.write(record("r1", instance_type="ml.g5.xlarge"))
    with recorded(Console(), deployment()) as under_way:
        assert under_way.known_instance_type == "ml.g5.xlarge"


class Refused(Ledger):
    """A ledger whose credentials may not write it."""

    def lock(self, *_: Any, **__: Any) -> Any:
        raise ClientError({"Error": {"Code": "AccessDenied", "Message": "no"}}, "PutObject")


def test_credentials_that_may_not_write_the_ledger_deploy_a_stage_without_releases_only(
    ledger: Ledger, deployment: Callable[..., DeploymentByHand], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(by_hand, "open_ledger", lambda *_: Refused(ledger.s3, ledger.bucket, "prod"))
    console = Console(file=io.StringIO())
    began = []
    with recorded(console, deployment()) as under_way:
        began.append(under_way)
    assert began
    assert "not locked or not recorded" in console.file.getvalue()  # type: ignore[attr-defined]
    with pytest.raises(ClientError), recorded(console, deployment(takes_releases=True, reason="why")):
        pytest.fail("the deployment has begun")


def test_a_broken_glass_is_in_the_record(ledger: Ledger, deployment: Callable[..., DeploymentByHand]) -> None:
    with recorded(Console(), deployment(takes_releases=True, reason="the pipeline is down")) as under_way:
        under_way.outcome = Outcome.VERIFIED
    made = ledger.current()
    assert made is not None
    assert (made.kind, made.reason) == (DeploymentKind.BREAK_GLASS, "the pipeline is down")


@pytest.fixture
def in_a_chain(monkeypatch: pytest.MonkeyPatch) -> None:
    """`prod` takes releases of `staging`."""
    load = loading.load_stages

    def changed(*given: Any) -> list[Any]:
        [stage] = load(*given)
        config = stage.config.model_copy(update={"promote_from": "staging"})
        return [stage.model_copy(update={"config": config})]

    monkeypatch.setattr(loading, "load_stages", changed)


@pytest.mark.usefixtures("in_a_chain")
@pytest.mark.parametrize("arguments", [[], ["--break-glass", ""]])
def test_a_stage_that_takes_releases_is_not_deployed_by_hand_without_a_reason(arguments: list[str]) -> None:
    done = CliRunner().invoke(app, ["deploy", "prod", *arguments])
    assert done.exit_code == 1
    assert "stage 'prod' takes releases that were verified in 'staging'" in done.output
    assert "--break-glass 'REASON'" in done.output


@pytest.mark.usefixtures("in_a_chain")
def test_with_a_reason_it_is_deployed_and_the_reason_recorded(monkeypatch: pytest.MonkeyPatch) -> None:
    begun: list[DeploymentByHand] = []

    def recorded(_: Console, deployment: DeploymentByHand) -> None:
        begun.append(deployment)
        raise StageLocked("by another; wait for its end")

    monkeypatch.setattr(by_hand, "recorded", recorded)
    reason = "the pipeline is down"
    done = CliRunner().invoke(app, ["deploy", "prod", "--skip-doctor", "--break-glass", reason])
    assert "by another" in done.output
    assert [(each.takes_releases, each.reason) for each in begun] == [(True, reason)]
