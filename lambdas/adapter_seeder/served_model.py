"""The base model that a stage serves, read before its adapters are checked."""

from __future__ import annotations

import threading
from collections.abc import Callable
from concurrent.futures import Future
from typing import TypeVar

from adapters.errors import AdapterError
from adapters.validation.base_model import BaseModelFacts
from ingest.hub import HubUnavailable
from ingest.model_files import ModelFiles
from lambdas.adapter_seeder.thread_pool import BadAdapters, ThreadPool

R = TypeVar("R")


class ServedModel:
    """The base model of one stage.

    Its files and its facts are read at most once, however many worker threads ask at the same time: the
    first one reads, the others wait. An `AdapterError` is kept as well, because the Hub has been asked
    several times before it is raised. Any other error is not kept: the next caller tries again.
    """

    def __init__(
        self, find: Callable[[], ModelFiles], *, revision: str, mirror_prefix: str | None = None
    ) -> None:
        """`find` locates the model's files; raises `InvalidBaseModel` or `SourceError`.

        `revision` differs between two states of the model. `mirror_prefix` is the key prefix that the model
        is mirrored to; None if the container fetches it from the Hub.
        """
        self.revision = revision
        self.mirror_prefix = mirror_prefix
        self._find = find
        # Reentrant: reading the facts asks for the files.
        self._lock = threading.RLock()
        self._files: Future[ModelFiles] = Future()
        self._facts: Future[BaseModelFacts] = Future()

    def located_by(self, find: Callable[[], ModelFiles]) -> ServedModel:
        """Return the same model, with its files in another place."""
        return ServedModel(find, revision=self.revision, mirror_prefix=self.mirror_prefix)

    def files(self) -> ModelFiles:
        """Return the model's files; raises `InvalidBaseModel` or `SourceError`."""
        with self._lock:
            return _settled(self._files, self._find)

    def facts(self) -> BaseModelFacts:
        """Return the model's dimensions; raises `InvalidBaseModel` or `SourceError`."""
        with self._lock:
            return _settled(self._facts, lambda: self.files().facts())

    def read(self, pool: ThreadPool) -> None:
        """Read files and facts, before an adapter needs them.

        Raises `BadAdapters` with one error if the model cannot be served, `HubUnavailable` if that is not
        known yet, and `OutOfTime`.
        """
        try:
            pool.map(lambda served: served.facts(), [self])
        except BadAdapters as bad:
            for error in bad.errors:
                if isinstance(error, HubUnavailable):
                    raise error from bad
            raise


def _settled(result: Future[R], work: Callable[[], R]) -> R:
    """Return the kept result of `work`, or raise its kept `AdapterError`; call `work` if there is neither."""
    if not result.done():
        try:
            result.set_result(work())
        except AdapterError as error:
            result.set_exception(error)
    return result.result()
