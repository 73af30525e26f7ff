"""Root file system of a minimal Debian with Python, by debootstrap."""

from __future__ import annotations

import os
import shutil
import tempfile
from pathlib import Path

from loraserve.errors import UserError
from loraserve.images.processes import OnLine, ProgramFailed, ask, run

SUITE = "bookworm"
#: libnuma1: vLLM's CPU build needs it, and the image of vLLM has it.
PACKAGES = ("ca-certificates", "libnuma1", "python3", "python3-pip")
#: Removed: what no process in a container reads. `*` is any name.
UNUSED = (
    *("usr/share/doc/*", "usr/share/info/*", "usr/share/man/*", "usr/share/locale/*", "usr/share/lintian/*"),
    *("usr/share/bash-completion/*", "var/cache/apt/*", "var/cache/debconf/*-old", "var/cache/ldconfig/*"),
    *("var/lib/apt/lists/*", "var/log/*", "dev/*", "tmp/*"),
)
#: All that the content depends on, apart from the mirror's packages of the day.
DEFINITION = (SUITE, PACKAGES, UNUSED)


class NoDebian(UserError):
    """A root file system that cannot be made here; the message has the remedy."""


def write_root(archive: Path, on_line: OnLine | None = None) -> None:
    """Write the root file system as the tar file `archive`; raises `NoDebian`."""
    debootstrap = shutil.which("debootstrap", path=f"{os.environ.get('PATH', os.defpath)}:/usr/sbin:/sbin")
    if debootstrap is None or os.geteuid() != 0:
        raise NoDebian(
            "the stand-in of a base image is made by debootstrap, as root: `apt-get install debootstrap` and "
            "run this command as root, or build from the real base image"
        )
    with tempfile.TemporaryDirectory(prefix="lora-serving-debian-", dir=archive.parent) as folder:
        root = Path(folder)
        command = [debootstrap, "--force-check-gpg", "--variant=minbase", f"--include={','.join(PACKAGES)}"]
        try:
            run([*command, SUITE, folder, *_mirror()], on_line=on_line)
        except ProgramFailed as error:
            raise NoDebian(
                f"{error}\nCheck the network, the machine's apt sources, and that debian-archive-keyring is "
                "installed"
            ) from error
        for pattern in UNUSED:
            for path in root.glob(pattern):
                shutil.rmtree(path) if path.is_dir() and not path.is_symlink() else path.unlink()
        try:
            run(["tar", "--create", f"--file={archive}", f"--directory={folder}", "."])
        except ProgramFailed as error:
            raise NoDebian(f"{error}\nCheck the space in {archive.parent}") from error


def _mirror() -> list[str]:
    """Return the Debian mirror of this machine's apt sources; without one debootstrap uses its default."""
    try:
        targets = ask(
            ["apt-get", "indextargets", "--format", "$(RELEASE) $(REPO_URI)", "Created-By: Packages"]
        )
    except (OSError, ProgramFailed):
        return []
    found = (line.split() for line in targets.splitlines())
    return next(([uri] for release, uri in found if release == SUITE), [])
