import pytest
from hypothesis import given
from hypothesis import strategies as st

from stacks.sizing.engines.registry import MEMORY
from stacks.sizing.hardware import hardware_problem
from stacks.sizing.instances import (
    INFERENCE_AMIS,
    INSTANCE_TYPES,
    InstanceType,
    check_ami,
    check_type,
    choose_ami,
    has_local_storage,
)

CUDA_12_2 = "al2-ami-sagemaker-inference-gpu-2-1"
CUDA_12_4 = "al2-ami-sagemaker-inference-gpu-3-1"
CUDA_13_0 = "al2023-ami-sagemaker-inference-gpu-4-1"


def known(name: str) -> InstanceType:
    return INSTANCE_TYPES[name]


@pytest.mark.parametrize(
    ("name", "gpus", "gpu", "nominal_gb"),
    [
        ("ml.g4dn.12xlarge", 4, "T4", 16),
        ("ml.g5.xlarge", 1, "A10G", 24),
        ("ml.g5.16xlarge", 1, "A10G", 24),
        ("ml.g5.48xlarge", 8, "A10G", 24),
        ("ml.g6.24xlarge", 4, "L4", 24),
        ("ml.g6e.xlarge", 1, "L40S", 48),
        ("ml.g7e.12xlarge", 2, "RTX PRO 6000", 96),
        ("ml.p4d.24xlarge", 8, "A100", 40),
        ("ml.p4de.24xlarge", 8, "A100", 80),
        ("ml.p5.48xlarge", 8, "H100", 80),
    ],
)
def test_the_gpus_of_an_instance_type(name: str, gpus: int, gpu: str, nominal_gb: int) -> None:
    found = known(name)
    assert (found.gpus, found.gpu) == (gpus, gpu)
    # What CUDA has is less than the name says, and not by much.
    assert 0.9 * nominal_gb < found.gpu_gib < nominal_gb


@pytest.mark.parametrize(
    ("name", "vcpus", "memory_gib", "bandwidth", "tflops"),
    [
        ("ml.g4dn.12xlarge", 48, 192, 320, 65),
        ("ml.g5.xlarge", 4, 16, 600, 70),
        ("ml.g6.48xlarge", 192, 768, 300, 121),
        ("ml.g6e.2xlarge", 8, 64, 864, 362),
        ("ml.g7e.12xlarge", 48, 512, 1597, 500),
        ("ml.p4d.24xlarge", 96, 1152, 1555, 312),
        ("ml.p4de.24xlarge", 96, 1152, 2039, 312),
        ("ml.p5.4xlarge", 16, 256, 3350, 989),
        ("ml.p5en.48xlarge", 192, 2048, 4800, 989),
    ],
)
def test_the_host_and_the_speed_of_the_gpus(
    name: str, vcpus: int, memory_gib: int, bandwidth: int, tflops: int
) -> None:
    found = known(name)
    assert (found.vcpus, found.memory_gib) == (vcpus, memory_gib)
    assert (found.gpu_bandwidth_gb_s, found.gpu_tflops) == (bandwidth, tflops)


def test_vcpus_follow_from_the_size() -> None:
    for name, found in INSTANCE_TYPES.items():
        assert found.vcpus == 4 * int(name.rpartition(".")[2].removesuffix("xlarge") or 1)
        assert 4 <= found.memory_gib / found.vcpus <= 16


@pytest.mark.parametrize(
    ("name", "reason"),
    [
        ("ml.g5.3xlarge", "no such type is known by this name, did you mean 'ml.g5."),
        ("ml.p3.2xlarge", "no such type is known by this name, did you mean '"),
        ("g5.xlarge", "no type with an NVIDIA GPU is known by this name, did you mean 'ml.g5.xlarge'"),
        ("ml.m5.xlarge", "no type with an NVIDIA GPU is known by this name"),
        ("ml.inf2.48xlarge", "no type with an NVIDIA GPU is known by this name"),
        ("", "no type with an NVIDIA GPU is known by this name; to add one: docs/extending.md"),
    ],
)
def test_a_type_that_is_not_in_the_table_is_refused_with_the_closest(name: str, reason: str) -> None:
    with pytest.raises(ValueError, match=f"^{reason}"):
        check_type(name)


@given(st.sampled_from(sorted(INSTANCE_TYPES)).flatmap(lambda name: st.tuples(st.just(name), st.integers(3, len(name) - 1))))  # fmt: skip
def test_a_typo_is_answered_with_a_type_of_the_table(slip: tuple[str, int]) -> None:
    name, at = slip
    typo = name[:at] + name[at + 1 :]
    try:
        check_type(typo)
    except ValueError as error:
        assert "did you mean 'ml." in str(error)
    else:
        assert typo in INSTANCE_TYPES


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        *((name, True) for name in INSTANCE_TYPES),
        *(
            (name, True)
            for name in ("ml.c5d.large", "ml.m5d.xlarge", "ml.p6-b200.48xlarge", "ml.trn1.2xlarge")
        ),
        *((name, False) for name in ("ml.m5.xlarge", "ml.c5.large", "ml.p3.2xlarge", "ml.inf1.xlarge")),
    ],
)
def test_local_storage_follows_the_rule_of_awss_sdk(name: str, expected: bool) -> None:
    assert has_local_storage(name) is expected
    if found := INSTANCE_TYPES.get(name):
        assert found.local_storage is expected


@pytest.mark.parametrize(
    ("engine", "name", "ami"),
    [
        ("lorax", "ml.g5.xlarge", CUDA_12_4),
        ("lorax", "ml.p4d.24xlarge", CUDA_12_4),
        ("lorax", "ml.g6.xlarge", None),
        ("lorax", "ml.g7e.2xlarge", None),
        ("vllm", "ml.g5.xlarge", CUDA_13_0),
        ("vllm", "ml.g6e.xlarge", CUDA_13_0),
        ("vllm", "ml.g7e.2xlarge", None),
    ],
)
def test_the_ami_that_an_engines_cuda_needs(engine: str, name: str, ami: str | None) -> None:
    assert choose_ami(MEMORY[engine].cuda, known(name)) == ami
    assert check_ami(ami, MEMORY[engine].cuda, known(name)) is None


def test_no_ami_is_new_enough_for_a_cuda_of_the_future() -> None:
    with pytest.raises(ValueError, match=r"no inference AMI has a driver for CUDA 14\.0"):
        choose_ami((14, 0), known("ml.g5.xlarge"))


def test_an_ami_that_is_too_old_is_told_with_the_one_to_write() -> None:
    assert check_ami(CUDA_12_2, (13, 0)) == (
        f"{CUDA_12_2} (driver 535, CUDA 12.2) is too old for the image's CUDA 13.0: write {CUDA_13_0}"
    )
    assert check_ami(CUDA_12_4, (13, 0)) is None  # with NVIDIA's compatibility package, as was seen
    assert check_ami(CUDA_13_0, (14, 0)) == (
        f"{CUDA_13_0} (driver 580, CUDA 13.0) is too old for the image's CUDA 14.0: use an image with an older CUDA"
    )


def test_a_default_driver_that_is_too_old_is_told_with_ami_to_write() -> None:
    assert check_ami(None, (12, 4), known("ml.g5.xlarge")) == (
        "the default driver of ml.g5.xlarge (470, CUDA 11.4) is too old for the image's CUDA 12.4: "
        f"write {CUDA_12_4}"
    )


def test_an_ami_older_than_the_instances_default_is_refused() -> None:
    assert check_ami(CUDA_12_4, (12, 4), known("ml.g7e.2xlarge")) == (
        f"{CUDA_12_4} (driver 550) is older than the default driver of ml.g7e.2xlarge (580), "
        "which does not start with it: leave it out"
    )


@pytest.mark.parametrize("ami", ["al2-ami-sagemaker-inference-gpu-2", CUDA_12_4, CUDA_13_0])
def test_an_ami_with_images_major_cuda_is_accepted(ami: str) -> None:
    assert check_ami(ami, (12, 4)) is None


def test_each_ami_is_one_that_the_api_knows() -> None:
    botocore = pytest.importorskip("botocore.session")
    model = botocore.get_session().get_service_model("sagemaker")
    amis = set(model.shape_for("ProductionVariantInferenceAmiVersion").enum)
    assert {ami for ami in amis if "-gpu-" in ami} == set(INFERENCE_AMIS), "add it to INFERENCE_AMIS"
    types = set(model.shape_for("ProductionVariantInstanceType").enum)
    assert set(INSTANCE_TYPES) <= types
    # Of the known families each size: a newer botocore shows what to add.
    families = {name.split(".")[1] for name in INSTANCE_TYPES}
    assert {name for name in types if name.split(".")[1] in families} == set(INSTANCE_TYPES)


@pytest.mark.parametrize(
    ("engine", "name", "dtype", "quantize", "problem"),
    [
        ("lorax", "ml.g4dn.xlarge", None, None, "LoRAX does not run on the T4 of ml.g4dn.xlarge: take ml.g5, ml.g6, ml.g6e, ml.p4d, ml.p4de, ml.p5, ml.p5e or ml.p5en"),
        ("lorax", "ml.g5.xlarge", None, None, None),
        ("vllm", "ml.g4dn.xlarge", "float16", None, None),
        ("vllm", "ml.g4dn.xlarge", "bfloat16", None, "the T4 of ml.g4dn.xlarge has no bfloat16: write engine.dtype: float16"),
        ("lorax", "ml.g5.xlarge", None, "fp8", "the A10G of ml.g5.xlarge has no FP8: take ml.g6, ml.g6e, ml.p5, ml.p5e or ml.p5en for fp8"),
        ("lorax", "ml.g6.xlarge", None, "fp8", None),
    ],
)  # fmt: skip
def test_what_a_gpu_cannot_do(
    engine: str, name: str, dtype: str | None, quantize: str | None, problem: str | None
) -> None:
    assert hardware_problem(engine, known(name), dtype, quantize) == problem
