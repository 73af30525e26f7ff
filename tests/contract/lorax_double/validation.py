"""Port of router/src/validation.rs: rules, their order, and their texts."""

from dataclasses import dataclass
from typing import Any

from tests.contract.lorax_double.errors import InferError
from tests.contract.lorax_double.options import Options
from tests.contract.lorax_double.schema import GenerateParameters, GenerateRequest
from tests.contract.lorax_double.tokens import Token, tokenize


@dataclass(frozen=True)
class ValidGenerateRequest:
    """A request as the shard gets it."""

    inputs: str
    prompt: list[Token]
    prefill_logprobs: bool
    max_new_tokens: int
    stop_sequences: tuple[str, ...]
    ignore_eos_token: bool
    seed: int | None
    samples: bool
    return_k_alternatives: int
    schema: Any


def validate(request: GenerateRequest, options: Options, random_seed: int) -> ValidGenerateRequest:
    """Raises `InferError` with the first rule that is broken."""
    asked = request.parameters
    _check_adapters(asked)
    _check_sampling(asked)
    if asked.max_new_tokens == 0:
        raise InferError.validation("`max_new_tokens` must be strictly positive")
    if len(asked.stop) > options.max_stop_sequences:
        counts = f"{options.max_stop_sequences} stop sequences. Given: {len(asked.stop)}"
        raise InferError.validation(f"`stop` supports up to {counts}")
    if asked.seed is not None and (asked.best_of or 1) > 1:
        raise InferError.validation("`seed` must not be set when `best_of` > 1")
    if not request.inputs:
        raise InferError.validation("`inputs` cannot be empty")
    if asked.truncate is not None and not 0 < asked.truncate <= options.max_input_length:
        limits = f"less than {options.max_input_length}. Given: {asked.truncate}"
        raise InferError.validation(f"`truncate` must be strictly positive and {limits}")
    prompt = tokenize(request.inputs, add_special_tokens=request.add_special_tokens)
    _check_length(len(prompt), asked.max_new_tokens, options)
    new_tokens = asked.max_new_tokens
    return ValidGenerateRequest(
        inputs=request.inputs,
        # Counted in full above: truncating is the shard's work (models/flash_causal_lm.py).
        prompt=prompt[-(asked.truncate or options.max_input_length) :],
        prefill_logprobs=asked.decoder_input_details,
        max_new_tokens=options.max_total_tokens - len(prompt) if new_tokens is None else new_tokens,
        stop_sequences=tuple(asked.stop),
        ignore_eos_token=asked.ignore_eos_token,
        seed=random_seed if asked.seed is None else asked.seed,
        samples=_samples(asked),
        return_k_alternatives=asked.return_k_alternatives or 0,
        schema=asked.response_format,
    )


def validate_best_of(best_of: int, options: Options) -> int:
    """Before a permit is taken; raises `InferError`."""
    if best_of > options.max_best_of:
        raise InferError.validation(f"`best_of` must be > 0 and <= {options.max_best_of}. Given: {best_of}")
    return best_of


def _check_adapters(asked: GenerateParameters) -> None:
    merged = asked.merged_adapters
    if merged is None:
        return
    if asked.adapter_id is not None:
        raise InferError.validation("at most one of `adapter_id` or `adapters` may be provided")
    if not merged.ids:
        raise InferError.validation("at least one adapter ID must be provided when setting `adapters`")
    if len(merged.ids) != len(merged.weights):
        raise InferError.validation("number of adapter IDs must match number of adapter weights")


def _check_sampling(asked: GenerateParameters) -> None:
    given = (asked.temperature, asked.top_k, asked.top_p, asked.typical_p)
    sampling = asked.do_sample or any(value is not None for value in given)
    rules = (
        ((asked.best_of or 1) > 1 and not sampling, "you must use sampling when `best_of` is > 1"),
        (_or(asked.temperature, 1) < 0, "`temperature` must be non-negative"),
        (_or(asked.repetition_penalty, 1) <= 0, "`repetition_penalty` must be strictly positive"),
        (abs(_or(asked.frequency_penalty, 0)) > 2, "`frequency_penalty` must be >= -2.0 and <= 2.0"),
        (abs(_or(asked.presence_penalty, 0)) > 2, "`presence_penalty` must be >= -2.0 and <= 2.0"),
        (not 0 < _or(asked.top_p, 1) <= 1, "`top_p` must be > 0.0 and < 1.0"),
        (not 0 < _or(asked.typical_p, 0.5) < 1, "`typical_p` must be > 0.0 and < 1.0"),
        (_or(asked.top_k, 1) <= 0, "`top_k` must be strictly positive"),
        (_or(asked.return_k_alternatives, 1) <= 0, "`return_k_alternatives` must be strictly positive"),
    )
    for broken, text in rules:
        if broken:
            raise InferError.validation(text)


def _check_length(prompt: int, new_tokens: int | None, options: Options) -> None:
    if new_tokens is not None and prompt + new_tokens > options.max_total_tokens:
        given = f"{prompt} `inputs` tokens and {new_tokens} `max_new_tokens`"
        limit = options.max_total_tokens
        raise InferError.validation(f"`inputs` tokens + `max_new_tokens` must be <= {limit}. Given: {given}")
    if prompt > options.max_input_length:
        raise InferError.validation(
            f"`inputs` must have less than {options.max_input_length} tokens. Given: {prompt}"
        )


def _samples(asked: GenerateParameters) -> bool:
    # HeterogeneousNextTokenChooser (utils/tokens.py): do_sample counts at temperature 0, too.
    return (
        asked.do_sample
        or asked.temperature not in (None, 0, 1)
        or asked.top_k is not None
        or _or(asked.top_p, 1) < 1
        or asked.typical_p is not None
    )


def _or(value: float | None, default: float) -> float:
    return default if value is None else value
