"""System calls of Linux that Python 3.11 does not have: namespaces, mounts, capabilities."""

from __future__ import annotations

import ctypes
import os
import struct
from pathlib import Path
from typing import Any, Final

#: linux/sched.h
CLONE_NEWNS: Final = 0x00020000
CLONE_NEWNET: Final = 0x40000000
#: linux/mount.h
MS_RDONLY: Final = 0x1
MS_NOSUID: Final = 0x2
MS_NODEV: Final = 0x4
MS_NOEXEC: Final = 0x8
MS_REC: Final = 0x4000
MS_PRIVATE: Final = 0x40000
#: linux/prctl.h, linux/capability.h
_PR_CAPBSET_DROP: Final = 24
_CAPABILITY_HEADER: Final = struct.pack("Ii", 0x20080522, 0)

_libc: Final = ctypes.CDLL(None, use_errno=True)


def unshare(flags: int) -> None:
    """Move this thread to new namespaces. Raises `OSError`."""
    _call(_libc.unshare, flags)


def setns(namespace: int, kind: int) -> None:
    """Move this thread to the namespace of an open file. Raises `OSError`."""
    _call(_libc.setns, namespace, kind)


def mount(source: str, target: Path, kind: str, flags: int = 0, options: str = "") -> None:
    """Mount a file system on `target`. Raises `OSError`."""
    _call(
        _libc.mount,
        source.encode(),
        os.fsencode(target),
        kind.encode(),
        ctypes.c_ulong(flags),
        options.encode(),
    )


def bound_capabilities(kept: int) -> None:
    """Drop all capabilities but those of the bit mask `kept` from the bounding set of later programs.

    The next program of root has all of this process's capabilities nevertheless, because they are
    inheritable: its permitted set is the union of bounding and inheritable set (capabilities(7)).

    Raises:
        OSError: this process may not change its capabilities.
    """
    sets = ctypes.create_string_buffer(24)
    _call(_libc.capget, _CAPABILITY_HEADER, sets)
    # Effective, permitted, inheritable; lower, then upper 32 bits.
    low, low_permitted, _, high, high_permitted, _ = struct.unpack("6I", sets.raw)
    both = (low, low_permitted, low_permitted, high, high_permitted, high_permitted)
    _call(_libc.capset, _CAPABILITY_HEADER, struct.pack("6I", *both))
    last = int(Path("/proc/sys/kernel/cap_last_cap").read_text())
    for number in range(last + 1):
        if not kept >> number & 1:
            _call(_libc.prctl, _PR_CAPBSET_DROP, number, 0, 0, 0)


def _call(function: Any, *arguments: Any) -> None:
    if function(*arguments) != 0:
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number))
