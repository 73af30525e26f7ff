"""Lambda functions with their layers, and state machines: the code that a deployment itself runs."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Sequence

from loraserve.review.assembly import Stage
from loraserve.review.asset_content import build_changes, capped, changed_files, package_changes
from loraserve.review.comparison import ResourceChange, StageComparison, equal
from loraserve.review.difference import REPLACING, Difference, Json
from loraserve.review.finding import Level, ReviewFinding
from loraserve.review.values import counted, is_inside, leaves, referred, text, title, written

_FUNCTION, _LAYER, _MACHINE = (
    "AWS::Lambda::Function",
    "AWS::Lambda::LayerVersion",
    "AWS::StepFunctions::StateMachine",
)
#: Settings whose change has no effect beyond the function itself.
_SETTINGS = (
    "Runtime",
    "Handler",
    "MemorySize",
    "Timeout",
    "Architectures",
    "EphemeralStorage",
    "Description",
)
#: Values of variables that name nothing: numbers and switches.
_PLAIN = re.compile(r"-?[0-9.]{0,20}|true|false", re.IGNORECASE)
_LAYER_FORM = ("CompatibleArchitectures", "CompatibleRuntimes", "Description")


def functions(change: StageComparison) -> Iterator[ReviewFinding]:
    """Yield changes of code, settings and access of functions, layers and state machines."""
    kept = [each for each in change.of_type(_FUNCTION, _LAYER, _MACHINE) if each.before and each.after]
    yield from _code(change, kept)
    for each in kept:
        if each.before is not None and each.before["Type"] == each.type:
            yield from {_FUNCTION: _function, _LAYER: _layer, _MACHINE: _machine}[each.type](change, each)
    yield from _whole(change)


def _code(change: StageComparison, kept: Sequence[ResourceChange]) -> Iterator[ReviewFinding]:
    """Yield one finding for each content, of all functions that have it."""
    found: dict[str, list[tuple[ResourceChange, Difference]]] = {}
    for each in kept:
        difference = each.changed("Content" if each.type == _LAYER else "Code")
        if difference is not None and each.type != _MACHINE:
            key = json.dumps([difference.before, difference.after], sort_keys=True)
            found.setdefault(key, []).append((each, difference))
    for parts in found.values():
        yield _content(change, [each for each, _ in parts], [each for _, each in parts])


def _content(
    change: StageComparison, owners: Sequence[ResourceChange], differences: Sequence[Difference]
) -> ReviewFinding:
    names = ", ".join(_name(each) for each in owners)
    before = None if change.before is None else change.before.asset(differences[0].before)
    after = None if change.after is None else change.after.asset(differences[0].after)
    first = differences[0]
    is_moved = _place(change.before, first.stack, first.before) != _place(
        change.after, first.stack, first.after
    )
    if before is None or after is None or is_moved:
        return ReviewFinding(
            rule="supply.lambda",
            level=Level.REVIEW,
            stage=change.id,
            title=title(f"code of {names} is from another place"),
            consequence="What is there is not for certain the content of the assembly.",
            action="Check who can write there.",
            details=(f"{text(differences[0].before)} → {text(differences[0].after)}",),
            differences=tuple(differences),
        )
    packages, files = package_changes(before, after), changed_files(before, after)
    shown = [*packages, *build_changes(before, after), *capped(files)]
    if not shown:
        return ReviewFinding(
            rule="form.assets",
            level=Level.NOISE,
            stage=change.id,
            title=title(f"the same code of {names}, in the bootstrap's bucket of another environment"),
            differences=tuple(differences),
        )
    number, noun = (len(packages), "package") if packages else (len(files), "file")
    return ReviewFinding(
        rule="supply.lambda",
        level=Level.ROUTINE,
        stage=change.id,
        title=title(f"code of {names}: {counted(number, noun)} changed"),
        consequence="The next deployment runs it.",
        details=tuple(shown),
        differences=tuple(differences),
    )


def _place(stage: Stage | None, stack: str, code: Json) -> str:
    """Return a code's place as JSON, without the name of the asset, which has the hash.

    The bootstrap bucket of the stack's account and region is the same place in another one.
    """
    kept = {name: code[name] for name in code if name != "S3Key"} if isinstance(code, dict) else code
    place = json.dumps(kept, sort_keys=True)
    return (
        place
        if stage is None or stack not in stage.stacks
        else stage.stacks[stack].without_environment(place)
    )


def _function(change: StageComparison, each: ResourceChange) -> Iterator[ReviewFinding]:
    settings = [found for name in _SETTINGS if (found := each.changed(name)) is not None]
    if settings:
        yield _setting(change, each, settings)
    reserved = each.changed("ReservedConcurrentExecutions")
    if reserved is not None:
        # A value that is no number may be 0.
        stops = reserved.after is not None and (not isinstance(reserved.after, int) or reserved.after < 1)
        words = f"reserved concurrency of {_name(each)}: {text(reserved.before)} → {text(reserved.after)}"
        yield _finding(
            change,
            (reserved,),
            ("supply.lambda", Level.REVIEW if stops else Level.ROUTINE),
            words,
            "It does not run any more." if stops else "It limits how often it runs at once.",
        )
    for found in (each.changed("Environment"), each.changed("Layers")):
        if found is not None:
            yield _reference(change, each, found)
    yield from _access(change, each, "Role", "VpcConfig")
    logging = each.changed("LoggingConfig")
    if logging is not None:
        yield _finding(
            change,
            (logging,),
            ("alarms.blind", Level.REVIEW),
            f"{_name(each)} logs to another place or at another level",
            "Metric filters and people look for its log where it was.",
            "Check that alarms on its log still see it.",
        )


def _layer(change: StageComparison, each: ResourceChange) -> Iterator[ReviewFinding]:
    form = [found for name in _LAYER_FORM if (found := each.changed(name)) is not None]
    if form:
        yield _finding(
            change,
            tuple(form),
            ("form.layer", Level.NOISE),
            f"layer {_name(each)}: {', '.join(found.name for found in form)}",
            "A layer's description and compatibility change nothing that runs.",
        )


def _machine(change: StageComparison, each: ResourceChange) -> Iterator[ReviewFinding]:
    definition = each.changed("DefinitionString")
    if definition is not None:
        before, after = _states(definition.before), _states(definition.after)
        changed = [name for name in sorted({*before, *after}) if not equal(before.get(name), after.get(name))]
        # A literal ARN is a task outside of the template.
        known = bool(before and after) and "arn:" not in json.dumps(definition.after)
        yield _finding(
            change,
            (definition,),
            ("supply.lambda", Level.ROUTINE if known else Level.REVIEW),
            f"state machine {_name(each)}: {', '.join(changed) or 'its order'} changes",
            "The next deployment runs it." if known else "It has tasks that this review cannot follow.",
            "" if known else "Read its definition.",
            tuple(f"{name}: {text(before.get(name))} → {text(after.get(name))}" for name in changed),
        )
    yield from _access(change, each, "RoleArn")
    logging = each.changed("LoggingConfiguration")
    if logging is not None:
        yield _finding(
            change,
            (logging,),
            ("alarms.blind", Level.ROUTINE if logging.before is None else Level.REVIEW),
            f"logging of the state machine {_name(each)} changes",
            "Its failures are logged elsewhere, or not.",
        )


def _setting(change: StageComparison, each: ResourceChange, found: Sequence[Difference]) -> ReviewFinding:
    lines = [f"{one.name}: {text(one.before)} → {text(one.after)}" for one in found]
    if all(one.name == "Description" for one in found):
        return _finding(
            change,
            tuple(found),
            ("form.description", Level.NOISE),
            f"description of {_name(each)}",
            "It changes nothing that runs.",
        )
    return _finding(
        change,
        tuple(found),
        ("supply.lambda", Level.ROUTINE),
        f"{_name(each)}: {', '.join(lines)}",
        "It holds from the deployment on.",
        details=tuple(lines),
    )


def _reference(change: StageComparison, each: ResourceChange, found: Difference) -> ReviewFinding:
    """Judge variables and layers: what is not for certain of the stage itself may be anybody's."""
    changed = list(leaves(found.name, found.before, found.after))
    values = [
        value
        for leaf in changed
        for value in (leaf.after if isinstance(leaf.after, list) else [leaf.after])
        if not _is_own(change, each.stack, value)
    ]
    return _finding(
        change,
        (found,),
        ("supply.lambda", Level.REVIEW if values else Level.ROUTINE),
        f"{_name(each)}: {', '.join(leaf.path for leaf in changed)}",
        f"{text(values[0])} may be outside of the stage." if values else "It refers to the stage alone.",
        "Check that it belongs to the stage." if values else "",
        tuple(f"{leaf.path}: {leaf.values}" for leaf in changed),
    )


def _is_own(change: StageComparison, stack: str, value: Json) -> bool:
    if value is None or isinstance(value, (bool, int, float)):
        return True
    if isinstance(value, str):
        return _PLAIN.fullmatch(value) is not None
    after = change.after
    return after is not None and stack in after.stacks and is_inside(after, after.stacks[stack], value)


def _access(change: StageComparison, each: ResourceChange, *names: str) -> Iterator[ReviewFinding]:
    for name in names:
        found = each.changed(name)
        # Of two roles another rule compares the rights.
        if found is not None and (name == "VpcConfig" or None in (found.before, found.after)):
            is_network = name == "VpcConfig"
            yield _finding(
                change,
                (found,),
                ("access.network" if is_network else "access.role", Level.REVIEW),
                f"{_name(each)}: {name} {text(found.before)} → {text(found.after)}",
                "Its requests go another way." if is_network else "It may do what the other role may.",
                "Compare what it can reach." if is_network else "Compare the permissions of both roles.",
            )


def _whole(change: StageComparison) -> Iterator[ReviewFinding]:
    """Judge functions, layers and state machines that are new, deleted or replaced, in stacks that stay."""
    for each in change.of_type(_FUNCTION, _LAYER, _MACHINE):
        if any(side is None or each.stack not in side.stacks for side in (change.before, change.after)):
            continue
        serves = _is_service(change, each)
        used = serves or _is_used(change, each)
        if each.impact in REPLACING and each.type != _LAYER and not each.is_added and not each.is_removed:
            yield _finding(
                change,
                tuple(one for one in each.differences if one.name != "Tags" and one.impact in REPLACING),
                ("supply.lambda", Level.REVIEW if serves else Level.ROUTINE),
                f"{_name(each)} is replaced",
                _SERVICE if serves else "Its name changes.",
            )
        elif each.is_removed:
            yield _finding(
                change,
                each.differences,
                ("supply.lambda", Level.REVIEW if used else Level.ROUTINE),
                f"{_name(each)} is deleted",
                _SERVICE if serves else _USED if used else "No resource of its stack uses it any more.",
            )
        elif each.is_added:
            yield _finding(
                change,
                each.differences,
                ("supply.lambda", Level.REVIEW),
                f"{_name(each)} is new",
                "It is code that did not run in this stage before.",
                "Read its code and the permissions of its role.",
            )


_USED = "A resource of its stack still refers to it."
_SERVICE = (
    "It serves a custom resource of the deployed stack, for which CloudFormation would call another one."
)


def _is_service(change: StageComparison, each: ResourceChange) -> bool:
    """Return whether a custom resource that stays is served by the function of the base."""
    if change.before is None or change.after is None:
        return False
    before, after = (side.stacks[each.stack].resources for side in (change.before, change.after))
    return any(
        logical_id in after
        and each.logical_id == referred(resource.get("Properties", {}).get("ServiceToken"))
        for logical_id, resource in before.items()
    )


def _is_used(change: StageComparison, each: ResourceChange) -> bool:
    """Return whether the head's template still names the resource."""
    after = None if change.after is None else change.after.stacks[each.stack].template
    return re.search(rf"\b{re.escape(each.logical_id)}\b", json.dumps(after)) is not None


def _finding(
    change: StageComparison,
    differences: tuple[Difference, ...],
    rule: tuple[str, Level],
    words: str,
    consequence: str,
    action: str = "",
    details: tuple[str, ...] = (),
) -> ReviewFinding:
    name, level = rule
    return ReviewFinding(
        rule=name,
        level=level,
        stage=change.id,
        title=title(words),
        consequence=consequence,
        action=action,
        details=details,
        differences=differences,
        before=differences[0].before if len(differences) == 1 else None,
        after=differences[0].after if len(differences) == 1 else None,
    )


def _states(definition: Json) -> dict[str, Json]:
    """Return the states of a definition by name, with `${reference}` for references; empty if unreadable."""
    match definition:
        case {"Fn::Join": [str(separator), [*parts]]}:
            texts = [part if isinstance(part, str) else f"${{{written(part)}}}" for part in parts]
            content = separator.join(texts)
        case str():
            content = definition
        case _:
            return {}
    try:
        read = json.loads(content)
    except ValueError:
        return {}
    states = read.get("States") if isinstance(read, dict) else None
    return states if isinstance(states, dict) else {}


def _name(each: ResourceChange) -> str:
    """Return a construct's path within its stack, e.g. `Provider/framework-onEvent`."""
    return each.path.split("/", 2)[-1]
