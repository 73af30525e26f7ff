"""One answer, read while it arrives: its times, tokens, text, adapter and outcome."""

from __future__ import annotations

from array import array
from collections.abc import Callable, Mapping

from loraserve.client import answering_adapter
from loraserve.load.event_stream import PayloadReader
from loraserve.load.generated_text import GeneratedPart, read_event, read_whole
from loraserve.load.refusal import refusal
from loraserve.load.result import LoadOutcome, RequestResult
from loraserve.server_sent_events import EventSplitter

#: Content types of the two layers of a stream.
_AWS_STREAM = "application/vnd.amazon.eventstream"
_EVENTS = "text/event-stream"


class Answer:
    """Fills a `RequestResult` and calls `ended` with it once.

    `head`, then `data` for each piece of the body, then `complete`; or `fail` at any time. Instants are
    seconds of the run's clock. After the end every call is ignored: a late response to a request that timed
    out.
    """

    def __init__(
        self, result: RequestResult, ended: Callable[[RequestResult], None], *, keep_text: bool
    ) -> None:
        """`keep_text` False drops the text of the answer; that of an error is kept."""
        self.result = result
        self.is_ended = False
        self._ended = ended
        self._keep_text = keep_text
        self._status = 0
        self._headers: Mapping[str, str] = {}
        self._payloads: PayloadReader | None = None
        self._events: EventSplitter | None = None
        self._pieces: list[bytes] = []
        self._texts: list[str] = []
        self._token_count = 0
        self._last_token_s = 0.0
        self._is_whole = False

    def head(self, status: int, headers: Mapping[str, str]) -> None:
        """Begin the answer; names of `headers` are in lower case."""
        self._status, self._headers = status, headers
        if not self._is_success:
            return
        self.result.answered_by = answering_adapter(headers.get("x-amzn-sagemaker-custom-attributes", ""))
        content_type = headers.get("content-type", "")
        if content_type.startswith(_AWS_STREAM):
            self._payloads = PayloadReader()
            content_type = headers.get("x-amzn-sagemaker-content-type", "")
        if content_type.startswith(_EVENTS):
            self._events = EventSplitter()

    def data(self, data: bytes, now_s: float) -> None:
        """Read a piece of the body that arrived at `now_s`."""
        if self.is_ended:
            return
        payload = data if self._payloads is None else self._payloads.feed(data)
        if self._events is None:
            self._pieces.append(payload)
        else:
            for event in self._events.feed(payload):
                self._read(read_event(event), now_s)
        if self._payloads is not None and self._payloads.failure is not None:
            self.fail(LoadOutcome.STREAM_ERROR, self._payloads.failure, now_s)

    def complete(self, now_s: float) -> None:
        """End the answer: the HTTP message is complete."""
        if self.is_ended:
            return
        body = b"".join(self._pieces)
        if not self._is_success:
            self.fail(*refusal(self._status, self._headers, body), now_s)
        elif self._events is None:
            whole = read_whole(body)
            self._count(whole)
            self._texts.append(whole.text or "")
            self._end(now_s)
        elif self._is_whole:
            self._end(now_s)
        else:
            self.fail(LoadOutcome.CUT, "the stream ended before its last event", now_s)

    def fail(self, outcome: LoadOutcome, message: str, now_s: float) -> None:
        """End the answer with an error."""
        if self.is_ended:
            return
        self.result.outcome, self.result.message = outcome, message
        self._end(now_s)

    @property
    def _is_success(self) -> bool:
        return 200 <= self._status < 300

    def _read(self, part: GeneratedPart, now_s: float) -> None:
        if part.error is not None:
            self.fail(LoadOutcome.STREAM_ERROR, part.error, now_s)
            return
        self._count(part)
        if part.text is not None:
            self._token_count += 1
            self._texts.append(part.text)
            if self.result.first_token_s is not None:
                self.result.token_gaps_s.append(now_s - self._last_token_s)
            elif part.text:
                self.result.first_token_s = now_s
            self._last_token_s = now_s
        if part.whole_text is not None:
            self._texts = [part.whole_text]
        self._is_whole = self._is_whole or part.last

    def _count(self, part: GeneratedPart) -> None:
        if part.input_tokens is not None:
            self.result.input_tokens = part.input_tokens
        if part.output_tokens is not None:
            self.result.output_tokens = part.output_tokens
            self.result.tokens_from_usage = True

    def _end(self, now_s: float) -> None:
        self.is_ended = True
        result = self.result
        result.ended_s = now_s
        # A copy has no room for further gaps: a run may keep 100,000 of them.
        result.token_gaps_s = array("f", result.token_gaps_s)
        if not result.tokens_from_usage:
            result.output_tokens = self._token_count
        if self._keep_text and result.outcome is LoadOutcome.OK:
            result.text = "".join(self._texts)
        self._ended(result)
