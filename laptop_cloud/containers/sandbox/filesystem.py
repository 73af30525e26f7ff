"""The container's root file system and the files that the platform mounts in it."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Final

from laptop_cloud.containers.sandbox import linux
from laptop_cloud.containers.sandbox.errors import SandboxRefused
from laptop_cloud.containers.sandbox.network import CONTAINER

#: The instance's directory of mount points and generated files.
_FOLDER: Final = "sandbox"


class SandboxFiles:
    """Mounts and files of one container, under its instance's directory."""

    def __init__(self, directory: Path) -> None:
        """`directory` is the instance's."""
        self._folder = directory / _FOLDER
        self.root = self._folder / "root"
        self.sys = self._folder / "sys"
        self.etc = self._folder / "etc"

    def mount_root(self, layers: Sequence[Path], size: int) -> None:
        """Mount the layers on `root`, with a writable layer of `size` bytes above, for this process alone.

        Moves this process to a separate mount namespace; the mounts end with its last process.

        Raises:
            SandboxRefused: the kernel refuses one of the mounts.
        """
        for path in (self.root, self.sys, self.etc):
            path.mkdir(parents=True)
        writable = self._folder / "writable"
        writable.mkdir()
        try:
            linux.unshare(linux.CLONE_NEWNS)
            linux.mount("none", Path("/"), "", linux.MS_REC | linux.MS_PRIVATE)
            linux.mount("tmpfs", writable, "tmpfs", 0, f"size={size},mode=755")
        except OSError as error:
            raise SandboxRefused(
                f"no mount namespace with a tmpfs: {error}",
                "run as root with CAP_SYS_ADMIN (in a container: docker run --privileged)",
            ) from error
        (writable / "upper").mkdir(mode=0o755)
        (writable / "work").mkdir()
        try:
            _mount_overlay(layers, writable, self.root)
        except OSError as error:
            raise SandboxRefused(
                f"the kernel refused an overlay file system of {len(layers)} layers: {error}",
                "load the module (modprobe overlay), and keep the images on a file system that overlayfs "
                "takes as lower layer, such as ext4 or xfs",
            ) from error

    def mount_sys(self) -> None:
        """Mount the sysfs of this thread's network namespace on `sys`, read-only. Raises `OSError`."""
        linux.mount(
            "sysfs",
            self.sys,
            "sysfs",
            linux.MS_RDONLY | linux.MS_NOSUID | linux.MS_NODEV | linux.MS_NOEXEC,
        )

    def write_etc(self, hostname: str) -> None:
        """Write the files of /etc that a container gets from its platform, as Docker writes them."""
        (self.etc / "hostname").write_text(f"{hostname}\n")
        (self.etc / "hosts").write_text(
            f"127.0.0.1\tlocalhost\n::1\tlocalhost ip6-localhost ip6-loopback\n{CONTAINER}\t{hostname}\n"
        )
        # The resolver of a VPC, which the container cannot reach: it has no route.
        # https://docs.aws.amazon.com/vpc/latest/userguide/AmazonDNS-concepts.html
        (self.etc / "resolv.conf").write_text("nameserver 169.254.169.253\n")


def _mount_overlay(layers: Sequence[Path], writable: Path, target: Path) -> None:
    # Relative to a common directory: the kernel takes a page (4096 bytes) of options.
    common = Path(os.path.commonpath([layer.resolve().parent for layer in layers]))
    lower = ":".join(_escaped(layer.resolve().relative_to(common)) for layer in layers)
    upper, work = (_escaped((writable / name).resolve()) for name in ("upper", "work"))
    with contextlib.chdir(common):
        linux.mount(
            "overlay", target.resolve(), "overlay", 0, f"lowerdir={lower},upperdir={upper},workdir={work}"
        )


def _escaped(path: Path) -> str:
    """Escape the separators of layers and options (kernel: Documentation/filesystems/overlayfs.rst)."""
    text = os.fspath(path)
    for character in ("\\", ":", ","):
        text = text.replace(character, "\\" + character)
    return text
