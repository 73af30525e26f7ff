"""Generation parameters that the gateway's schema of LoRAX has not, with what to write instead.

Callers of TGI (https://huggingface.co/docs/text-generation-inference, router `GenerateParameters`), of LMI
(https://docs.djl.ai/master/docs/serving/serving/docs/lmi/user_guides/lmi_input_output_schema.html) and of
transformers' pipelines (https://huggingface.co/docs/transformers, `GenerationConfig`) send them, in
`parameters` or beside `inputs`. A remedy names the whole path of a field, as the reader may be at either.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any

from container.gateway.schemas.known_keys import is_plain


@dataclass(frozen=True)
class OtherKey:
    """A key that the schema has not."""

    remedy: str
    """Instruction for a caller who sends another value than a neutral one."""
    neutral: tuple[Any, ...] | None = ()
    """Values that ask for what happens without the key, which are accepted; None: all plain ones."""

    def is_neutral(self, value: Any) -> bool:
        """Return whether a value asks for what happens without the key."""
        return is_plain(value) if self.neutral is None else value in self.neutral


_ONE_ANSWER = OtherKey("a request has one answer: send it once for each", (1,))
_MAX_NEW_TOKENS = OtherKey("write `parameters.max_new_tokens`")
_NO_BEAMS = "there is no beam search: leave it out"
OTHER_KEYS: Mapping[str, OtherKey] = MappingProxyType(
    {
        "add_special_tokens": OtherKey("the tokenizer always adds them: leave it out", (True,)),
        # LoRAX's own, for the Hub. Clients pass their environment's token, which may be empty.
        "api_token": OtherKey("adapters come from the adapter store: leave it out", ("",)),
        # LoRAX 0.12.1 reads this one and does nothing with it (router/src/validation.rs).
        "apply_chat_template": OtherKey(
            "`inputs` is sent to the model unchanged: send `messages` for the chat template", (False,)
        ),
        "early_stopping": OtherKey(_NO_BEAMS, (False,)),
        "grammar": OtherKey("send `messages` with `response_format`"),
        "include_stop_str_in_output": OtherKey(
            "a stop sequence stays in the text: send `prompt` for a text without it", (True,)
        ),
        "length_penalty": OtherKey(_NO_BEAMS, (1,)),
        "logprobs": OtherKey(
            "write `parameters.details`, which has the log probability of each token", (False,)
        ),
        "max_completion_tokens": _MAX_NEW_TOKENS,
        "max_length": OtherKey("write `parameters.max_new_tokens`, without the tokens of the prompt"),
        "max_tokens": _MAX_NEW_TOKENS,
        "min_p": OtherKey("it is not supported: write `parameters.top_p` or `parameters.top_k`", (0,)),
        "n": _ONE_ANSWER,
        "num_beams": OtherKey(_NO_BEAMS, (1,)),
        "num_return_sequences": _ONE_ANSWER,
        # LiteLLM 1.110.2 sends this setting of the client as a parameter; so it does in OpenAI's schema.
        "sagemaker_base_url": OtherKey("it is a setting of the client: leave it out", None),
        "skip_special_tokens": OtherKey("the text never has special tokens; `details` lists them", (True,)),
        "stop_sequences": OtherKey("write `parameters.stop`", ([],)),
        "top_n_tokens": OtherKey(
            "leave it out, or write `parameters.return_k_alternatives` if the engine is LoRAX", (0,)
        ),
        "use_cache": OtherKey("the engine decides: leave it out", None),
    }
)
