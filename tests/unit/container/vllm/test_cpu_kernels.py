"""Tokens of the base model in a step with adapters' tokens, all slots used: vLLM's operations, and ours."""

from typing import Any

import pytest

HIDDEN, RANK, SLOTS = 8, 2, 3


@pytest.fixture(scope="module")
def vllm() -> Any:
    """The module of our operations. Each worker collects this file, and vLLM takes 17 s to import."""
    pytest.importorskip("vllm", reason="vLLM is not installed")
    from container.vllm import cpu_kernels  # noqa: PLC0415 — see above

    return cpu_kernels


@pytest.fixture(params=[True, False], ids=["prefill", "decode"])
def step(request: pytest.FixtureRequest, vllm: Any) -> Any:
    """A function that runs a kind of operations on a step of tokens for slot 1, no slot, and slot 2."""
    import torch  # noqa: PLC0415
    from vllm.lora.layers import LoRAMapping  # noqa: PLC0415

    torch.manual_seed(0)
    weights = {
        "a": torch.randn(SLOTS, 1, RANK, HIDDEN),
        "b": torch.randn(SLOTS, 1, HIDDEN, RANK),
        "x": torch.randn(3, HIDDEN),
        "low": torch.randn(3, RANK),
    }

    def run(operations: type, kind: str) -> Any:
        subject = operations(64, max_batches=8, device="cpu")
        mapping = LoRAMapping((11, 0, 12), (11, 0, 12), is_prefill=request.param)
        subject.update_metadata(mapping, [10, 11, 12], SLOTS, 100)
        y = torch.zeros(3, HIDDEN)
        if kind == "linear":
            subject.add_lora_linear(y, weights["x"], (weights["a"],), (weights["b"],), 1.0, (HIDDEN,))
        elif kind == "logits":
            subject.add_lora_logits(y, weights["x"], weights["a"], weights["b"], 1.0)
        else:
            subject.add_lora_embedding(y, weights["low"], weights["b"])
        return y

    return run


@pytest.mark.parametrize("kind", ["linear", "logits", "embedding"])
def test_a_token_of_the_base_model_is_not_changed_and_others_are_as_vllm_has_them(
    vllm: Any, step: Any, kind: str
) -> None:
    found, theirs = step(vllm.CpuKernels, kind), step(vllm.PunicaWrapperCPU, kind)
    assert not found[1].any()
    assert found[0].any()
    assert (found[[0, 2]] == theirs[[0, 2]]).all()


@pytest.mark.parametrize("kind", ["linear", "logits", "embedding"])
def test_vllms_own_operations_use_the_last_slot_for_it(vllm: Any, step: Any, kind: str) -> None:
    """Once this fails, vLLM has corrected it, and `cpu_kernels` can go."""
    assert step(vllm.PunicaWrapperCPU, kind)[1].any()
