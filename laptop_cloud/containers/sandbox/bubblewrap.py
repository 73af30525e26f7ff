"""Options of bubblewrap, and the environment of PID 1."""

from __future__ import annotations

from typing import Final

from laptop_cloud.containers.sandbox.capabilities import DOCKER_DEFAULT
from laptop_cloud.containers.sandbox.filesystem import SandboxFiles
from laptop_cloud.containers.sandbox.spec import SandboxSpec

PROGRAM: Final = "bwrap"
#: Docker's default; SageMaker has no parameter for it: https://github.com/aws/sagemaker-python-sdk/issues/2801
SHM_BYTES: Final = 64 * 2**20
#: Docker's default for an image that sets none.
#: https://github.com/moby/moby/blob/v28.3.0/oci/defaults.go
_PATH: Final = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
#: Docker's `ReadonlyPaths`, in the same file. Bubblewrap leaves out those that it may not write to.
_READ_ONLY: Final = ("/proc/bus", "/proc/fs", "/proc/irq", "/proc/sys", "/proc/sysrq-trigger")


def options(spec: SandboxSpec, files: SandboxFiles, hostname: str, *, info: int) -> list[str]:
    """Return bubblewrap's options for the container; it writes PID 1's number to the descriptor `info`."""
    return [
        *("--as-pid-1", "--die-with-parent", "--new-session", "--info-fd", str(info)),
        *("--unshare-pid", "--unshare-ipc", "--unshare-cgroup-try", "--unshare-uts", "--hostname", hostname),
        *("--cap-drop", "ALL", *(word for name in DOCKER_DEFAULT for word in ("--cap-add", name))),
        *("--bind", str(files.root), "/"),
        *("--dev", "/dev", "--mqueue", "/dev/mqueue"),
        *("--perms", "1777", "--size", str(SHM_BYTES), "--tmpfs", "/dev/shm"),  # noqa: S108 — in the container
        *("--proc", "/proc", "--ro-bind", str(files.sys), "/sys"),
        *(word for path in _READ_ONLY for word in ("--ro-bind-try", path, path)),
        *(
            word
            for name in ("hostname", "hosts", "resolv.conf")
            for word in ("--bind", str(files.etc / name), f"/etc/{name}")
        ),
        *("--bind", str(spec.directory / "tmp"), "/tmp"),  # noqa: S108 — in the container
        *("--ro-bind", str(spec.directory / "model"), "/opt/ml/model"),
        *(word for inside, path in spec.mounts.items() for word in ("--ro-bind", str(path), inside)),
        *("--dir", spec.image.working_dir, "--chdir", spec.image.working_dir),
        "--clearenv",
        *(word for pair in environment(spec, hostname).items() for word in ("--setenv", *pair)),
    ]


def environment(spec: SandboxSpec, hostname: str) -> dict[str, str]:
    """Return the environment of PID 1: Docker's defaults, the image's variables, the container's."""
    return {"PATH": _PATH, "HOSTNAME": hostname, "HOME": "/root", **spec.image.env, **spec.environment}
