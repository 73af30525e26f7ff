"""The base model that a stage serves, read when a check or the mirror first needs it."""

from __future__ import annotations

import threading
from collections.abc import Callable
from concurrent.futures import Future
from typing import TypeVar

from adapters.errors import AdapterError
from adapters.source import SourceError
from adapters.validation.base_model import BaseModelFacts
from ingest.model_files import ModelFiles

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
        """`find` locates the model's files and raises `SourceError` if they cannot be read.

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

    def files(self) -> ModelFiles:
        """Return the model's files; raises `SourceError`."""
        with self._lock:
            return _settled(self._files, self._find)

    def facts(self, warn: Callable[[str], None]) -> BaseModelFacts | None:
        """Return the model's dimensions; raises `InvalidBaseModel`, and `SourceError` if it is mirrored.

        Returns None, and calls `warn`, if a model that the container fetches cannot be read here: the
        endpoint may have access to a repository to which the seeder has none.
        """
        try:
            with self._lock:
                return _settled(self._facts, lambda: self.files().facts())
        except SourceError as error:
            if self.mirror_prefix is not None:
                raise
            warn(f"adapters are not checked against the base model's dimensions: {error}")
            return None


def _settled(result: Future[R], work: Callable[[], R]) -> R:
    """Return the kept result of `work`, or raise its kept `AdapterError`; call `work` if there is neither."""
    if not result.done():
        try:
            result.set_result(work())
        except AdapterError as error:
            result.set_exception(error)
    return result.result()
