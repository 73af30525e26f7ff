"""The GPU benchmark on the CPU, with tiny shapes: its sizes, its arithmetic and its results."""

import ast
import importlib.util
import json
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch

from benchmarks.errors import BenchmarkFailed
from benchmarks.gpu.__main__ import MODEL, main, tiny
from benchmarks.gpu.decode_step import DecodeStep
from benchmarks.gpu.lora_kernels import TorchKernels
from benchmarks.gpu.lora_slots import allocate_slots
from benchmarks.gpu.measure import fitted_line, slot_memory
from stacks.sizing.known_models import KNOWN_MODELS

TINY = tiny(KNOWN_MODELS[MODEL])
ROWS = 12


@pytest.fixture(autouse=True)
def _one_thread() -> Iterator[None]:
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    torch.manual_seed(1)
    yield
    torch.set_num_threads(threads)


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_the_slots_have_the_bytes_that_the_planner_computes(dtype: torch.dtype) -> None:
    rows = slot_memory(TINY, (1, 3), (8, 16), device="cpu", dtype=dtype)
    assert [(row.rank, row.slots) for row in rows] == [(8, 1), (8, 3), (16, 1), (16, 3)]
    assert [row.tensors for row in rows] == [row.computed for row in rows]


@pytest.mark.parametrize("different", [1, 3, 12])
def test_each_row_gets_its_own_adapters_product(different: int) -> None:
    slots = allocate_slots(TINY, 12, 8, device="cpu", dtype=torch.float64)[0]
    qkv = slots[0]
    x = torch.randn(ROWS, TINY.hidden_size, dtype=torch.float64)
    outputs = sum(b.shape[2] for b in qkv.b)
    y = torch.randn(ROWS, outputs, dtype=torch.float64)
    expected = y.clone()
    for row in range(ROWS):
        adapter = row * different // ROWS
        parts = [b[adapter, 0] @ (a[adapter, 0] @ x[row]) for a, b in zip(qkv.a, qkv.b, strict=True)]
        expected[row] += torch.cat(parts)
    TorchKernels(ROWS, different).add(x, y, qkv)
    assert torch.allclose(y, expected)


def test_a_step_without_lora_equals_one_with_adapters_of_zeros_and_no_other() -> None:
    step = DecodeStep(TINY, sequences=ROWS, context=4, device="cpu", dtype=torch.float64)
    slots = allocate_slots(TINY, 3, 8, device="cpu", dtype=torch.float64)
    without = step.run()
    assert without.shape == (ROWS, TINY.vocab_size)
    kernels = TorchKernels(ROWS, 3)
    assert not torch.allclose(step.run(slots, kernels), without)
    for layer in slots:
        for part in layer:
            for b in part.b:
                b.zero_()
    assert torch.allclose(step.run(slots, kernels), without)


def test_the_planners_constants_are_fitted_to_the_times() -> None:
    # 3 ms for the launches, 0.05 ms an adapter.
    assert fitted_line([(n, 3 + 0.05 * n) for n in (1, 8, 20, 50)]) == pytest.approx((3, 0.05))


def test_the_script_prints_tables_and_writes_the_results(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    main(["--tiny", "--output", str(tmp_path / "new" / "gpu.json")])
    document = json.loads((tmp_path / "new" / "gpu.json").read_text())
    assert document["card"] == "CPU"
    times = document["step_times"]
    assert [step["different"] for step in times["steps"]] == [0, 1, 8, 20, 50]
    assert all(step["step_ms"] > 0 for step in times["steps"])
    # q, k, v, gate and up, output and down: 7 slices with an A and a B, in 2 layers.
    assert times["launches"] == 28
    printed = capsys.readouterr().out
    assert "| 64 | 50 |" in printed
    assert "| none |" in printed


def test_without_a_gpu_the_script_asks_for_one(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    with pytest.raises(BenchmarkFailed, match="--tiny"):
        main([])


def test_vllms_kernels_take_the_arguments_that_they_are_called_with() -> None:
    # Read, not imported: the kernels need a GPU, and vLLM's import takes seconds.
    vllm = importlib.util.find_spec("vllm")
    if vllm is None or vllm.origin is None:
        pytest.skip("vLLM is not installed")
    operators = Path(vllm.origin).parent / "lora" / "ops" / "triton_ops"
    meta = [
        "token_lora_mapping",
        "token_indices_sorted_by_lora_ids",
        "num_tokens_per_lora",
        "lora_token_start_loc",
        "lora_ids",
        "no_lora_flag_cpu",
        "num_active_loras",
    ]
    shrink = parameters(operators / "lora_shrink_op.py", "_lora_shrink")
    assert shrink == ["inputs", "lora_a_weights", "output_tensor", *meta, "scaling"]
    expand = parameters(operators / "lora_expand_op.py", "_lora_expand")
    assert expand == ["inputs", "lora_b_weights", "output_tensor", *meta, "offset_start", "add_inputs"]
    make = parameters(operators / "lora_kernel_metadata.py", "make")
    assert make[:3] == ["max_loras", "max_num_tokens", "device"]
    of_step = parameters(operators / "lora_kernel_metadata.py", "meta_args")
    assert of_step == ["self", "token_nums", "specialize_active_lora"]


def parameters(path: Path, function: str) -> list[str]:
    """Return the names of a function's parameters, from the source."""
    found = [
        node
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, ast.FunctionDef) and node.name == function
    ]
    return [argument.arg for argument in found[0].args.args]
