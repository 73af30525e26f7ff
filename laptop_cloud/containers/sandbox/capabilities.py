"""Capabilities of a container."""

from __future__ import annotations

from typing import Final

#: Docker's default set with the numbers of linux/capability.h.
#: https://github.com/moby/moby/blob/v28.3.0/oci/caps/defaults.go
DOCKER_DEFAULT: Final = {
    "CAP_CHOWN": 0,
    "CAP_DAC_OVERRIDE": 1,
    "CAP_FOWNER": 3,
    "CAP_FSETID": 4,
    "CAP_KILL": 5,
    "CAP_SETGID": 6,
    "CAP_SETUID": 7,
    "CAP_SETPCAP": 8,
    "CAP_NET_BIND_SERVICE": 10,
    "CAP_NET_RAW": 13,
    "CAP_SYS_CHROOT": 18,
    "CAP_MKNOD": 27,
    "CAP_AUDIT_WRITE": 29,
    "CAP_SETFCAP": 31,
}
#: The same set as the bit mask of /proc/self/status.
MASK: Final = sum(1 << number for number in DOCKER_DEFAULT.values())
