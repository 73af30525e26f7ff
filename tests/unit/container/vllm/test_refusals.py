"""vLLM's messages, in the client's names and without what is for who starts it."""

import time
from typing import Any

import pytest

from container.gateway.engine.http_client import EngineAnswer
from container.gateway.schemas.parsing import Reader
from container.vllm.refusals import refusal

UNNAMED = "the engine refused the request: send fields and values of docs/requests.md alone"
READER = Reader(base_model="base", max_new_tokens=1000)
CHAT = READER.any({"messages": [{"role": "user", "content": "hi"}]})
NEWER = READER.any({"messages": [{"role": "user", "content": "hi"}], "max_completion_tokens": 9})
LORAX = READER.any({"inputs": "hi"})


def message(text: str, request: Any = CHAT, **more: Any) -> str:
    answer = EngineAnswer(400, {}, {"error": {"message": text, "type": "BadRequestError", **more}})
    error = refusal(answer, "adapters/otter/0/", request)
    assert (error.status, error.error_type) == (422, "validation")
    return error.message.removeprefix("Input validation error: ")


@pytest.mark.parametrize(
    ("said", "becomes"),
    [
        # vllm/entrypoints/openai/chat_completion/protocol.py; the suffix: vllm/exceptions.py
        ("when using `top_logprobs`, `logprobs` must be set to true. (parameter=top_logprobs)",
         "when using `top_logprobs`, `logprobs` must be set to true."),
        ("temperature must be in [0, 2], got 5.0. (parameter=temperature, value=5.0)",
         "temperature must be in [0, 2], got 5.0."),
        # vllm/renderers/online_renderer.py
        ('"auto" tool choice requires --enable-auto-tool-choice and --tool-call-parser to be set',
         UNNAMED),
        # vllm/v1/engine/input_processor.py
        ("The prompt is too long. Make sure that `max_model_len` is no smaller than the number of text tokens.",
         "The prompt is too long."),
        # vllm/entrypoints/generate/base/serving.py
        ("n must be at most 4, got 8. To increase this limit, set the VLLM_MAX_N_SEQUENCES environment variable.",
         "n must be at most 4, got 8."),
        # A chat template's own words.
        ("Only user and assistant roles are supported", "Only user and assistant roles are supported"),
        # A client's own text is not vLLM's flag, nor a second name of a field.
        ("Only user roles are supported, got my-role --foo.", "Only user roles are supported, got my-role --foo."),
        ("It needs --no-enable-lora. Or so.", "Or so."),
        ("", UNNAMED),
    ],
)  # fmt: skip
def test_a_message_has_nothing_that_a_client_cannot_set(said: str, becomes: str) -> None:
    assert message(said) == becomes


def test_an_error_of_vllms_types_is_the_field_alone() -> None:
    text = "2 validation errors:\n  {'type': 'literal_error', 'loc': 'body.a', 'input': 'my secret'}\n"
    assert message(text, param="response_format") == (
        "`response_format`: the engine does not take this value: send one of docs/requests.md"
    )
    assert message(text) == UNNAMED


def test_a_name_that_vllm_has_written_is_not_written_again() -> None:
    text = "max_completion_tokens is 5, max_tokens 6"
    assert message(text, NEWER) == text


@pytest.mark.parametrize(
    "text",
    [
        " " * 50_000, "\n" * 50_000, "a " * 50_000, "/" * 50_000, "-" * 50_000, "(parameter=" * 9000,
        f"logit_bias contains key(s) {' ' * 50_000} (parameter=logit_bias",
    ],
)  # fmt: skip
def test_a_long_message_does_not_keep_the_event_loop(text: str) -> None:
    """vLLM quotes the client; /ping waits meanwhile."""
    began = time.process_time()
    assert len(message(text)) <= 1000
    assert time.process_time() - began < 0.5


@pytest.mark.parametrize(
    ("request_", "name"), [(CHAT, "max_tokens"), (NEWER, "max_completion_tokens"), (LORAX, "max_new_tokens")]
)
def test_the_limit_of_tokens_has_the_name_that_the_client_wrote(request_: Any, name: str) -> None:
    text = "max_tokens=600 cannot be greater than max_model_len=512. Please request fewer output tokens."
    assert message(text, request_) == (
        f"{name}=600 cannot be greater than the limit of prompt and answer=512. Please request fewer output tokens."
    )
