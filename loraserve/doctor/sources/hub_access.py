"""The stage's Hub, asked from this machine with the seeder's token, within a time limit."""

from __future__ import annotations

import time
from enum import StrEnum

import httpx2
from huggingface_hub.utils import get_session

from adapters.source import SourceError
from adapters.store.transfer import OutOfTime
from ingest.hub import ClosedRepository, Hub, HubUnavailable
from loraserve.doctor.sources.seeder_token import SeederToken, how_to_store
from loraserve.finding import Finding, problem, unknown
from stacks.config.stage_config import StageConfig

#: Time limit of all questions to the Hub: some hundred sources take about 15 s, five requests each.
HUB_SECONDS = 25.0
#: Time limit of the first question, which finds out whether there is a way to the Hub.
_FIRST_SECONDS = 8.0


class Cause(StrEnum):
    """The cause of a failed question."""

    CLOSED = "closed"
    """The Hub refuses: the repository is gated, private or unknown, or the token is not accepted."""
    CONTENT = "content"
    """The revision or a file is not there, or the files cannot be used."""
    SILENT = "silent"
    """No answer to the question: no connection, or a Hub that is busy. The seeder may get one."""


class HubAccess:
    """The Hub of a stage, with the token of its secret."""

    def __init__(self, config: StageConfig, token: SeederToken) -> None:
        """The time limit starts now."""
        self.token = token
        self._until = time.monotonic() + HUB_SECONDS
        self.seeder = Hub(
            config.hub_endpoint, token.value, has_time=self.has_time, how_to_log_in=how_to_store(config)
        )

    def has_time(self) -> bool:
        """Return whether the time limit is not reached."""
        return time.monotonic() < self._until

    def silence(self) -> str | None:
        """Return why the Hub cannot be asked from this machine; None if it answers, whatever it answers."""
        try:
            get_session().head(self.seeder.endpoint, timeout=_FIRST_SECONDS)
        except httpx2.HTTPError as error:
            return f"{self.seeder.endpoint} cannot be reached from this machine ({type(error).__name__})"
        return None

    def finding(self, check: str, subject: str, error: SourceError | OutOfTime) -> Finding:
        """Return the finding of a question to which the answer is an error.

        It is a problem, unless the seeder may get another answer: from a silent Hub, or with a token that
        could not be read here.
        """
        if isinstance(error, OutOfTime):
            return unknown(check, f"{subject}: {self._out_of_time(error)}", "run the doctor again later")
        cause = cause_of(error)
        if cause is Cause.SILENT:
            return unknown(check, f"{subject}: {error.problem}; the seeder may reach it")
        if cause is Cause.CLOSED and self.token.unreadable:
            return unknown(
                check,
                f"{subject}: {error.problem}, without the seeder's token: {self.token.unreadable}",
                "see the finding about the Hub token",
            )
        return problem(check, f"{subject}: {error.problem}", error.remedy)

    def _out_of_time(self, error: OutOfTime) -> str:
        last = error.__cause__
        reason = last.problem if isinstance(last, SourceError) else "the time was up"
        return f"not checked within {HUB_SECONDS:g} s: {reason}"


def cause_of(error: Exception) -> Cause:
    """Return the cause of an error of `ingest.hub`, or of reading the files that it found."""
    if isinstance(error, ClosedRepository):
        return Cause.CLOSED
    return Cause.SILENT if isinstance(error, HubUnavailable) else Cause.CONTENT
