"""Check of each result against the history of the requested name."""

import re
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from rich.table import Table

from samples.problems import SIGNATURES, check
from tests.local.isolation.history import History
from tests.local.isolation.invocation import Asked, Outcome

_SIGNATURE = re.compile("|".join(rf"\b{signature}\b" for signature in SIGNATURES))
#: Margin for a busy machine, and for the second that the gateway waits for a newer registry answer.
MARGIN_SECONDS = 1.5
#: Errors of a removed name: the gateway does not find it, or the engine does not find it when it loads the
#: adapter.
OF_A_REMOVED_NAME = ("404 adapter_not_found", "424 adapter_missing")
#: The error of a slow store, for a name without an older registry answer.
OF_A_SLOW_STORE = "503 registry_unavailable"


@dataclass
class Judge:
    """Checks results and counts them."""

    history: History
    revision_of: Mapping[str, str]
    """Revision of each sample's content; it does not depend on the name."""
    cache_seconds: float
    """Time for which the gateway may use an older revision of a name."""
    stale: Counter[str]
    """Number of uses of an older registry answer because the store was slow, for each name or pinned name."""
    unanswered: int
    """Number of requests that failed because the store did not answer."""
    counts: dict[str, Counter[str]] = field(default_factory=dict)
    wrong_results: int = 0
    """Number of wrong sums by the right adapter: a small model is not always right."""
    oldest: float = 0.0
    """Largest age of a revision that answered: seconds since the name had pointed to it."""
    complaints: list[str] = field(default_factory=list)

    def judge(self, asked: Asked, answer: Outcome) -> None:
        """Count the result of a request; add a complaint if the result is not allowed."""
        self.counts.setdefault(asked.kind, Counter())[answer.error or "answered"] += 1
        complaint = self._of_error(asked, answer) if answer.error else self._of_answer(asked, answer)
        if complaint is not None:
            seconds = f"{answer.ended - answer.started:.1f} s"
            self.complaints.append(f"{asked.kind}, {asked.reference}, after {seconds}: {complaint}")

    def _of_error(self, asked: Asked, answer: Outcome) -> str | None:
        if answer.error in OF_A_REMOVED_NAME and self._is_explained(asked, [None], answer):
            return None
        if answer.error == OF_A_SLOW_STORE and self.unanswered:
            self.unanswered -= 1
            return None
        return answer.error

    def _of_answer(self, asked: Asked, answer: Outcome) -> str | None:
        signatures = {found.lower() for found in _SIGNATURE.findall(answer.text)}
        if len(signatures) != 1:
            return f"no adapter's answer: {answer.text!r}"
        [sample] = signatures
        revision = self.revision_of[sample]
        if asked.pinned:
            # The name must point to a revision, no matter which one.
            revisions: list[str | None] = [*self.history.revisions(asked.name)]
            allowed = revision == asked.pinned and self._is_explained(asked, revisions, answer)
        else:
            allowed = self._is_explained(asked, [revision], answer)
        if not allowed:
            return f"answered by {sample}, to which the name did not point: {answer.text!r}"
        if answer.attributes != f"adapter={asked.name}@{revision};request={asked.id}":
            return f"request {asked.id} answered by {revision}, but it says {answer.attributes!r}"
        self.wrong_results += not check(answer.text, asked.problem, sample).right_answer
        return None

    def _is_explained(self, asked: Asked, revisions: Sequence[str | None], answer: Outcome) -> bool:
        """Return True if the name pointed to one of the revisions recently enough."""
        age = min(
            self.history.age(asked.name, revision, answer.started, answer.ended) for revision in revisions
        )
        if age > (self.cache_seconds + MARGIN_SECONDS) * (1 + self.stale[asked.reference]):
            return False
        self.oldest = max(self.oldest, age)
        return True

    def table(self) -> Table:
        """Make a table: number of requests by kind and result."""
        outcomes = sorted({outcome for counted in self.counts.values() for outcome in counted})
        table = Table("request", *outcomes)
        for kind, counted in sorted(self.counts.items()):
            table.add_row(kind, *(str(counted[outcome]) for outcome in outcomes))
        total = sum(self.counts.values(), Counter())
        table.add_section()
        table.add_row("all", *(str(total[outcome]) for outcome in outcomes))
        return table
