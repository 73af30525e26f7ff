"""`make check`: every requirement is pinned exactly, and no package stands twice in one environment."""

from __future__ import annotations

import re
import sys
from pathlib import Path

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from stacks.project import ROOT

#: Installed together into one environment, so a package may stand in one of them only.
TOGETHER = ("requirements.txt", "requirements-dev.txt", "requirements-local.txt")
#: Installed alone, in an image or a Lambda layer; their pins must agree with the ones above.
ALONE = ("container/gateway/requirements.txt", "lambdas/requirements.txt")
#: Installed into an environment of its own each, because its pins differ from the ones above, as they may.
APART = ("requirements-clients.txt", "requirements-scan.txt")
#: Each package with the hash of its one wheel.
HASHED = ("lambdas/requirements.txt",)
_EXACT = re.compile(r"^==[^*]+$")
_DIGEST = re.compile(r"^[0-9a-f]{64}$")


def problems(root: Path) -> list[str]:
    """What is wrong with the requirements files below `root`, a line each."""
    found: list[str] = []
    shared: dict[str, tuple[str, str]] = {}
    for file in (*TOGETHER, *ALONE, *APART):
        pinned = {} if file in APART else shared
        own: set[str] = set()
        for number, line in enumerate((root / file).read_text().splitlines(), 1):
            if not line or line.startswith("#"):
                continue
            pin, _, digest = line.partition(" --hash=sha256:")
            requirement = Requirement(pin)
            name, version = canonicalize_name(requirement.name), str(requirement.specifier)
            where = f"{file}:{number}"
            if _EXACT.fullmatch(version) is None:
                found.append(f"{where}: {pin}: pin it exactly, e.g. {name}==1.2.3")
            if file in HASHED and _DIGEST.fullmatch(digest) is None:
                found.append(f"{where}: {name}: add the hash of its one wheel, --hash=sha256:…")
            first_where, first_version = pinned.setdefault(name, (where, version))
            if name in own or (file in TOGETHER and first_where != where):
                found.append(f"{where}: {name} already stands in {first_where}: remove one")
            elif version != first_version:
                found.append(f"{where}: {name}{version} differs from {first_where}: {name}{first_version}")
            own.add(name)
    return found


if __name__ == "__main__":
    lines = problems(ROOT)
    print("\n".join(lines) or "requirements: exact and without duplicates")
    sys.exit(bool(lines))
