"""Properties of the custom resource that seeds the store, beside its manifest."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from loraserve.review.comparison import ResourceChange, StageComparison
from loraserve.review.difference import Difference, Kind
from loraserve.review.finding import Level, ReviewFinding
from loraserve.review.values import text, title, written

#: Rules that each adapter is checked by.
_RULES = (
    "Engine",
    "MaxAdapterRank",
    "AdapterTargetModules",
    "TensorParallel",
    "BaseModel",
    "BaseModelNames",
    "BaseModelRevision",
)
#: Properties with one statement: rule, level, title, consequence, action.
_STATEMENTS = {
    "TrustRemoteCode": (
        "model.mirror",
        Level.ROUTINE,
        "the base model is mirrored with or without its code",
        "The container runs the code, if `trust_remote_code` is on.",
        "",
    ),
    "HubEndpoint": (
        "supply.hub",
        Level.REVIEW,
        "another Hub",
        "All adapters and the base model come from it; only entries with a digest are compared.",
        "Check who operates it.",
    ),
    "HubTokenSecret": (
        "supply.hub",
        Level.ROUTINE,
        "another secret of the Hub's token",
        "Private sources are read with it; the right to read it has a finding as well.",
        "",
    ),
    "ServiceTimeout": (
        "adapters.seeding",
        Level.ROUTINE,
        "another time limit of the seeding",
        "CloudFormation waits for it, an hour at most.",
        "",
    ),
    "ServiceToken": (
        "adapters.seeding",
        Level.REVIEW,
        "another function seeds the adapters",
        "CloudFormation refuses another service token, or calls another function for the same resource.",
        "Keep the provider's logical id.",
    ),
}


def seeding(change: StageComparison, resources: Sequence[ResourceChange]) -> Iterator[ReviewFinding]:
    """Find changes of the seeding's properties; bucket and `RetainData` are found as loss."""
    for resource in resources:
        rules = [each for each in resource.differences if each.kind is Kind.PROPERTY and each.name in _RULES]
        if rules:
            yield _judged_again(change, rules)
        for each in resource.differences:
            if each.kind is not Kind.PROPERTY:
                continue
            if each.name == "ModelPrefix":
                yield _mirror(change, each)
            elif each.name in _STATEMENTS:
                rule, level, what, consequence, action = _STATEMENTS[each.name]
                yield _finding(change, (each,), rule, level, f"{what}: {_value(each)}", consequence, action)
            elif each.name == "ManifestBucket" and _is_same_place(change, each):
                yield _finding(change, (each,), "form.assets", Level.NOISE, "the bucket of assets", "", "")


def _is_same_place(change: StageComparison, found: Difference) -> bool:
    """Return True for the bootstrap's bucket of assets, in the stage's own account and region."""
    sides = [side.stacks[found.stack] for side in (change.before, change.after) if side is not None]
    values = (written(found.before), written(found.after))
    return len({stack.without_environment(value) for stack, value in zip(sides, values, strict=True)}) == 1


def _mirror(change: StageComparison, found: Difference) -> ReviewFinding:
    """Judge another prefix of the base model: one of adapters or of the registry would be overwritten."""
    if found.after in ("", None):
        return _finding(
            change,
            (found,),
            "model.mirror",
            Level.ROUTINE,
            "the base model is not copied to the bucket any more",
            "Each new instance fetches it from the Hub.",
            "",
        )
    is_of_models = isinstance(found.after, str) and found.after.startswith("models/")
    return _finding(
        change,
        (found,),
        "model.mirror",
        Level.ROUTINE if is_of_models else Level.REVIEW,
        f"the base model is copied to {text(found.after)}",
        "Its files are copied from the Hub, which takes minutes, before the endpoint is updated.",
        "" if is_of_models else "Keep it below `models/`.",
    )


def _value(difference: Difference) -> str:
    return f"{text(difference.after) or 'none'} instead of {text(difference.before) or 'none'}"


def _judged_again(change: StageComparison, rules: Sequence[Difference]) -> ReviewFinding:
    """Return the finding of other rules: a stricter one may refuse a published adapter."""
    stricter = [each.name for each in rules if _is_stricter(each)]
    return _finding(
        change,
        tuple(rules),
        "adapters.judged",
        Level.REVIEW if stricter else Level.ROUTINE,
        "all adapters are judged again by new rules: " + ", ".join(each.name for each in rules),
        "An adapter that the rules refuse fails the deployment before anything is transferred.",
        f"Check the adapters against {', '.join(stricter)}." if stricter else "",
    )


def _is_stricter(difference: Difference) -> bool:
    """Return True for a rule that can refuse what the old one let pass."""
    before, after = text(difference.before), text(difference.after)
    if difference.name == "Engine":
        return True
    if difference.name == "MaxAdapterRank":
        return not (before.isdigit() and after.isdigit() and int(after) >= int(before))
    if difference.name == "AdapterTargetModules":  # empty for all
        return bool(after) and not (before and set(before.split(",")) <= set(after.split(",")))
    return False


def _finding(
    change: StageComparison,
    differences: tuple[Difference, ...],
    rule: str,
    level: Level,
    *words: str,
) -> ReviewFinding:
    what, consequence, action = words
    return ReviewFinding(
        rule=rule,
        level=level,
        stage=change.id,
        title=title(what),
        consequence=consequence,
        action=action,
        details=tuple(f"{each.name}: {_value(each)}" for each in differences) if level > Level.NOISE else (),
        differences=differences,
    )
