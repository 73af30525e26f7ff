"""Products of tokens with their adapters' weights on a CPU: ours are vLLM's, except for the base model's tokens."""

from typing import Any

import pytest

SLOTS = 3
KINDS = ["linear", "logits", "embedding"]
#: Adapters of a step's tokens, which are in the slots 0, 1 and 2; 0 is the base model.
STEPS = {
    "single tokens": (11, 10, 12, 11),
    "a prompt": (11,) * 9,
    "prompts and single tokens": (10,) * 4 + (12,) + (11,) * 7 + (10,) + (12,) * 3,
}
HIDDEN, RANK = 24, 4


@pytest.fixture(scope="module")
def vllm() -> Any:
    """The module of our operations. Each worker collects this file, and vLLM takes 17 s to import."""
    pytest.importorskip("vllm", reason="vLLM is not installed")
    from container.vllm import cpu_kernels  # noqa: PLC0415 — see above

    return cpu_kernels


@pytest.fixture(params=[True, False], ids=["prefill", "decode"])
def step(request: pytest.FixtureRequest, vllm: Any) -> Any:
    """A function that runs a kind of operations on a step."""
    import torch  # noqa: PLC0415
    from vllm.lora.layers import LoRAMapping  # noqa: PLC0415

    def run(operations: type, kind: str, adapters: tuple[int, ...], dtype: str = "float32") -> Any:
        torch.manual_seed(0)
        numbers, tokens = getattr(torch, dtype), len(adapters)
        a, b = (torch.randn(SLOTS, 1, *shape).to(numbers) for shape in ((RANK, HIDDEN), (HIDDEN, RANK)))
        x, low = torch.randn(tokens, HIDDEN).to(numbers), torch.randn(tokens, RANK)
        subject = operations(64, max_batches=64, device="cpu")
        mapping = LoRAMapping(adapters, adapters, is_prefill=request.param)
        subject.update_metadata(mapping, [10, 11, 12], SLOTS, 100)
        y = torch.ones(tokens, 2 * HIDDEN, dtype=numbers)
        if kind == "linear":
            subject.add_lora_linear(y, x, (a, a), (b, b), 0.5, (HIDDEN, HIDDEN))
        elif kind == "logits":
            subject.add_lora_logits(y, x, a, b, 0.5)
        else:
            subject.add_lora_embedding(y, low, b)
        return y

    return run


#: The type of a model's numbers, and the difference, relative and absolute, that its rounding may make.
TYPES = {"float32": 1e-5, "bfloat16": 0.02}


@pytest.mark.parametrize("dtype", TYPES)
@pytest.mark.parametrize("adapters", STEPS.values(), ids=STEPS)
@pytest.mark.parametrize("kind", KINDS)
def test_tokens_of_adapters_are_as_vllm_has_them(
    vllm: Any, step: Any, kind: str, adapters: tuple[int, ...], dtype: str
) -> None:
    found, theirs = (step(each, kind, adapters, dtype) for each in (vllm.CpuKernels, vllm.PunicaWrapperCPU))
    assert (found != 1).any(dim=1).all()
    assert found.dtype == theirs.dtype
    assert found.allclose(theirs, rtol=TYPES[dtype], atol=TYPES[dtype])


@pytest.mark.parametrize("dtype", TYPES)
@pytest.mark.parametrize("kind", KINDS)
def test_a_token_of_the_base_model_is_not_changed(vllm: Any, step: Any, kind: str, dtype: str) -> None:
    changed = (step(vllm.CpuKernels, kind, (11, 0, 12, 0, *[10] * 5, 0), dtype) != 1).any(dim=1).tolist()
    assert changed == [True, False, True, False, *[True] * 5, False]
    assert (step(vllm.CpuKernels, kind, (0, 0), dtype) == 1).all()


@pytest.mark.parametrize("kind", KINDS)
def test_vllms_own_operations_use_the_last_slot_for_it(vllm: Any, step: Any, kind: str) -> None:
    """Once this fails, vLLM has corrected it, and the second reason for `cpu_kernels` is gone."""
    assert (step(vllm.PunicaWrapperCPU, kind, (11, 0, 12))[1] != 1).any()
