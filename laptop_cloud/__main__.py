"""The laptop cloud's server: a SageMaker emulator on one port of 127.0.0.1, until SIGTERM or Ctrl-C.

It is for this repository's Local stage and tests; docs/laptop-cloud.md says what is emulated.
"""

from __future__ import annotations

import argparse
import math
import shlex
import sys
from pathlib import Path

from laptop_cloud.cloudformation.install import EmulatorChanged
from laptop_cloud.containers.sandbox.errors import SandboxRefused
from laptop_cloud.options import ServerOptions
from laptop_cloud.ports import PortTaken
from laptop_cloud.server import run


def _image(text: str) -> tuple[str, list[str]]:
    name, equals, command = text.partition("=")
    if not (name.startswith("localhost/") and equals and command):
        raise argparse.ArgumentTypeError(f"{text!r} is not localhost/<room>=<command>")
    return name, shlex.split(command)


def _mount(text: str) -> tuple[str, Path]:
    inside, equals, path = text.partition("=")
    if not (inside.startswith("/") and equals and Path(path).exists()):
        raise argparse.ArgumentTypeError(f"{text!r} is not /path/in/the/container=<an existing path>")
    return inside, Path(path).resolve()


def _speed(text: str) -> float:
    speed = float(text)
    if not 0 < speed < math.inf:
        raise argparse.ArgumentTypeError(f"{text!r} is no number above 0")
    return speed


def main() -> int:
    """Parse the arguments and run the server; return the exit status."""
    parser = argparse.ArgumentParser(prog="python -m laptop_cloud", description=__doc__)
    parser.add_argument("--port", type=int, required=True, help="port of 127.0.0.1; 0: any free port")
    parser.add_argument("--state", type=Path, required=True, help="directory for every file of the server")
    parser.add_argument(
        "--image",
        type=_image,
        action="append",
        default=[],
        metavar="localhost/NAME=COMMAND",
        help="an additional image and the command of its container; may be repeated",
    )
    parser.add_argument(
        "--enforce-iam",
        action="store_true",
        help="refuse what the caller's IAM policies do not allow",
    )
    parser.add_argument(
        "--pull-images",
        action="store_true",
        help="pull the images of ECR and run them; needs Linux on x86-64, root, buildah and bubblewrap",
    )
    parser.add_argument(
        "--mount",
        type=_mount,
        action="append",
        default=[],
        metavar="/IN/CONTAINER=PATH",
        help="a read-only mount of every container that runs from an image of ECR; may be repeated",
    )
    parser.add_argument(
        "--scaling-speed",
        type=_speed,
        default=1.0,
        metavar="N",
        help="let Application Auto Scaling's clock run N times as fast as time",
    )
    arguments = parser.parse_args()
    options = ServerOptions(
        images=dict(arguments.image),
        enforce_iam=arguments.enforce_iam,
        pull_images=arguments.pull_images,
        mounts=dict(arguments.mount),
        scaling_speed=arguments.scaling_speed,
    )
    try:
        run(arguments.port, arguments.state.resolve(), options)
    except (PortTaken, EmulatorChanged, SandboxRefused) as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(main())
