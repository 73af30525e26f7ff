"""SageMaker's GPU instance types: GPUs, memory, speed and driver, and the AMI that an image's CUDA needs.

Drivers: https://docs.aws.amazon.com/sagemaker/latest/dg/inference-gpu-drivers.html (2026). GPUs, vCPUs and
memory of the host: https://docs.aws.amazon.com/ec2/latest/instancetypes/ac.html, by the name without "ml.".
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType

from adapters.closest import closest

Cuda = tuple[int, int]


@dataclass(frozen=True, order=True)
class InferenceAmi:
    """The software of an instance's host: a newer one has the higher driver."""

    driver: int
    """NVIDIA's driver branch."""
    cuda: Cuda
    """The newest CUDA that the driver supports by itself."""
    version: str
    """Value of `InferenceAmiVersion`."""
    compatible: int = 0
    """The newest major CUDA whose image ran on it with NVIDIA's compatibility package."""

    def runs(self, cuda: Cuda) -> bool:
        """Check that an image with this CUDA starts on it.

        An image with a newer minor version does ("NVIDIA provides minor version forward compatibility", AWS's
        page), one with a newer major version only with NVIDIA's compatibility package.
        """
        return max(self.cuda[0], self.compatible) >= cuda[0]


#: CreateEndpointConfig's `InferenceAmiVersion` for GPUs. gpu-2 is left out where one is chosen: it mounts the
#: host's CUDA compatibility libraries into the container, gpu-2-1 with the same driver does not.
INFERENCE_AMIS: Mapping[str, InferenceAmi] = MappingProxyType(
    {
        ami.version: ami
        for ami in (
            InferenceAmi(535, (12, 2), "al2-ami-sagemaker-inference-gpu-2"),
            InferenceAmi(535, (12, 2), "al2-ami-sagemaker-inference-gpu-2-1"),
            # Hugging Face ran a CUDA 13.0 image on it, on ml.g5.xlarge (2026).
            InferenceAmi(550, (12, 4), "al2-ami-sagemaker-inference-gpu-3-1", compatible=13),
            InferenceAmi(580, (13, 0), "al2023-ami-sagemaker-inference-gpu-4-1"),
        )
    }
)
_DRIVER_CUDA: Mapping[int, Cuda] = {470: (11, 4)} | {ami.driver: ami.cuda for ami in INFERENCE_AMIS.values()}


@dataclass(frozen=True)
class InstanceType:
    """A SageMaker instance type with NVIDIA GPUs."""

    name: str
    """E.g. `ml.g5.xlarge`."""
    gpus: int
    gpu: str
    """NVIDIA's name of the GPU."""
    gpu_gib: float
    """Memory of each GPU that CUDA reports; see `_FAMILIES`."""
    compute_capability: tuple[int, int]
    default_driver: int
    """NVIDIA's driver branch where the endpoint config names no AMI."""
    gpu_bandwidth_gb_s: int
    """Peak bandwidth of each GPU's memory, in 10^9 bytes per second; see `_FAMILIES`."""
    gpu_tflops: int
    """Peak of each GPU's dense matrix products in 16 bits with sums in 32, in 10^12 operations per second."""
    vcpus: int
    """vCPUs of the host."""
    memory_gib: int
    """Memory of the host."""

    @property
    def default_cuda(self) -> Cuda:
        """The CUDA of the default driver."""
        return _DRIVER_CUDA[self.default_driver]

    @property
    def local_storage(self) -> bool:
        """True if the instance has local disks (NVMe)."""
        return has_local_storage(self.name)


#: GPU, GiB, compute capability, default driver, GB/s and TFLOPS by family. The memory is the one that CUDA
#: reports ("GPU 0 has a total capacity of 22.06 GiB" in PyTorch's errors, the low values of public reports):
#: 24 GB in NVIDIA's name of an A10G are 22.5 GiB in nvidia-smi, of which the driver keeps 0.4. GB/s and
#: TFLOPS are peaks of NVIDIA's data sheets (T4, A10G, L4, L40S, RTX PRO 6000 Blackwell Server Edition, A100,
#: H100, H200), without sparsity; where a sheet has the sparse figure alone, half of it. AWS's page of G5 has
#: 125 TFLOPS for an A10G, NVIDIA's sheet of it 70 (125 are an A10's). Of an RTX PRO 6000 NVIDIA's page has a
#: rounded 1 PFLOPS, and does not say that it is the sparse figure: the Workstation Edition has 504 dense.
_FAMILIES: Mapping[str, tuple[str, float, tuple[int, int], int, int, int]] = {
    "g4dn": ("T4", 14.56, (7, 5), 470, 320, 65),
    "g5": ("A10G", 22.06, (8, 6), 470, 600, 70),
    "g6": ("L4", 22.03, (8, 9), 535, 300, 121),
    "g6e": ("L40S", 44.34, (8, 9), 535, 864, 362),
    "g7e": ("RTX PRO 6000", 94.5, (12, 0), 580, 1597, 500),
    "p4d": ("A100", 39.39, (8, 0), 470, 1555, 312),
    "p4de": ("A100", 79.14, (8, 0), 470, 2039, 312),
    "p5": ("H100", 79.1, (9, 0), 535, 3350, 989),
    # 535 is the oldest driver with CUDA 12 on an AMI; AWS's page has none for these two.
    "p5e": ("H200", 139.72, (9, 0), 535, 4800, 989),
    "p5en": ("H200", 139.72, (9, 0), 535, 4800, 989),
}
_Hosts = Mapping[str, tuple[int, int, int]]
_G_SIZES: _Hosts = {
    **{"xlarge": (1, 4, 16), "2xlarge": (1, 8, 32), "4xlarge": (1, 16, 64), "8xlarge": (1, 32, 128)},
    **{"16xlarge": (1, 64, 256), "12xlarge": (4, 48, 192)},
    **{"24xlarge": (4, 96, 384), "48xlarge": (8, 192, 768)},
}
_P5_SIZES: _Hosts = {"48xlarge": (8, 192, 2048)}
#: GPUs, vCPUs and the host's GiB by family and size.
_SIZES: Mapping[str, _Hosts] = {
    "g4dn": {size: row for size, row in _G_SIZES.items() if size not in ("24xlarge", "48xlarge")},
    "g5": _G_SIZES,
    "g6": _G_SIZES,
    "g6e": {size: (gpus, vcpus, 2 * gib) for size, (gpus, vcpus, gib) in _G_SIZES.items()},
    "g7e": {
        **{"2xlarge": (1, 8, 64), "4xlarge": (1, 16, 128), "8xlarge": (1, 32, 256)},
        **{"12xlarge": (2, 48, 512), "24xlarge": (4, 96, 1024), "48xlarge": (8, 192, 2048)},
    },
    "p4d": {"24xlarge": (8, 96, 1152)},
    "p4de": {"24xlarge": (8, 96, 1152)},
    "p5": {"4xlarge": (1, 16, 256), **_P5_SIZES},
    "p5e": _P5_SIZES,
    "p5en": _P5_SIZES,
}
INSTANCE_TYPES: Mapping[str, InstanceType] = MappingProxyType(
    {
        name: InstanceType(name, gpus, *_FAMILIES[family], vcpus, memory_gib)
        for family, sizes in _SIZES.items()
        for size, (gpus, vcpus, memory_gib) in sizes.items()
        for name in (f"ml.{family}.{size}",)
    }
)

#: Families whose instances have NVMe disks and take no volume, beside all with a d in the name: the rule of
#: AWS's own SDK (sagemaker-core 2.27.0, `volume_size_supported`), whose maintainers know of no other source.
_LOCAL_STORAGE = ("g5", "g6", "g7e", "p5", "p6-b200", "trn1", "trn2")


def check_type(name: str) -> str:
    """Return the name of an instance type; raise `ValueError` with the closest if it is not in the table."""
    if name in INSTANCE_TYPES:
        return name
    # Families of AWS with NVIDIA's GPUs begin with g or p, and no others do.
    reason = "no such type" if re.match(r"ml\.[gp]\d", name) else "no type with an NVIDIA GPU"
    raise ValueError(
        f"{reason} is known by this name{closest(name, INSTANCE_TYPES)}; to add one: docs/extending.md, "
        "An instance type"
    )


def has_local_storage(name: str) -> bool:
    """Check that instances of a type have NVMe disks: then `VolumeSizeInGB` is refused, and a KMS key of the
    endpoint config does not encrypt them (they are always encrypted by the hardware)."""
    family = name.removeprefix("ml.").split(".")[0]
    return "d" in family or family.startswith(_LOCAL_STORAGE)


def choose_ami(cuda: Cuda, instance: InstanceType) -> str | None:
    """The `InferenceAmiVersion` for an image with this CUDA; None where the instance's default does.

    Of several it is the oldest whose own CUDA is the image's or newer. Raises `ValueError` if there is none.
    """
    if instance.default_cuda[0] >= cuda[0]:
        return None
    fitting = [ami for ami in INFERENCE_AMIS.values() if ami.cuda >= cuda]
    if not fitting:
        raise ValueError(f"no inference AMI has a driver for CUDA {_text(cuda)}")
    return min(fitting).version


def check_ami(ami: str | None, cuda: Cuda, instance: InstanceType | None = None) -> str | None:
    """Return what is wrong with an AMI for an image with this CUDA, in a sentence; None if it runs.

    `ami` None: the default of `instance`; otherwise a key of `INFERENCE_AMIS`.
    """
    if ami is None:
        if instance is None or (better := choose_ami(cuda, instance)) is None:
            return None
        return (
            f"the default driver of {instance.name} ({instance.default_driver}, CUDA "
            f"{_text(instance.default_cuda)}) is too old for the image's CUDA {_text(cuda)}: write {better}"
        )
    known = INFERENCE_AMIS[ami]
    if instance is not None and known.driver < instance.default_driver:
        return (
            f"{ami} (driver {known.driver}) is older than the default driver of {instance.name} "
            f"({instance.default_driver}), which does not start with it: leave it out"
        )
    if known.runs(cuda):
        return None
    fitting = [other for other in INFERENCE_AMIS.values() if other.cuda >= cuda]
    remedy = f"write {min(fitting).version}" if fitting else "use an image with an older CUDA"
    return (
        f"{ami} (driver {known.driver}, CUDA {_text(known.cuda)}) is too old for the image's CUDA "
        f"{_text(cuda)}: {remedy}"
    )


def _text(cuda: Cuda) -> str:
    return f"{cuda[0]}.{cuda[1]}"
