"""Hugging Face's `InferenceClient`, the client of TGI: its requests are LoRAX's, with TGI's parameters."""

import pytest
from huggingface_hub import InferenceClient
from huggingface_hub.errors import ValidationError

from tests.contract.recorded_gateway import RecordedGateway


@pytest.fixture
def client(tested: RecordedGateway) -> InferenceClient:
    return InferenceClient(f"http://127.0.0.1:{tested.client.port}/invocations")


@pytest.mark.parametrize("adapter", [None, "otter"])
def test_a_text_whole_and_streamed(
    tested: RecordedGateway, client: InferenceClient, adapter: str | None
) -> None:
    assert client.text_generation("Q", adapter_id=adapter, max_new_tokens=3) == "C hi"
    details = client.text_generation("Q", adapter_id=adapter, max_new_tokens=3, details=True, stop=["x"])
    assert (details.generated_text, details.details.generated_tokens) == ("C hi", 3)
    assert list(client.text_generation("Q", adapter_id=adapter, stream=True)) == ["C", " hi", "</s>"]
    prefix = "adapters/otter/" if adapter else "tiny-mistral"
    assert all(asked["model"].startswith(prefix) for asked in tested.engine.asked[-3:])


def test_what_it_can_ask_for_and_no_engine_here_has_is_its_own_error(client: InferenceClient) -> None:
    with pytest.raises(ValidationError, match=r"`parameters.top_n_tokens`: leave it out"):
        client.text_generation("Q", adapter_id="otter", top_n_tokens=2)
