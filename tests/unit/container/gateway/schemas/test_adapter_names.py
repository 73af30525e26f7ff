import time

import pytest

from container.gateway.schemas.adapter_names import pairs_of, selects_adapter


@pytest.mark.parametrize(
    "name",
    [
        "adapter", "adapters", "adapter_id", "adapterId", "adapter-id", "AdapterID", "adaptor", "lora", "LoRA", "loraId",
        "useLora", "myLoRAId", "lora.name", "x-lora-id", "qlora", "peft_model_id", "model", "models", "model_id",
        "modelId", "model_name", "target-model", "TargetModel", "X-Amzn-SageMaker-Target-Model", "x-targetmodel",
        "tfs-model-name", "InferenceComponentName", "X-Amzn-SageMaker-Inference-Component",
        "X-Amzn-SageMaker-Adapter-Identifier",
    ],
)  # fmt: skip
def test_names_that_choose_an_adapter(name: str) -> None:
    assert selects_adapter(name)


@pytest.mark.parametrize(
    "name",
    [
        "X-Exploration-Id", "floral", "model_version", "model_kwargs", "modelling", "temperature", "trace", "request",
        "accept_eula", "Content-Type", "X-Amzn-SageMaker-Inference-Id", "X-Amzn-SageMaker-Session-Id",
        "X-Amzn-SageMaker-Target-Variant", "X-Amzn-SageMaker-Target-Container-Hostname",
        "X-Amzn-SageMaker-Custom-Attributes", "X-Amzn-Trace-Id", "User-Agent", "",
    ],
)  # fmt: skip
def test_names_that_do_not(name: str) -> None:
    assert not selects_adapter(name)


@pytest.mark.parametrize(
    ("attributes", "pairs"),
    [
        ("accept_eula=true", [("accept_eula", "true")]),
        ("adapter=otter@0123;request=order-66", [("adapter", "otter@0123"), ("request", "order-66")]),
        ("tfs-model-name=a,tfs-method=predict", [("tfs-model-name", "a"), ("tfs-method", "predict")]),
        ("trace: 1, adapter: otter", [("trace", "1"), ("adapter", "otter")]),
        ('{"a": {"adapter": "otter"}, "b": 1}', [("a", "adapter"), ("adapter", "otter"), ("b", "1")]),
        ("route=/v1/chat/completions&a=b", [("route", "/v1/chat/completions"), ("a", "b")]),
        ("{'a': None, 'b': 'None', 'c': 'x'}", [("a", ""), ("b", "None"), ("c", "x")]),
        ("lora[0]=a;lora[]=b;models[0][id]=c", [("lora.0", "a"), ("lora", "b"), ("models.0.id", "c")]),
        ("a%3D%22b%22", [("a", "b")]),
        ("a = = b", [("a", ""), ("a", "b")]),
        ("= a", []),
        ("7f3a", []),
        ("", []),
    ],
)
def test_pairs_of_custom_attributes(attributes: str, pairs: list[tuple[str, str]]) -> None:
    assert list(pairs_of(attributes)) == pairs


@pytest.mark.parametrize(
    "attributes",
    ["a" * 8000, "a." * 4000, '"' * 8000, "a" + " " * 8000, "a=" * 4000, "a[" * 4000, "=" * 8000, "a[]" * 2700,
     "%3D" * 2700, "\\" * 8000, "a=[" + " '" * 4000]
)  # fmt: skip
def test_the_longest_attributes_are_read_in_time(attributes: str) -> None:
    """Within a header's maximum, 8190 bytes: the event loop waits meanwhile. 1,024 are SageMaker's."""
    for length, seconds in ((1024, 0.1), (8190, 0.5)):
        taken = []
        # Of several, since a garbage collection in a test process takes as long.
        for _ in range(3):
            began = time.process_time()
            list(pairs_of(attributes[:length]))
            taken.append(time.process_time() - began)
        assert min(taken) < seconds
