"""All checks of a stage, in the order of the table."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator

from loraserve.aws import Client
from loraserve.doctor.checks import (
    bootstrap,
    credentials,
    docker,
    endpoint,
    hub,
    image,
    keys,
    names,
    network,
    permissions,
    quota,
    region,
    secret,
    stacks,
    topic,
)
from loraserve.doctor.deployment import Deployment
from loraserve.doctor.diagnosis import Check, Entry
from loraserve.finding import Finding, unknown
from stacks.config.stage_config import LoadedStage
from stacks.config.stage_target import StageTarget
from stacks.stage_facts import fleet_facts, rollout_facts

#: A check of what the deployment will use.
PlanCheck = Callable[[Deployment, LoadedStage, Client], Iterable[Finding]]
#: The same, without the stage file: a promotion has none.
TargetCheck = Callable[[Deployment, StageTarget, Client], Iterable[Finding]]


def _credentials(stage: LoadedStage, client: Client) -> Iterable[Finding]:
    return credentials.check(stage.target, client)


def _quota(stage: LoadedStage, client: Client) -> Iterable[Finding]:
    fleet, rollout = fleet_facts(stage.config), rollout_facts(stage.config, ())
    return quota.check(stage.target, fleet, rollout, client)


#: Runs first: without credentials, the checks that need them are not run.
CREDENTIALS = Entry("Account", "credentials", _credentials, needs_account=False)


def catalog(deployment: Deployment | None) -> list[Entry]:
    """List the checks after `CREDENTIALS`; those of the deployment yield `unknown` without one."""

    def planned(title: str, check: PlanCheck) -> Check:
        def run(stage: LoadedStage, client: Client) -> Iterator[Finding]:
            if deployment is None:
                yield unknown(title, "not checked: the stage cannot be synthesized")
            else:
                yield from check(deployment, stage, client)

        return run

    def targeted(check: TargetCheck) -> PlanCheck:
        return lambda deployment, stage, client: check(deployment, stage.target, client)

    def entry(group: str, title: str, check: PlanCheck, *, needs_account: bool = True) -> Entry:
        return Entry(group, title, planned(title, check), needs_account)

    return [
        Entry("Account", "SageMaker", region.has_sagemaker, needs_account=False),
        Entry("Account", "region", region.is_enabled),
        Entry("Account", "instance type", region.offers_instance),
        Entry("Account", "instance quota", _quota),
        entry("Account", "permissions", permissions.check),
        Entry("Account", "permissions boundary", permissions.has_boundary),
        Entry("Account", "KMS keys", keys.check),
        Entry("Account", "alarm topic", topic.check),
        Entry("Account", "image", image.check),
        entry("CDK", "bootstrap", targeted(bootstrap.check)),
        entry("Docker", "Docker", docker.check, needs_account=False),
        entry("Stacks", "stacks", targeted(stacks.check)),
        entry("Stacks", "fixed names", targeted(names.check)),
        entry("Stacks", "endpoint", targeted(endpoint.has_status)),
        entry("Stacks", "rollback alarms", targeted(endpoint.has_no_alarm)),
        Entry("Network", "network", network.check),
        Entry("Sources", "Hub token", secret.check),
        Entry("Sources", "base model and adapters", hub.check, needs_account=False),
    ]
