"""Continuous changes of the published adapters, by the functions behind `loraserve adapters`."""

import random
import threading
import time
from collections import Counter
from collections.abc import Callable, Sequence
from types import TracebackType
from typing import Self

from loraserve.adapters import check as checking
from loraserve.adapters.publish import Publication
from loraserve.adapters.rollback import remove, rollback
from loraserve.adapters.stage_store import StageStore
from samples.spec import ADAPTERS_DIR
from tests.local.isolation.history import Change, History

#: Seconds between two changes.
PAUSE_SECONDS = 0.4
#: Kinds of changes.
KINDS = ("publish", "roll back", "remove", "publish again")
#: Names that may be removed at the same time.
MOST_REMOVED = 5


class Publisher:
    """A separate thread that changes the samples to which names point.

    The revision depends on the content only, so an answer's signature shows which revision answered.
    """

    def __init__(
        self, store: StageStore, samples: Sequence[str], pick: Callable[[random.Random], str]
    ) -> None:
        """Check the samples; `pick` returns the name that is changed next."""
        self.history = History()
        self.made: Counter[str] = Counter()
        self._store = store
        self._pick = pick
        self._base = checking.read_base(store.stage)
        self._examined = {
            sample: checking.check(store, sample, str(ADAPTERS_DIR / sample), self._base)
            for sample in samples
        }
        self._removed: list[str] = []
        self._rng = random.Random(5)
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run)
        self.failure: Exception | None = None

    @property
    def revision_of(self) -> dict[str, str]:
        """Revision of each sample's content."""
        return {sample: examined.revision for sample, examined in self._examined.items()}

    def publish(self, name: str, sample: str) -> str:
        """Publish a sample's content under a name; return the revision."""
        publication = Publication.begin(self._store, name)
        examined = self._examined[sample]
        publication.transfer(examined)
        return publication.finish(examined, self._base).entry.revision

    def begin(self, name: str, sample: str) -> None:
        """Publish the first revision of a name and record it."""
        self._make("publish", name, lambda: self.publish(name, sample))

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stop.set()
        self._thread.join()

    def _run(self) -> None:
        try:
            while not self._stop.wait(PAUSE_SECONDS):
                self._change_something()
        except Exception as error:
            self.failure = error

    def _change_something(self) -> None:
        draw, name = self._rng.random(), self._pick(self._rng)
        if self._removed and (draw < 0.15 or len(self._removed) == MOST_REMOVED):
            back = self._removed.pop(0)
            self._make("publish again", back, lambda: rollback(self._store, back).entry.revision)
        elif name in self._removed:
            self._removed.remove(name)
            self._publish_another(name)
        elif draw < 0.3:
            self._make("remove", name, lambda: self._remove(name))
        elif draw < 0.6 and len(self.history.revisions(name)) > 1:
            self._make("roll back", name, lambda: rollback(self._store, name).entry.revision)
        else:
            self._publish_another(name)

    def _publish_another(self, name: str) -> None:
        now = self.history.now(name)
        others = [sample for sample, revision in self.revision_of.items() if revision != now]
        self._make("publish", name, lambda: self.publish(name, self._rng.choice(others)))

    def _remove(self, name: str) -> None:
        remove(self._store, name)
        self._removed.append(name)

    def _make(self, what: str, name: str, make: Callable[[], str | None]) -> None:
        begun = time.monotonic()
        revision = make()
        self.history.record(name, Change(begun, time.monotonic(), revision))
        self.made[what] += 1
