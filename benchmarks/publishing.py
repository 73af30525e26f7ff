"""Publication of adapters before a measurement."""

from __future__ import annotations

import contextlib
import io
from collections.abc import Mapping

from benchmarks.errors import BenchmarkFailed
from tests.harness.store import Store


def publish(store: Store, adapters: Mapping[str, Mapping[str, bytes]]) -> None:
    """Publish adapters with the seeder; discard its log."""
    with contextlib.redirect_stdout(io.StringIO()):
        report = store.seed(adapters)
    if report.published != len(adapters):
        raise BenchmarkFailed(f"{report.published} of {len(adapters)} adapters were published")
