"""Estimate of the tokens that a request will take, before the engine has counted them."""

from __future__ import annotations

from container.gateway.schemas.lorax import GenerateRequest
from container.gateway.schemas.openai import ChatRequest, Request, TextRequest

#: Characters of a token in English text (https://help.openai.com/en/articles/4936856). Text with fewer of
#: them costs less until its answer has ended: then the engine's count replaces the estimate.
CHARACTERS_PER_TOKEN = 4


def estimated_tokens(request: Request, default_new_tokens: int) -> int:
    """Return the tokens of the prompt, by its length, plus the maximum of those to generate."""
    choices = 1
    characters = 0
    if isinstance(request, GenerateRequest):
        choices, characters = request.parameters.best_of or 1, len(request.inputs)
    elif isinstance(request, ChatRequest):
        choices, characters = request.n or 1, sum(len(message.text) for message in request.messages)
    elif isinstance(request, TextRequest):
        choices, characters = request.n or 1, len(request.prompt)
    return 1 + characters // CHARACTERS_PER_TOKEN + choices * request.new_tokens(default_new_tokens)
