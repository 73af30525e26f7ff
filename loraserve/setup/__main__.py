"""`python -m loraserve.setup LEVEL`: install what a command needs. The Makefile's targets run it.

This module runs in every Python from 3.6 on, to refuse it in a sentence. The rest of the package needs 3.11.
"""

import sys

from loraserve.setup import python_versions

#: Each contains the one before.
LEVELS = ("deploy", "laptop", "check", "tests")
#: On top of `deploy` alone, and of `laptop`.
SIDE_LEVELS = ("scan", "tour")


def main(arguments: "list[str]") -> None:
    """Install the level that `arguments` name; exit code 1 with the reason if that fails."""
    if len(arguments) != 1 or arguments[0] not in LEVELS + SIDE_LEVELS:
        sys.exit("usage: python -m loraserve.setup " + "|".join(LEVELS + SIDE_LEVELS))
    refusal = python_versions.refusal(sys.version_info[:2])
    if refusal is not None:
        sys.exit("setup: " + refusal)
    from loraserve.setup.steps import set_up  # noqa: PLC0415 — not in an older Python

    set_up(arguments[0])


if __name__ == "__main__":
    main(sys.argv[1:])
