"""A failed promotion whose first stacks were updated: the release before is deployed again."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from loraserve.cdk import CdkError
from loraserve.promotion import deployment as module
from loraserve.promotion.deployment import DeploymentOrigin, ReleaseDeployment, _failed
from loraserve.release.record import DeploymentKind, DeploymentRecord
from loraserve.verify.serving import SilentRollback
from tests.unit.loraserve.promotion.records import record, release
from tests.unit.loraserve.stubbed_cloud import Cloud

BEFORE = record(templates={"AdapterStore": "1", "Serving": "1"})
BY_HAND = record(None, kind="by-hand", templates=BEFORE.templates)
UPDATED = {"AdapterStore": "2", "Serving": "1"}
PROMOTION = DeploymentKind.PROMOTION


class Run:
    """A deployment that failed, with the calls around it."""

    def __init__(
        self,
        monkeypatch: pytest.MonkeyPatch,
        current: DeploymentRecord,
        deployed: dict[str, str],
        stuck: bool,
    ) -> None:
        self.done: list[str] = []
        self.ledger: Any = SimpleNamespace(current=lambda: current)
        self.held: Any = SimpleNamespace(confirm=lambda: self.done.append("confirmed"))

        @contextmanager
        def opened(_: Any, release: str) -> Iterator[Any]:
            yield SimpleNamespace(assembly=Path(release) / "assembly")

        def deploys(_: Any, __: Any, ___: Any, ____: Any, assembly: Path, *_____: Any, **______: Any) -> None:
            self.done.append(f"deployed {assembly.parent.name}")
            raise CdkError("no more instances")

        for name, made in {
            "settle": lambda *_: None,
            "raised_alarms": lambda *_: [],
            "open_ledger": lambda *_: self.ledger,
            "live_endpoint": lambda *_: None,
            "stuck_stacks": lambda *_: ["Serving"] if stuck else [],
            "deployed_stacks": lambda *_: None,
            "templates_sha256": lambda _: deployed,
            "open_stored_release": opened,
            "deploy": deploys,
            "_record": lambda *_: record(),
            "_write": lambda *_: self.done.append("recorded"),
        }.items():
            monkeypatch.setattr(module, name, made)

    def fails(self, kind: DeploymentKind, error: Any) -> None:
        rollout = SimpleNamespace(rollout=SimpleNamespace(rollback_alarms=()))
        opened: Any = SimpleNamespace(release=release(), facts=lambda _: rollout)
        arguments: Any = None
        deployment = ReleaseDeployment(
            console=Cloud().console,
            opened=opened,
            stage=release().stage("staging"),
            client=lambda *_: None,
            arguments=arguments,
            options=arguments,
            image_digest=None,
        )
        _failed(deployment, DeploymentOrigin(kind=kind, run="me"), self.held, 0.0, error)


@pytest.mark.parametrize(
    ("current", "deployed", "stuck", "kind", "error", "is_put_back"),
    [
        (BEFORE, UPDATED, False, PROMOTION, CdkError("no"), True),
        # CloudFormation has rolled everything back.
        (BEFORE, BEFORE.templates, False, PROMOTION, CdkError("no"), False),
        (BY_HAND, UPDATED, False, PROMOTION, CdkError("no"), False),
        # A person has to act first.
        (BEFORE, UPDATED, True, PROMOTION, CdkError("no"), False),
        (BEFORE, UPDATED, False, PROMOTION, SilentRollback("no"), False),
        (BEFORE, UPDATED, False, DeploymentKind.ROLLBACK, CdkError("no"), False),
    ],
)
def test_the_release_before_is_deployed_again_where_stacks_were_updated(
    monkeypatch: pytest.MonkeyPatch,
    current: DeploymentRecord,
    deployed: dict[str, str],
    stuck: bool,
    kind: DeploymentKind,
    error: Exception,
    is_put_back: bool,
) -> None:
    run = Run(monkeypatch, current, deployed, stuck)
    run.fails(kind, error)
    # That it fails as well costs no record.
    again = ["confirmed", "deployed 2026-11-27-1111111"] if is_put_back else []
    assert run.done == [*again, "recorded"]
