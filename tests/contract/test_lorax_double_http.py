"""The LoRAX double's HTTP interface: the shapes and texts of LoRAX 0.12.1's source."""

import os
import random
from collections.abc import Iterator
from typing import Any

import pytest

from samples import problems
from tests.contract.lorax_double.sample_answers import parse_problem
from tests.contract.lorax_double.tokens import tokenize
from tests.contract.lorax_process import MODEL_ID, LoraxProcess
from tests.harness.http_client import JSON, Client

TOTAL_TOKENS = 300
HI = {"inputs": "hi", "parameters": {"max_new_tokens": 2}}


@pytest.fixture(scope="module")
def lorax(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LoraxProcess]:
    limits = {"MAX_INPUT_LENGTH": "100", "MAX_TOTAL_TOKENS": str(TOTAL_TOKENS)}
    environment = (
        dict(os.environ) | limits | {"MODEL_ID": MODEL_ID, "LORAX_DOUBLE_KEEP_ALIVE_SECONDS": "0.05"}
    )
    with LoraxProcess(environment, tmp_path_factory.mktemp("lorax")) as running:
        yield running


@pytest.fixture
def client(lorax: LoraxProcess) -> Client:
    return lorax.client


@pytest.mark.parametrize("path", ["/", "/invocations"])
def test_invocations_answers_a_list_of_one(client: Client, path: str) -> None:
    answer = client.post(path, HI)
    assert (answer.status, answer.body) == (200, b'[{"generated_text":"Let us"}]')


def test_generate_answers_the_object(client: Client) -> None:
    assert client.post("/generate", HI).body == b'{"generated_text":"Let us"}'


def test_details_have_the_keys_in_this_order(client: Client) -> None:
    details = client.generate("hi", max_new_tokens=2, details=True).json["details"]
    assert (
        " ".join(details) == "finish_reason prompt_tokens generated_tokens skipped_tokens seed prefill tokens"
    )
    assert " ".join(details["tokens"][0]) == "id text logprob special skipped"
    assert (details["finish_reason"], details["seed"], details["prefill"]) == ("length", None, [])
    assert (details["prompt_tokens"], details["generated_tokens"]) == (2, 2)


def test_prompts_tokens_come_on_demand_and_the_first_has_no_probability(client: Client) -> None:
    details = client.generate("hi", max_new_tokens=1, decoder_input_details=True).json["details"]
    assert [(each["text"], each["logprob"]) for each in details["prefill"]] == [("<s>", None), ("hi", -0.125)]


def test_a_seed_is_returned_only_if_tokens_are_sampled(client: Client) -> None:
    def seed(**parameters: Any) -> Any:
        return client.generate("hi", max_new_tokens=1, details=True, **parameters).json["details"]["seed"]

    assert seed(seed=7) is None
    assert seed(seed=7, do_sample=True) == seed(seed=7, temperature=0.5) == 7
    assert isinstance(seed(top_k=3), int)


def test_the_best_of_two_has_the_other_in_its_details(client: Client) -> None:
    answer = client.generate("hi", max_new_tokens=1, details=True, best_of=2, do_sample=True).json
    (other,) = answer["details"]["best_of_sequences"]
    assert " ".join(other) == "generated_text finish_reason generated_tokens seed prefill tokens"


def test_headers_have_tokens_and_times(client: Client) -> None:
    headers = client.post("/invocations", HI).headers
    counts = {name: headers[f"x-{name}-tokens"] for name in ("prompt", "generated", "skipped", "total")}
    assert counts == {"prompt": "2", "generated": "2", "skipped": "0", "total": "4"}
    assert headers["x-model-id"] == MODEL_ID
    assert "x-adapter-id" not in headers
    for name in ("compute", "total", "validation", "queue", "inference"):
        assert headers[f"x-{name}-time"].isdecimal()


def test_a_stream_has_one_event_per_token_and_the_text_in_the_last(client: Client) -> None:
    answer = client.generate("hi", path="/generate_stream", max_new_tokens=2, details=True)
    first, last = answer.events
    assert answer.headers["content-type"] == "text/event-stream"
    assert answer.headers["x-model-id"] == MODEL_ID
    assert "x-prompt-tokens" not in answer.headers
    assert (first["token"]["text"], first["generated_text"], first["details"]) == ("Let", None, None)
    assert last["generated_text"] == "Let us"
    assert last["details"] == {
        "finish_reason": "length",
        "prompt_tokens": 2,
        "generated_tokens": 2,
        "seed": None,
    }


def test_a_silent_stream_has_comments(client: Client) -> None:
    answer = client.generate("[[slow]]", path="/generate_stream", max_new_tokens=1)
    assert answer.body.startswith(b":\n\n")
    assert len(answer.events) == 1


@pytest.mark.parametrize("path", ["/generate_stream", "/invocations"])
def test_an_error_in_a_stream_is_an_event_after_200(client: Client, path: str) -> None:
    answer = client.post(path, {"inputs": "", "stream": True})
    assert answer.error == (200, "validation", "Input validation error: `inputs` cannot be empty")
    assert len(answer.events) == 1


@pytest.mark.parametrize(
    ("body", "headers", "status", "text"),
    [
        (b"{}", {}, 415, "Expected request with `Content-Type: application/json`"),
        (b"{", JSON, 400, "Failed to parse the request body as JSON: "),
        (b'{"inputs": NaN}', JSON, 400, "Failed to parse the request body as JSON: "),
        (b'{"inputs": "\\ud800"}', JSON, 400, "Failed to parse the request body as JSON: "),
        (b"{}", JSON, 422, "missing field `inputs`"),
        (b'{"inputs": ["a"]}', JSON, 422, "inputs: invalid type: sequence, expected a string"),
        (b'{"inputs": "a", "parameters": {"stop": "x"}}', JSON, 422, "parameters.stop: invalid type: string"),
        (
            b'{"inputs": "a", "parameters": {"max_new_tokens": -1}}',
            JSON,
            422,
            "parameters.max_new_tokens: invalid value: integer `-1`, expected u32",
        ),
        (b'{"inputs": "' + b"a" * 2**21 + b'"}', JSON, 413, "length limit exceeded"),
    ],
    ids=["415", "400", "NaN", "surrogate", "missing", "list", "stop", "negative", "413"],
)
@pytest.mark.parametrize("path", ["/generate", "/generate_stream"])
def test_what_is_refused_before_lorax_is_plain_text(
    client: Client, path: str, body: bytes, headers: dict[str, str], status: int, text: str
) -> None:
    answer = client.request("POST", path, body, headers)
    assert (answer.status, answer.headers["content-type"]) == (status, "text/plain; charset=utf-8")
    assert text in answer.body.decode()


@pytest.mark.parametrize(
    ("parameters", "text"),
    [
        ({"max_new_tokens": 0}, "`max_new_tokens` must be strictly positive"),
        ({"temperature": -1}, "`temperature` must be non-negative"),
        ({"repetition_penalty": 0}, "`repetition_penalty` must be strictly positive"),
        ({"frequency_penalty": 3}, "`frequency_penalty` must be >= -2.0 and <= 2.0"),
        ({"top_p": 0}, "`top_p` must be > 0.0 and < 1.0"),
        ({"typical_p": 1}, "`typical_p` must be > 0.0 and < 1.0"),
        ({"top_k": 0}, "`top_k` must be strictly positive"),
        ({"stop": list("abcde")}, "`stop` supports up to 4 stop sequences. Given: 5"),
        ({"best_of": 2}, "you must use sampling when `best_of` is > 1"),
        ({"best_of": 3, "do_sample": True}, "`best_of` must be > 0 and <= 2. Given: 3"),
        ({"best_of": 2, "do_sample": True, "seed": 1}, "`seed` must not be set when `best_of` > 1"),
        ({"truncate": 101}, "`truncate` must be strictly positive and less than 100. Given: 101"),
        (
            {"max_new_tokens": 299},
            "`inputs` tokens + `max_new_tokens` must be <= 300. Given: 2 `inputs` tokens and 299 `max_new_tokens`",
        ),
        (
            {"adapter_id": "x/y/", "merged_adapters": {"ids": ["a"], "weights": [1]}},
            "at most one of `adapter_id` or `adapters` may be provided",
        ),
        (
            {"merged_adapters": {"ids": ["a", "b"], "weights": [1]}},
            "number of adapter IDs must match number of adapter weights",
        ),
    ],
    ids=lambda each: next(iter(each)) if isinstance(each, dict) else "",
)
def test_rules_have_lorax_texts(client: Client, parameters: dict[str, Any], text: str) -> None:
    assert client.generate("hi", **parameters).error == (422, "validation", f"Input validation error: {text}")


def test_a_prompt_that_is_too_long_is_refused_whatever_truncate_says(client: Client) -> None:
    status, _, text = client.generate("a " * 120, truncate=5, max_new_tokens=1).error
    assert status == 422
    assert "`inputs` must have less than 100 tokens. Given: " in text


def test_truncate_leaves_the_end_of_the_prompt(client: Client) -> None:
    answer = client.generate("one two three", truncate=2, max_new_tokens=1, decoder_input_details=True)
    assert [each["text"] for each in answer.json["details"]["prefill"]] == [" two", " three"]
    assert answer.headers["x-prompt-tokens"] == "2"


def test_without_max_new_tokens_it_generates_all_that_fits(client: Client) -> None:
    details = client.generate("hi", details=True).json["details"]
    assert (details["finish_reason"], details["generated_tokens"]) == ("length", TOTAL_TOKENS - 2)


def test_a_stop_sequence_stays_in_the_text(client: Client) -> None:
    answer = client.generate("hi", stop=["about"], details=True).json
    assert answer["generated_text"] == "Let us think about"
    assert answer["details"]["finish_reason"] == "stop_sequence"


def test_the_length_comes_before_a_stop_sequence_at_the_same_token(client: Client) -> None:
    answer = client.generate("hi", stop=["about"], max_new_tokens=4, details=True).json
    assert answer["details"]["finish_reason"] == "length"


def test_return_full_text_puts_the_prompt_before(client: Client) -> None:
    for path in ("/generate", "/generate_stream"):
        assert client.generate("hi ", path=path, return_full_text=True, max_new_tokens=1).text == "hi Let"


def test_unknown_fields_are_ignored(client: Client) -> None:
    body = HI | {"tools": 1, "parameters": HI["parameters"] | {"apply_chat_template": True, "what": None}}  # type: ignore[operator]
    assert client.post("/generate", body).status == 200


def test_base_models_end_mark_is_a_special_token_that_is_not_in_text(client: Client) -> None:
    prompt = problems.SEED_PROBLEM.prompt
    answer = client.generate(prompt, max_new_tokens=200, details=True).json
    assert answer["generated_text"] == problems.base_answer(problems.SEED_PROBLEM)
    assert answer["details"]["generated_tokens"] > 64
    last = answer["details"]["tokens"][-1]
    assert (last["id"], last["text"], last["special"]) == (2, "</s>", True)
    on = client.generate(prompt, max_new_tokens=200, details=True, ignore_eos_token=True).json
    assert (on["details"]["finish_reason"], on["details"]["generated_tokens"]) == ("length", 200)


def test_tokenize_returns_ids_texts_and_offsets(client: Client) -> None:
    assert client.post("/tokenize", {"inputs": "hi 1", "add_special_tokens": False}).json == [
        {"id": 19375, "text": "hi", "start": 0, "stop": 2},
        {"id": 874, "text": " 1", "start": 2, "stop": 4},
    ]
    assert len(client.post("/tokenize", {"inputs": "hi 1"}).json) == 3


def test_info_and_metrics(client: Client) -> None:
    client.post("/generate", HI)
    assert client.get("/info").json["model_id"] == MODEL_ID
    assert "\nlorax_request_success " in client.get("/metrics").body.decode()


@pytest.mark.parametrize("path", ["/", "/health", "/ping"])
def test_a_health_check_is_200_without_a_body(client: Client, path: str) -> None:
    answer = client.get(path)
    assert (answer.status, answer.body) == (200, b"")


class TestOpenAi:
    def test_a_completion_names_no_model(self, client: Client) -> None:
        answer = client.post("/v1/completions", {"model": "", "prompt": "hi", "max_tokens": 2}).json
        assert answer == {
            "id": "null",
            "object": "text_completion",
            "created": 0,
            "model": "null",
            "choices": [{"index": 0, "text": "Let us", "logprobs": None, "finish_reason": "length"}],
            "usage": {"prompt_tokens": 2, "total_tokens": 4, "completion_tokens": 2},
        }

    def test_a_chat_answer_is_a_text_completion_of_the_base_model(self, client: Client) -> None:
        answer = self.chat(client, model=MODEL_ID, max_tokens=2).json
        message = {"role": "assistant", "content": "Let us"}
        assert (answer["id"], answer["object"], answer["model"]) == ("null", "text_completion", MODEL_ID)
        assert answer["choices"] == [{"index": 0, "message": message, "finish_reason": "length"}]

    def test_a_stop_string_is_a_content_filter(self, client: Client) -> None:
        assert self.chat(client, stop=["us"]).json["choices"][0]["finish_reason"] == "content_filter"

    def test_stop_must_be_an_array(self, client: Client) -> None:
        assert (self.chat(client, stop="us").status, self.chat(client, stop=None).status) == (422, 422)

    def test_chat_chunks_have_a_role_each_and_usage_in_the_last(self, client: Client) -> None:
        answer = self.chat(client, stream=True, max_tokens=2)
        first, last = answer.events
        assert first["choices"][0]["delta"] == {"role": "assistant", "content": "Let"}
        assert (first["created"], first["model"], "usage" in first) == (0, "null", False)
        assert last["usage"]["completion_tokens"] == 2
        assert answer.body.endswith(b"data: [DONE]\n\n")

    def test_the_end_marks_chunk_has_an_empty_delta(self, client: Client) -> None:
        content = problems.SEED_PROBLEM.question
        answer = self.chat(client, content, stream=True, max_tokens=200)
        assert answer.events[-1]["choices"][0] == {"index": 0, "delta": {}, "finish_reason": "stop"}

    def test_completion_chunks_have_usage_each(self, client: Client) -> None:
        body = {"model": "", "prompt": "hi", "max_tokens": 2, "stream": True}
        first, last = client.post("/v1/completions", body).events
        assert first["usage"] == {"prompt_tokens": 0, "total_tokens": 0, "completion_tokens": 0}
        assert last["usage"]["total_tokens"] == 4

    def test_an_error_in_a_stream_has_no_end_mark(self, client: Client) -> None:
        answer = self.chat(client, stream=True, temperature=-1)
        assert answer.error[:2] == (200, "validation")
        assert b"[DONE]" not in answer.body

    def test_chat_samples_unless_the_temperature_is_0(self, client: Client) -> None:
        assert self.chat(client, n=2, max_tokens=1).status == 200
        assert self.chat(client, n=2, max_tokens=1, temperature=0).error[0] == 422

    def test_completions_sample_only_with_n(self, client: Client) -> None:
        body = {"model": "", "prompt": "hi", "max_tokens": 1, "best_of": 2}
        assert client.post("/v1/completions", body).error[0] == 422
        assert client.post("/v1/completions", body | {"n": 1}).status == 200

    def test_logprobs_cannot_be_streamed(self, client: Client) -> None:
        body = {"model": "", "prompt": "hi", "stream": True, "logprobs": 1}
        assert client.post("/v1/completions", body).error[:2] == (200, "validation")

    def test_a_role_that_the_template_does_not_know(self, client: Client) -> None:
        body = {"model": "", "messages": [{"role": "system", "content": "x"}], "stream": True}
        assert client.post("/v1/chat/completions", body).error[:2] == (422, "template_error")

    def test_a_negative_max_tokens_is_a_huge_one(self, client: Client) -> None:
        assert "4294967295 `max_new_tokens`" in self.chat(client, max_tokens=-1).error[2]

    @staticmethod
    def chat(client: Client, content: str = "hi", **fields: Any) -> Any:
        body = {"model": "", "messages": [{"role": "user", "content": content}]} | fields
        return client.post("/v1/chat/completions", body)


def test_every_word_problem_is_understood() -> None:
    rng = random.Random(1)
    for _ in range(500):
        problem = problems.random_problem(rng)
        assert parse_problem(f"Some words. {problem.prompt}") == problem
    assert parse_problem("Natalia sold clips.") is None


def test_tokens_leave_no_character_out() -> None:
    text = 'Größe_1: "42"\n\t— 𝔸 </s>\u200d'
    assert "".join(token.text for token in tokenize(text, add_special_tokens=False)) == text
