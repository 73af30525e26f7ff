"""Adapters: published, removed, repinned; and the rules by which the seeder judges them."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from adapters.source import S3Source, SourceError, parse_source
from loraserve.review.adapter_changes import AdapterChange, What, changes_between, packed_manifest, published
from loraserve.review.comparison import StageComparison
from loraserve.review.difference import Difference
from loraserve.review.finding import Level, ReviewFinding
from loraserve.review.rules.resources import below, changed, is_whole, several
from loraserve.review.rules.seeding import seeding
from loraserve.review.values import SEEDING, resources_of, text, title
from stacks.facts import PackedAdapterFacts

#: Lines of a finding; the report's table has the others.
_LINES = 20
#: Seconds that a gateway uses a registry entry without `REGISTRY_CACHE_SECONDS`.
_CACHE_SECONDS = "5"


def adapters(change: StageComparison) -> Iterator[ReviewFinding]:
    """Find changes of the published adapters and of their seeding."""
    if change.before is None or change.after is None:
        return
    resources = [each for each in changed(change, SEEDING) if not is_whole(each)]
    manifests = [one for each in resources for one in each.differences if one.name == "ManifestKey"]
    before, after = published(change.before), published(change.after)
    if before is not None and after is not None:
        differences = (*change.facts("adapters"), *manifests)
        found = list(_findings(change, changes_between(before, after), differences))
        if buckets := sorted(_buckets(after) - _buckets(before)):
            found.append(_foreign(change, buckets, differences))
        yield from found or _without_adapters(change, differences)
    yield from _removals(change, manifests)
    yield from seeding(change, resources)


def _findings(
    change: StageComparison, changes: Sequence[AdapterChange], differences: tuple[Difference, ...]
) -> Iterator[ReviewFinding]:
    """Yield a finding for each kind of change."""
    by_level = _repinned_level(change)
    seconds = _cache_seconds(change)
    lost = f"callers get 404 within {seconds} s"
    unpinned = [each for each in changes if each.unpinned and each.what is not What.ADDED]
    repinned = [
        each
        for each in changes
        if each.what in (What.SOURCE, What.CHECKSUM) and each not in unpinned and not each.is_guard
    ]
    checked = [each for each in changes if each.is_guard]
    groups = (
        _Group("adapters.removed", Level.REVIEW, _of(changes, What.REMOVED), f"removed: {lost}"),
        _Group("adapters.renamed", Level.REVIEW, _of(changes, What.RENAMED), f"renamed: {lost}"),
        _Group("supply.unpinned", Level.REVIEW, unpinned, "no longer pinned"),
        _Group("adapters.repinned", by_level, repinned, f"served from other files within {seconds} s"),
        _Group("adapters.moved", Level.ROUTINE, _of(changes, What.MOVED), "taken from another source"),
        _Group("adapters.checked", Level.ROUTINE, checked, "checked by a digest"),
        _Group("adapters.tenant", Level.REVIEW, _of(changes, What.TENANT), "of another tenant"),
        _Group("adapters.pinned", Level.REVIEW, _of(changes, What.PINNED), "pinned otherwise"),
        _Group(
            "adapters.limits",
            Level.REVIEW,
            [*_of(changes, What.LIMITS), *_of(changes, What.TENANT_LIMITS)],
            f"limited otherwise within {seconds} s",
        ),
        _Group("adapters.labels", Level.ROUTINE, _of(changes, What.LABELS), "labelled otherwise"),
        _Group("adapters.added", Level.ROUTINE, _of(changes, What.ADDED), "new"),
    )
    for group in groups:
        if group.changes:
            yield ReviewFinding(
                rule=group.rule,
                level=group.level,
                stage=change.id,
                title=title(f"{several('adapter', [each.name for each in group.changes])} {group.says}"),
                consequence=_CONSEQUENCES[group.rule],
                action=_ACTIONS.get(group.rule, "") if group.level is Level.REVIEW else "",
                details=_lines(group.changes),
                differences=differences,
            )


@dataclass(frozen=True)
class _Group:
    """Changes of one kind."""

    rule: str
    level: Level
    changes: Sequence[AdapterChange]
    says: str


_CONSEQUENCES = {
    "adapters.removed": "The deployment removes it from the registry; its revision stays until it expires.",
    "adapters.renamed": "The content is equal, but only the new name is served.",
    "supply.unpinned": "Its files may change without a change of the manifest, and nothing compares them.",
    "adapters.repinned": "Its answers change without a rollover: no alarm rolls it back.",
    "adapters.moved": "The digest is that of the files served now: nothing changes for callers.",
    "adapters.checked": "The seeder refuses other weights of the same source.",
    "adapters.tenant": "Its requests count for the limits and the share of the engine of that tenant.",
    "adapters.pinned": "A pinned adapter keeps a slot of the engine, which the others have no more.",
    "adapters.limits": "Requests above a limit are answered 429. No alarm rolls it back.",
    "adapters.labels": "These labels are listed with the adapter, and decide nothing.",
    "adapters.added": "It is served when the seeding is complete, without a rollover.",
}
_ACTIONS = {
    "adapters.removed": "Check that no caller uses it any more.",
    "adapters.renamed": "Move the callers first: publish both names, then remove the old one.",
    "supply.unpinned": "Pin the commit that was tested, or the sha256 of the weights.",
    "adapters.tenant": "Check that the tenant's limits are enough for one more.",
    "adapters.pinned": "Check that enough slots are left for adapters that are not pinned.",
    "adapters.limits": "Compare them with the adapter's requests and tokens on the dashboard.",
    "adapters.repinned": "Try the new revision under another name first.",
}


def _of(changes: Sequence[AdapterChange], what: What) -> list[AdapterChange]:
    return [each for each in changes if each.what is what]


def _lines(changes: Sequence[AdapterChange]) -> tuple[str, ...]:
    lines = [
        f"{each.name}: {each.before or 'nothing'} → {each.after or 'nothing'}" for each in changes[:_LINES]
    ]
    return (*lines, *([f"and {len(changes) - _LINES} more"] if len(changes) > _LINES else []))


def _repinned_level(change: StageComparison) -> Level:
    """Return the level of other files: a stage that took unpinned sources already expects them."""
    sides = (change.facts_before, change.facts_after)
    expected = all(facts is not None and facts.allow_unpinned_sources for facts in sides)
    return Level.ROUTINE if expected else Level.REVIEW


def _cache_seconds(change: StageComparison) -> str:
    for _, _, model in resources_of(change.after, "AWS::SageMaker::Model"):
        seconds = below(model, "Properties", "PrimaryContainer", "Environment", "REGISTRY_CACHE_SECONDS")
        return _CACHE_SECONDS if seconds is None else text(seconds)
    return _CACHE_SECONDS


def _buckets(entries: Sequence[PackedAdapterFacts]) -> set[str]:
    found = set()
    for each in entries:
        try:
            source = parse_source(each.source)
        except SourceError:
            continue
        if isinstance(source, S3Source):
            found.add(source.bucket)
    return found


def _foreign(
    change: StageComparison, buckets: Sequence[str], differences: tuple[Difference, ...]
) -> ReviewFinding:
    return ReviewFinding(
        rule="access.foreign",
        level=Level.REVIEW,
        stage=change.id,
        title=title(f"adapters come from {several('bucket', buckets)} outside of the stage"),
        consequence="The seeder reads it. If the bucket is another account's, its policy must allow that.",
        action="Check who owns it, and that `decrypt_keys` has the key of its objects, if they have one.",
        details=tuple(buckets),
        differences=differences,
    )


def _without_adapters(
    change: StageComparison, differences: tuple[Difference, ...]
) -> Iterator[ReviewFinding]:
    """Yield another manifest of the same adapters: another order, or other files of a local base model."""
    manifests = [None if stage is None else packed_manifest(stage) for stage in (change.before, change.after)]
    old, new = manifests
    if not differences or old is None or new is None:
        return
    other = {key for key in {*old, *new} if old.get(key) != new.get(key)}
    if other <= {"adapters", "removals"}:
        yield ReviewFinding(
            rule="form.manifest",
            level=Level.NOISE,
            stage=change.id,
            title="the manifest of adapters has another form",
            differences=differences,
        )
    elif other <= {"adapters", "removals", "model"}:
        yield ReviewFinding(
            rule="model.changed",
            level=Level.REVIEW,
            stage=change.id,
            title="the local base model has other files",
            consequence="A deployment does not test the quality of its answers.",
            action="Evaluate the model with its adapters first.",
            differences=differences,
        )


def _removals(change: StageComparison, manifests: Sequence[Difference]) -> Iterator[ReviewFinding]:
    """Yield another share of the adapters that a deployment may remove."""
    shares = [_share(change, is_after) for is_after in (False, True)]
    before, after = shares
    facts = change.facts("removable_share")
    if before is None or after is None or before == after:
        return
    more = after > before
    yield ReviewFinding(
        rule="adapters.removals",
        level=Level.REVIEW if more else Level.ROUTINE,
        stage=change.id,
        title=title(f"a deployment may remove {after:.0%} of the adapters instead of {before:.0%}"),
        consequence="A manifest that lost entries by mistake is refused later."
        if more
        else "It is refused earlier.",
        action="Put `removals` back after this deployment." if more else "",
        differences=(*facts, *manifests),
        before=before,
        after=after,
    )


def _share(change: StageComparison, is_after: bool) -> float | None:
    stage = change.after if is_after else change.before
    if stage is None:
        return None
    if stage.facts is not None:
        return stage.facts.removable_share
    manifest = packed_manifest(stage)
    share = None if manifest is None else manifest.get("removals")
    return float(share) if isinstance(share, int | float) else None
