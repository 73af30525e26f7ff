"""Mapping of vLLM's errors to the gateway's."""

from __future__ import annotations

import re
from http import HTTPStatus

from container.gateway.engine.http_client import EngineAnswer
from container.gateway.errors import ADAPTER_INCOMPATIBLE, ADAPTER_LOAD_FAILED, GatewayError, adapter_error
from container.gateway.schemas.openai import ChatRequest, Request
from container.vllm.flags import FLAGS

#: vLLM's statuses for an invalid request.
_REFUSED = (HTTPStatus.BAD_REQUEST, HTTPStatus.UNPROCESSABLE_ENTITY)
#: Characters of a message that are read: it may quote the client, and the event loop waits meanwhile.
_MAX_READ = 1000
#: Names in sentences for who starts vLLM: its variables and its length; a flag counts if vLLM has it.
_OF_THE_SERVER = re.compile(r"\bVLLM_[A-Z]|`max_model_len`")
_FLAG = re.compile(r"(?<![\w-])--(?:no-)?([a-z][a-z-]*)")
#: The beginning of the end of a message that repeats the name of the field, and its value.
_SUFFIX = "(parameter="
#: The beginning of a message of vLLM's own request types.
_PYDANTIC = re.compile(r"\d+ validation errors?:")
_OF_A_TYPE = "the engine does not take this value: send one of docs/requests.md"
_UNNAMED = "the engine refused the request: send fields and values of docs/requests.md alone"
_SENTENCE = re.compile(r"(?<=[.!?])\s+|\n+")


def refusal(answer: EngineAnswer, adapter: str | None, request: Request) -> GatewayError:
    """Return the gateway's error for an answer of vLLM that has an error's status."""
    problem = answer.json.get("error")
    problem = problem if isinstance(problem, dict) else {}
    message, field = str(problem.get("message", "")), str(problem.get("param") or "")
    # The exact message: other messages of vLLM may quote the client.
    if adapter and message.startswith(f"LoRA adapter '{adapter}' was found but could not be loaded"):
        return adapter_error(
            ADAPTER_INCOMPATIBLE, "vLLM cannot load the adapter; the endpoint's log has the reason"
        )
    # The gateway only requests registered adapters, so vLLM's "does not exist" means that the download failed
    # or the adapter does not match its digest.
    if adapter and answer.status == HTTPStatus.NOT_FOUND:
        return adapter_error(
            ADAPTER_LOAD_FAILED, "The adapter could not be loaded; the endpoint's log has the reason"
        )
    if answer.status in _REFUSED:
        return GatewayError.validation(_for_client(message, field, request))
    if answer.status == HTTPStatus.SERVICE_UNAVAILABLE:
        return GatewayError.unreachable()
    return GatewayError.generation()


def check_tools(request: ChatRequest, tool_call_parser: str | None) -> None:
    """Raise `GatewayError` 422 for tools that may be called, without a parser of the model's tool calls.

    vLLM 0.32.0 needs one for each `tool_choice` but "none" (renderers/online_renderer.py, `render_chat`), and
    where it does not ask for one, with a tokenizer of Mistral's or a model of OpenAI's, the calls stay in the
    text.
    """
    if request.may_call_tools and tool_call_parser is None:
        raise GatewayError.validation(
            "`tools`: this endpoint has no tool-call parser: leave `tools` and `tool_choice` out, "
            'send `tool_choice: "none"`, or set engine.tool_call_parser in the endpoint\'s stage file'
        )


def _for_client(message: str, field: str, request: Request) -> str:
    """Return vLLM's message in the names of the client's schema, without what is for who starts vLLM.

    `field` is the one that vLLM names beside the message; "" for none.
    """
    message = message[:_MAX_READ]
    if _PYDANTIC.match(message):
        # It has an error for each branch of vLLM's types, and quotes the values.
        return f"`{field}`: {_OF_A_TYPE}" if field else _UNNAMED
    sentences = _SENTENCE.split(message.partition(_SUFFIX)[0].rstrip())
    text = " ".join(each for each in sentences if not _is_of_the_server(each))
    text = text.replace("max_model_len", "the limit of prompt and answer")
    if request.tokens_field not in text:
        text = re.sub(r"\bmax_tokens\b", request.tokens_field, text)
    return text or _UNNAMED


def _is_of_the_server(sentence: str) -> bool:
    flags = (match[1] for match in _FLAG.finditer(sentence))
    return _OF_THE_SERVER.search(sentence) is not None or any(flag in FLAGS.flags for flag in flags)
