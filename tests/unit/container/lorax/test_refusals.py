"""LoRAX's errors, in the client's names and without the model's answer."""

import pytest

from container.gateway.schemas.parsing import Reader
from container.lorax.refusals import refusal

READER = Reader(base_model="base", max_new_tokens=1000)
CHAT = {"messages": [{"role": "user", "content": "hi"}]}


@pytest.mark.parametrize(
    "said",
    [
        # router/src/server.rs, chat_completions_v1
        'Failed to parse generated text: EOF while parsing a string "{\\"to\\": \\"secret@example.com"',
        "No function found in generated text",
        "No _name found in generated text",
        "No `content` found in generated text",
    ],
)
@pytest.mark.parametrize("field", ["max_tokens", "max_completion_tokens"])
def test_a_tool_call_that_is_cut_off_is_not_quoted(said: str, field: str) -> None:
    body = {"error": f"Tool error: {said}", "error_type": "tool_error"}
    error = refusal(422, body, READER.any(CHAT | {field: 9}))
    assert (error.status, error.error_type) == (422, "tool_error")
    assert error.message == f"Tool error: `{field}`: the limit cut the tool call off: ask for more"


def test_another_error_of_tools_is_passed_on() -> None:
    said = "Tool error: Tool with name sub not found"
    assert refusal(422, {"error": said, "error_type": "tool_error"}, READER.any(CHAT)).message == said
