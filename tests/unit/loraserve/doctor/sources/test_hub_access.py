"""Causes of a Hub's errors."""

import pytest

from adapters.source import SourceError
from ingest.hub import ClosedRepository, HubUnavailable
from loraserve.doctor.sources.hub_access import Cause, cause_of


@pytest.mark.parametrize(
    ("error", "cause"),
    [(ClosedRepository, Cause.CLOSED), (HubUnavailable, Cause.SILENT), (SourceError, Cause.CONTENT)],
)
def test_the_cause_of_an_error(error: type[SourceError], cause: Cause) -> None:
    assert cause_of(error("hf://a/b@main", "problem", "remedy")) is cause
