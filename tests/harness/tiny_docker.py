"""A program for CDK_DOCKER that builds tiny images, see `tests.harness.tiny_image`.

It has the commands of cdk-assets, as `loraserve.images.docker_command`. Variables:

- TINY_DOCKER: the folder for its token and for `builds`, which has a line per build.
- TINY_DOCKER_PROCESS: the local image that the images stand for, e.g. `localhost/null`.
- TINY_DOCKER_REGISTRY: the address of the laptop cloud, `127.0.0.1:port`.
- TINY_DOCKER_REFUSES: the reason why nothing may be built; not set, it builds.
"""

from __future__ import annotations

import base64
import os
import sys
from collections.abc import Sequence
from pathlib import Path

from tests.harness.tiny_image import push, tiny_image

#: File in the folder with a line per build: the image's name.
BUILDS = "builds"


def main(arguments: Sequence[str]) -> int:
    """Run one command; return its exit status."""
    folder = Path(os.environ["TINY_DOCKER"])
    words = list(arguments)
    if words[:1] == ["--config"]:
        words = words[2:]
    command, rest = words[0], words[1:]
    if command in ("inspect", "images"):
        return 1 if command == "inspect" else 0  # nothing is built before it is asked for
    if command == "login":
        password = sys.stdin.read().strip()
        (folder / "token").write_text(base64.b64encode(f"AWS:{password}".encode()).decode())
    elif command == "build":
        refused = os.environ.get("TINY_DOCKER_REFUSES")
        if refused:
            print(refused, file=sys.stderr)
            return 1
        name = rest[rest.index("--tag") + 1]
        with (folder / BUILDS).open("a") as builds:
            builds.write(f"{name}\n")
    elif command == "tag":
        # The CLI pushes under another name than it builds under; both end with the asset's hash.
        pass
    elif command == "push":
        _registry, _, path = rest[-1].partition("/")
        repository, _, tag = path.partition(":")
        image = tiny_image(os.environ["TINY_DOCKER_PROCESS"], tag)
        token = (folder / "token").read_text()
        push(image, os.environ["TINY_DOCKER_REGISTRY"], repository, tag, token)
    else:
        print(f"tiny docker has no {command}", file=sys.stderr)
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
