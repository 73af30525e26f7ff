"""Changes after which a deployment is another one: account, region, names, stages and stacks."""

from __future__ import annotations

from collections.abc import Iterator

from loraserve.review.assembly import UNKNOWN_ACCOUNT, Stack, Stage
from loraserve.review.comparison import StageComparison
from loraserve.review.difference import Difference, Kind
from loraserve.review.finding import Level, ReviewFinding
from loraserve.review.rules.resources import several
from loraserve.review.values import resources_of, text, title

_ENDPOINT = "AWS::SageMaker::Endpoint"


def identity(change: StageComparison) -> Iterator[ReviewFinding]:
    """Find stages and stacks that come or go, and another account, region, endpoint or stack name."""
    if change.before is None and change.after is not None:
        yield _added(change, change.after)
        return
    if change.after is None:
        yield _removed(change)
        return
    yield from _places(change)
    yield from _names(change)
    yield from _stacks(change)
    yield from _order(change)


def _added(change: StageComparison, stage: Stage) -> ReviewFinding:
    stacks = list(stage.stacks.values())
    cost = next(
        (
            text(stack.template["Outputs"]["MonthlyCost"]["Value"])
            for stack in stacks
            if "MonthlyCost" in stack.template.get("Outputs", {})
        ),
        "cost not known",
    )
    return ReviewFinding(
        rule="identity.stage-added",
        level=Level.REVIEW,
        stage=change.id,
        title=title(f"stage `{change.name}` is new, network {network_mode(stage)}"),
        consequence=f"Its first deployment creates {len(stacks)} stacks with an endpoint: {cost}.",
        action="Read its stage file.",
        details=tuple(f"{stack.stack_name}: {len(stack.resources)} resources" for stack in stacks),
        differences=change.differences,
    )


def _removed(change: StageComparison) -> ReviewFinding:
    stacks = [] if change.before is None else list(change.before.stacks.values())
    return ReviewFinding(
        rule="identity.stage-removed",
        level=Level.BLOCK,
        stage=change.id,
        title=title(f"stage `{change.name}` is gone from the app"),
        consequence="Nothing is deleted: endpoint and data stay and are billed, and are updated no more.",
        action="To delete the stage, run `make destroy` with the base's stage file, then remove the file.",
        details=tuple(stack.stack_name for stack in stacks),
        differences=change.differences,
    )


def network_mode(stage: Stage) -> str:
    """Return the stage's network mode; without facts, only whether the instances are in a VPC."""
    if stage.facts is not None:
        return stage.facts.network
    models = resources_of(stage, "AWS::SageMaker::Model")
    return "of a VPC" if any("VpcConfig" in model["Properties"] for _, _, model in models) else "public"


def _places(change: StageComparison) -> Iterator[ReviewFinding]:
    """Yield another account or region: one finding for all stacks that move alike."""
    for setting in ("account", "region"):
        moves: dict[tuple[str, str], list[Difference]] = {}
        for each in change.deployment(setting):
            moves.setdefault((each.before, each.after), []).append(each)
        for (before, after), differences in moves.items():
            consequence = (
                f"A second deployment is made in {setting} {_account(after)}; the old one stays, is billed, "
                "and is updated no more. Data are not moved."
            )
            if UNKNOWN_ACCOUNT in (before, after):
                consequence = (
                    f"If these are two accounts, this makes a second deployment: {consequence[0].lower()}"
                    f"{consequence[1:]}"
                )
            yield ReviewFinding(
                rule=f"identity.{setting}",
                level=Level.BLOCK,
                stage=change.id,
                title=title(f"{setting} {_account(after)} instead of {_account(before)}"),
                consequence=consequence,
                action="Make another stage for it, or destroy the deployed one first.",
                details=tuple(each.stack for each in differences),
                differences=tuple(differences),
                before=before,
                after=after,
            )


def _account(value: str) -> str:
    return "that of the deploying credentials" if value == UNKNOWN_ACCOUNT else value


def _names(change: StageComparison) -> Iterator[ReviewFinding]:
    """Yield other names of stacks; the endpoint itself has a finding where it is replaced."""
    facts = change.facts("endpoint_name")
    if stacks := change.deployment("stackName"):
        # The seeding's owner is the stack's name.
        owners = [
            each
            for resource in change.of_type("Custom::AdapterSeeding")
            for each in resource.differences
            if each.name == "Owner"
        ]
        yield ReviewFinding(
            rule="identity.endpoint",
            level=Level.BLOCK,
            stage=change.id,
            title=title(f"stack `{stacks[0].after}` instead of `{stacks[0].before}`"),
            consequence="A second stack is made; the old one stays and is billed, its data are not moved.",
            action="Make another stage, move the callers, then destroy this one.",
            details=tuple(f"{each.before} → {each.after}" for each in stacks),
            differences=(*facts, *stacks, *owners),
            before=stacks[0].before,
            after=stacks[0].after,
        )
    elif facts:
        yield ReviewFinding(
            rule="identity.endpoint",
            level=Level.BLOCK,
            stage=change.id,
            title=title(f"endpoint `{facts[0].after}` instead of `{facts[0].before}`"),
            consequence="Callers' calls fail, because they name the old endpoint.",
            action="Make another stage, move the callers, then destroy this one.",
            differences=tuple(facts),
            before=facts[0].before,
            after=facts[0].after,
        )


def _stacks(change: StageComparison) -> Iterator[ReviewFinding]:
    """Yield stacks that only one side has."""
    for each in change.differences:
        if each.kind is not Kind.STACK:
            continue
        if change.before is not None and each.stack in change.before.stacks:
            yield _left(change, each, change.before.stacks[each.stack])
        elif change.after is not None:
            stack = change.after.stacks[each.stack]
            yield ReviewFinding(
                rule="identity.stack-added",
                level=Level.ROUTINE,
                stage=change.id,
                title=title(f"stack `{each.stack}` is new, with {len(stack.resources)} resources"),
                consequence=f"It is deployed as {stack.stack_name}; its resources have findings as well.",
                differences=(each,),
            )


def _left(change: StageComparison, difference: Difference, stack: Stack) -> ReviewFinding:
    name = f"--stack-name {stack.stack_name} --region {stack.region}"
    unprotect = (
        f"aws cloudformation update-termination-protection --no-enable-termination-protection {name}; "
        if stack.termination_protection
        else ""
    )
    resources = [
        each for resource in change.resources if resource.stack == stack.name for each in resource.differences
    ]
    return ReviewFinding(
        rule="identity.stack-left",
        # Without its endpoint the stage is abandoned.
        level=Level.BLOCK if _ENDPOINT in _types(stack) else Level.REVIEW,
        stage=change.id,
        title=title(f"stack `{stack.name}` is gone from the app: it stays deployed and billed"),
        consequence="A deployment neither updates nor deletes it, and it can be deleted when no other stack "
        "uses its exports any more.",
        action=f"Delete it after the deployment: `{unprotect}aws cloudformation delete-stack {name}`.",
        details=(f"{len(stack.resources)} resources stay: {', '.join(_types(stack))}",),
        differences=(difference, *resources),
    )


def _types(stack: Stack) -> list[str]:
    return sorted({each["Type"] for each in stack.resources.values()})


def _order(change: StageComparison) -> Iterator[ReviewFinding]:
    """Yield changes of the order in which the stacks are deployed."""
    known = set() if change.after is None else set(change.after.stacks)
    lost: list[tuple[Difference, list[str]]] = []
    rest: list[Difference] = []
    for each in change.deployment("dependencies"):
        missing = [name for name in each.before if name not in each.after and name in known]
        if missing:
            lost.append((each, missing))
        else:
            rest.append(each)
    if lost:
        yield ReviewFinding(
            rule="identity.order",
            level=Level.REVIEW,
            stage=change.id,
            title=title(
                f"{several('stack', [each.stack for each, _ in lost])} no longer deployed after others"
            ),
            consequence="The order is a guard: alarms, network and data exist before the endpoint.",
            action="Keep the dependency, or say why the order does not matter any more.",
            details=tuple(f"{each.stack} does not wait for {', '.join(names)}" for each, names in lost),
            differences=tuple(each for each, _ in lost),
        )
    if rest:
        yield ReviewFinding(
            rule="form.order",
            level=Level.NOISE,
            stage=change.id,
            title=title(f"{several('stack', [each.stack for each in rest])} deployed in another order"),
            consequence="No stack is deployed earlier than before.",
            differences=tuple(rest),
        )
