"""Bodies of requests: they are what the gateway's own reader accepts."""

import json
from copy import deepcopy
from dataclasses import replace

import numpy as np
import pytest

from container.gateway.schemas.lorax import GenerateRequest, read_generate_request
from loraserve.load.prompts import LoadPrompt
from loraserve.load.requests import LoadRequests
from tests.unit.loraserve.load.made import workload

ASKED = ["otter", None, "team/1"]


def read(body: bytes) -> GenerateRequest:
    return read_generate_request(json.loads(body), base_model="base", max_new_tokens=4096)


def test_the_gateway_reads_adapter_length_and_stream() -> None:
    bodies = LoadRequests(workload=workload(ASKED, output_tokens=7), stream=True, ignore_eos=True)
    for index, name in enumerate(ASKED):
        request = read(bodies(index))
        assert (request.adapter, request.stream) == (name, True)
        assert request.new_tokens(1) == 7
        assert request.parameters.ignore_eos_token
        assert not request.parameters.samples


def test_the_gateway_reads_a_body_that_begins_with_the_adapter() -> None:
    plain = LoadRequests(workload=workload(ASKED))
    affine = replace(plain, adapter_affine=True)
    for index in range(len(ASKED)):
        assert read(affine(index)) == read(plain(index))
    assert affine(0).startswith(b'{"parameters": {"adapter_id": "otter"   ')


def test_a_random_prompt_has_the_workloads_number_of_words_and_no_shared_beginning() -> None:
    count = 40
    asked = replace(workload([None] * count), input_tokens=np.full(count, 200, dtype=np.int32))
    texts = [read(LoadRequests(workload=asked)(index)).inputs.split() for index in range(count)]
    assert {len(words) for words in texts} == {200}
    assert len({tuple(words[:16]) for words in texts}) == count


def test_the_same_seed_makes_the_same_bytes() -> None:
    bodies = LoadRequests(workload=workload(ASKED), seed=5)
    copy = deepcopy(bodies)
    assert [bodies(index) for index in range(3)] == [copy(index) for index in range(3)]
    assert bodies(0) != LoadRequests(workload=workload(ASKED), seed=6)(0)


def test_a_prompt_may_limit_its_answer() -> None:
    prompts = [LoadPrompt(text="Wie viele?", adapter="otter", output_tokens=3)]
    request = read(LoadRequests(workload=workload(["otter"]), prompts=prompts)(0))
    assert (request.inputs, request.new_tokens(1)) == ("Wie viele?", 3)


@pytest.mark.parametrize("stream", [True, False])
def test_a_payload_keeps_its_fields_but_for_stream_and_usage(stream: bool) -> None:
    payload = {
        "model": "otter",
        "messages": [{"role": "user", "content": "?"}],
        "top_k": 3,
        "stream": not stream,
    }
    bodies = LoadRequests(
        workload=workload(["otter"]), prompts=[LoadPrompt(payload=payload, adapter="otter")], stream=stream
    )
    sent = json.loads(bodies(0))
    usage = {"stream_options": {"include_usage": True}} if stream else {}
    assert sent == payload | {"stream": stream} | usage
    assert "stream_options" not in payload
