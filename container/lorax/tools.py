"""OpenAI's tools in LoRAX's terms (0.12.1: router/src/lib.rs, server.rs, tool_grammar.rs), and back.

LoRAX has the model write a call as JSON text, `{"function": {"_name": "add", "a": 1}}`, and answers with one
call at most. Of a message it reads role and content alone.
"""

from __future__ import annotations

import json
import uuid

from container.gateway.errors import GatewayError
from container.gateway.schemas.chat import Message, NamedTool, ToolCall
from container.gateway.schemas.openai import ChatRequest, Json
from container.lorax.text import asks_for_format


def tool_fields(request: ChatRequest) -> Json:
    """Return LoRAX's `tools` and `tool_choice`; raise `GatewayError` 422 for a choice that it cannot make.

    LoRAX refuses tools beside a response format, for the choice "none" as well (server.rs,
    `prepare_chat_input`).
    """
    if not request.tools:
        return {}
    if asks_for_format(request):
        if request.may_call_tools:
            raise GatewayError.validation(
                "`response_format`: is not supported with `tools` by this endpoint's engine, LoRAX: leave it "
                'out, or send `tool_choice: "none"`'
            )
        return {}
    tools = [tool.model_dump(exclude_none=True) for tool in request.tools]
    for tool in tools:
        # Without them LoRAX cannot read the request.
        tool["function"].setdefault("parameters", {})
    choice = request.tool_choice
    if choice == "required":
        if len(tools) > 1:
            raise GatewayError.validation(
                '`tool_choice`: "required" among several tools is not supported by this endpoint\'s engine, '
                "LoRAX: name one of them"
            )
        return {"tools": tools, "tool_choice": _named(tools[0]["function"]["name"])}
    if isinstance(choice, NamedTool):
        return {"tools": tools, "tool_choice": _named(choice.function.name)}
    return {"tools": tools} if choice is None else {"tools": tools, "tool_choice": choice}


def message_body(message: Message) -> Json:
    """Return LoRAX's message, which has tool calls as the text that the model wrote."""
    body = message.model_dump(exclude_none=True, include={"role", "content", "name"})
    if message.tool_calls:
        body["content"] = "\n".join(filter(None, (message.text, *map(_written, message.tool_calls))))
    return body


def tool_call(call: Json) -> Json:
    """Translate a call of LoRAX's answer; LoRAX gives all the same id, and a null description."""
    try:
        name, arguments = call["function"]["name"], call["function"]["arguments"]
    except (KeyError, TypeError):
        raise GatewayError.generation() from None
    function = {"name": name, "arguments": arguments}
    return {"id": f"call-{uuid.uuid4().hex}", "type": "function", "function": function}


def _named(name: str) -> Json:
    # As a text, LoRAX would take a function called "none" for no function.
    return {"Function": {"name": name}}


def _written(call: ToolCall) -> str:
    return json.dumps({"function": {"_name": call.function.name, **call.function.values}}, ensure_ascii=False)
