"""One request in one of the schemas, whole or streamed, through SageMaker Runtime."""

import json
import time
import uuid
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from botocore.exceptions import BotoCoreError, ClientError, EventStreamError

from samples.problems import Problem
from tests.local.clients.streams import data_of, payload

#: More tokens than any adapter's answer has.
NEW_TOKENS = 24


def _lorax(problem: Problem, adapter: str) -> dict[str, Any]:
    return {"inputs": problem.prompt, "parameters": {"adapter_id": adapter, "max_new_tokens": NEW_TOKENS}}


def _chat(problem: Problem, adapter: str) -> dict[str, Any]:
    messages = [{"role": "user", "content": problem.question}]
    return {"model": adapter, "messages": messages, "max_tokens": NEW_TOKENS, "temperature": 0}


def _text(problem: Problem, adapter: str) -> dict[str, Any]:
    return {"model": adapter, "prompt": problem.prompt, "max_tokens": NEW_TOKENS, "temperature": 0}


BODIES: dict[str, Callable[[Problem, str], dict[str, Any]]] = {
    "lorax": _lorax,
    "chat": _chat,
    "text": _text,
}


@dataclass(frozen=True)
class Asked:
    """A request."""

    schema: str
    stream: bool
    name: str
    pinned: str | None
    """The only revision that may answer; None for the revision that the name points to."""
    problem: Problem
    id: str = field(default_factory=lambda: uuid.uuid4().hex)
    """Inference id. The answer has it too, so that it can be matched with this request."""

    @property
    def kind(self) -> str:
        return self.schema + (", streamed" if self.stream else "") + (", pinned" if self.pinned else "")

    @property
    def reference(self) -> str:
        return f"{self.name}@{self.pinned}" if self.pinned else self.name


@dataclass(frozen=True)
class Outcome:
    """The result of a request; times are monotonic seconds."""

    started: float
    ended: float
    text: str = ""
    attributes: str = ""
    """SageMaker's CustomAttributes."""
    error: str | None = None
    """Status and type of the gateway's error; the class of any other error."""


def ask(runtime: Any, endpoint: str, asked: Asked) -> Outcome:
    """Send a request and wait for its result, an answer or an error."""
    request = BODIES[asked.schema](asked.problem, asked.reference) | {"stream": asked.stream}
    arguments = {
        "EndpointName": endpoint,
        "ContentType": "application/json",
        "InferenceId": asked.id,
        "Body": json.dumps(request),
    }
    started = time.monotonic()
    text, attributes, error = "", "", None
    try:
        if asked.stream:
            response = runtime.invoke_endpoint_with_response_stream(**arguments)
            text, error = _streamed_text(payload(response))
        else:
            response = runtime.invoke_endpoint(**arguments)
            text = _text_of(json.load(response["Body"]))
        attributes = response["CustomAttributes"]
    except (ClientError, EventStreamError, BotoCoreError, LookupError, ValueError) as broken:
        error = _what(broken)
    return Outcome(started, time.monotonic(), text, attributes, error)


def _text_of(answer: Any) -> str:
    if isinstance(answer, list):
        return str(answer[0]["generated_text"])
    [choice] = answer["choices"]
    return str(choice["text"] if "text" in choice else choice["message"]["content"])


def _streamed_text(sent: bytes) -> tuple[str, str | None]:
    """Return the text of a stream, and the error that ended it, if any."""
    text = ""
    for data in data_of(sent):
        event = {"choices": []} if data == "[DONE]" else json.loads(data)
        if "error" in event:
            return text, f"in the stream {event['error_type']}"
        if "token" in event:
            text += "" if event["token"]["special"] else event["token"]["text"]
        for choice in event.get("choices", ()):
            text += choice["text"] if "text" in choice else choice["delta"].get("content") or ""
    return text, None


def _what(broken: Exception) -> str:
    if isinstance(broken, ClientError) and "OriginalMessage" in broken.response:
        status, message = broken.response["OriginalStatusCode"], broken.response["OriginalMessage"]
        try:
            return f"{status} {json.loads(message)['error_type']}"
        except (ValueError, LookupError):
            return f"{status} {message[:80]}"
    return f"{type(broken).__name__}: {broken}"[:200]
