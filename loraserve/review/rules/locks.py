"""Promotion of adapters: the lock of a stage's adapters, and the readers of its store."""

from __future__ import annotations

from collections.abc import Iterator

from loraserve.review.comparison import StageComparison
from loraserve.review.finding import Level, ReviewFinding
from loraserve.review.rules.resources import several
from loraserve.review.values import title


def locks(change: StageComparison) -> Iterator[ReviewFinding]:
    """Yield a lock that is added or lifted, and other readers; `access` judges the policies themselves."""
    for fact in change.facts("adapters_locked"):
        is_on = bool(fact.after)
        yield ReviewFinding(
            rule="supply.lock",
            level=Level.ROUTINE if is_on else Level.REVIEW,
            stage=change.id,
            title="adapters are locked" if is_on else "adapters are no longer locked",
            consequence="The seeder takes what another stage has tested, by its digest, and asks no Hub."
            if is_on
            else "The manifest may name any source, so callers may get files that no other stage has tested.",
            action="" if is_on else "Keep adapters_locked where callers depend on the answers.",
            differences=(fact,),
            before=fact.before,
            after=fact.after,
        )
    yield from _readers(change)


def _readers(change: StageComparison) -> Iterator[ReviewFinding]:
    facts = tuple(change.facts("store_readers"))
    if not facts or change.facts_before is None or change.facts_after is None:
        return
    before, after = set(change.facts_before.store_readers), set(change.facts_after.store_readers)
    if more := sorted(after - before):
        yield ReviewFinding(
            rule="access.foreign",
            level=Level.REVIEW,
            stage=change.id,
            title=title(f"{several('reader', more)} of the store more"),
            consequence="They may read all adapters, the registry and the releases, and decrypt them.",
            action="Check that a stage of theirs is promoted from this one.",
            details=tuple(more),
            differences=facts,
        )
    if fewer := sorted(before - after):
        yield ReviewFinding(
            rule="access.readers",
            level=Level.ROUTINE,
            stage=change.id,
            title=title(f"{several('reader', fewer)} of the store less"),
            consequence="A promotion to a stage of theirs fails before it changes anything.",
            details=tuple(fewer),
            differences=facts,
        )
