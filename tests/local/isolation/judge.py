"""Whether what came of a request is what the history of its name allows."""

import re
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from rich.table import Table

from samples.problems import SIGNATURES, check
from tests.local.isolation.history import History
from tests.local.isolation.invocation import Asked, Outcome

_SIGNATURE = re.compile("|".join(rf"\b{signature}\b" for signature in SIGNATURES))
#: For a busy machine, and for the second that the gateway waits for a newer answer.
MARGIN_SECONDS = 1.5
#: The errors that a name explains which stands for nothing: the gateway does not find it, or the engine,
#: which looks for itself before it fetches.
OF_A_REMOVED_NAME = ("404 adapter_not_found", "424 adapter_missing")
#: The error of a store that keeps the gateway waiting, for a name of which nothing is known.
OF_A_SLOW_STORE = "503 registry_unavailable"


@dataclass
class Judge:
    """Judges answers and counts them."""

    history: History
    revision_of: Mapping[str, str]
    """The revision that a sample's content has, under whatever name."""
    cache_seconds: float
    """For which the gateway may go by what a name stood for before the request began."""
    stale: Counter[str]
    """How often the store was so slow that an older answer was used on, for each name or pinned name."""
    unanswered: int
    """How many requests were told that the store does not answer."""
    counts: dict[str, Counter[str]] = field(default_factory=dict)
    wrong_results: int = 0
    """The right adapter has miscalculated: a small model does, at times."""
    oldest: float = 0.0
    """Seconds since a name had stood for what was answered, the most of all answers."""
    complaints: list[str] = field(default_factory=list)

    def judge(self, asked: Asked, answer: Outcome) -> None:
        """Count what came of a request; what must not have become of it is a complaint."""
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
            # The name must stand for something, whatever that is.
            revisions: list[str | None] = [*self.history.revisions(asked.name)]
            allowed = revision == asked.pinned and self._is_explained(asked, revisions, answer)
        else:
            allowed = self._is_explained(asked, [revision], answer)
        if not allowed:
            return f"answered by {sample}, for which it did not stand: {answer.text!r}"
        if answer.attributes != f"adapter={asked.name}@{revision};request={asked.id}":
            return f"request {asked.id} answered by {revision}, but it says {answer.attributes!r}"
        self.wrong_results += not check(answer.text, asked.problem, sample).right_answer
        return None

    def _is_explained(self, asked: Asked, revisions: Sequence[str | None], answer: Outcome) -> bool:
        """Whether the name stood for one of them recently enough."""
        age = min(
            self.history.age(asked.name, revision, answer.started, answer.ended) for revision in revisions
        )
        if age > (self.cache_seconds + MARGIN_SECONDS) * (1 + self.stale[asked.reference]):
            return False
        self.oldest = max(self.oldest, age)
        return True

    def table(self) -> Table:
        """How many requests of each kind became what."""
        outcomes = sorted({outcome for counted in self.counts.values() for outcome in counted})
        table = Table("request", *outcomes)
        for kind, counted in sorted(self.counts.items()):
            table.add_row(kind, *(str(counted[outcome]) for outcome in outcomes))
        total = sum(self.counts.values(), Counter())
        table.add_section()
        table.add_row("all", *(str(total[outcome]) for outcome in outcomes))
        return table
