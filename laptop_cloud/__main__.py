"""`python -m laptop_cloud --port N --state DIR`: the laptop cloud's server, until SIGTERM."""

from __future__ import annotations

import argparse
import shlex
import sys
from pathlib import Path

from laptop_cloud.cloudformation.install import EmulatorChanged
from laptop_cloud.server import PortTaken, run


def _image(text: str) -> tuple[str, list[str]]:
    name, equals, command = text.partition("=")
    if not (name.startswith("localhost/") and equals and command):
        raise argparse.ArgumentTypeError(f"{text!r} is not localhost/<room>=<command>")
    return name, shlex.split(command)


def main() -> int:
    """Parse the arguments and serve; return the exit status."""
    parser = argparse.ArgumentParser(prog="python -m laptop_cloud", description=__doc__)
    parser.add_argument("--port", type=int, required=True, help="port of 127.0.0.1; 0 takes a free one")
    parser.add_argument("--state", type=Path, required=True, help="directory for everything that is written")
    parser.add_argument(
        "--image",
        type=_image,
        action="append",
        default=[],
        metavar="localhost/ROOM=COMMAND",
        help="a further image and the command that its container runs",
    )
    parser.add_argument(
        "--enforce-iam", action="store_true", help="refuse what the caller's IAM policies do not allow"
    )
    arguments = parser.parse_args()
    try:
        run(
            arguments.port,
            arguments.state.resolve(),
            dict(arguments.image),
            enforce_iam=arguments.enforce_iam,
        )
    except (PortTaken, EmulatorChanged) as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(main())
