"""History of each name: the revisions that it pointed to, and when. Answers are compared with it."""

from collections import defaultdict
from dataclasses import dataclass
from itertools import pairwise


@dataclass(frozen=True)
class Change:
    """A change of a name's revision, made at some time from `begun` to `done` (monotonic seconds)."""

    begun: float
    done: float
    revision: str | None
    """None if the name was removed."""


class History:
    """The changes of all names. One thread records them, all threads read them."""

    def __init__(self) -> None:
        self._changes: dict[str, list[Change]] = defaultdict(list)

    def record(self, name: str, change: Change) -> None:
        """Record the next change of a name; changes are recorded in the order in which they are made."""
        self._changes[name].append(change)

    def now(self, name: str) -> str | None:
        """Return the revision that the name points to, by the last recorded change."""
        return self._changes[name][-1].revision

    def revisions(self, name: str) -> list[str]:
        """Return all revisions that the name has pointed to, each once."""
        return list({change.revision: None for change in self._changes[name] if change.revision})

    def age(self, name: str, revision: str | None, since: float, until: float) -> float:
        """Return the seconds between `since` and the last time at which the name pointed to the revision.

        0 if it did so at some time from `since` to `until`; infinite if it never did. While a change is being
        made, both the revision before it and the one after it are valid.
        """
        changes = self._changes[name]
        ends = [after.done for _, after in pairwise(changes)] + [float("inf")]
        known = [
            end
            for change, end in zip(changes, ends, strict=True)
            if change.revision == revision and change.begun <= until
        ]
        return max(0.0, since - max(known)) if known else float("inf")
