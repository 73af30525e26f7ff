"""What each name stood for, and when: the truth by which answers are judged."""

from collections import defaultdict
from dataclasses import dataclass
from itertools import pairwise


@dataclass(frozen=True)
class Change:
    """From a moment between `begun` and `done` (monotonic seconds) the name stood for this."""

    begun: float
    done: float
    revision: str | None
    """None where the name was removed."""


class History:
    """Filled in by one thread, read by all."""

    def __init__(self) -> None:
        self._changes: dict[str, list[Change]] = defaultdict(list)

    def record(self, name: str, change: Change) -> None:
        """The next change of a name, in the order in which they were made."""
        self._changes[name].append(change)

    def now(self, name: str) -> str | None:
        """What the name stands for, as far as is recorded."""
        return self._changes[name][-1].revision

    def revisions(self, name: str) -> list[str]:
        """All revisions that the name has stood for, each once."""
        return list({change.revision: None for change in self._changes[name] if change.revision})

    def age(self, name: str, revision: str | None, since: float, until: float) -> float:
        """How long before `since` the name stood for this: 0 if at some time from `since` to `until`.

        Infinite if it did not before. While a change is being made, what was before it and what comes after
        are both true.
        """
        changes = self._changes[name]
        ends = [after.done for _, after in pairwise(changes)] + [float("inf")]
        known = [
            end
            for change, end in zip(changes, ends, strict=True)
            if change.revision == revision and change.begun <= until
        ]
        return max(0.0, since - max(known)) if known else float("inf")
