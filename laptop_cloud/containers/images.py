"""Which command an image name stands for: on a laptop a container is a process of this repository."""

from __future__ import annotations

import re
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

#: The directory that holds `container/` and this package.
REPOSITORY = Path(__file__).resolve().parents[2]

_IMAGE = re.compile(r"localhost/(?P<room>[a-z0-9_]+)(:[\w][\w.-]*)?(@sha256:[0-9a-f]{64})?")


class UnknownImage(Exception):
    """An image that the laptop cloud cannot run, and those that it can."""

    def __init__(self, image: str, rooms: Sequence[str]) -> None:
        """`rooms` are the images that exist here, without `localhost/`."""
        there = ", ".join(f"localhost/{room}" for room in rooms) or "none"
        super().__init__(
            f"the laptop cloud runs images localhost/<room>, e.g. localhost/vllm: "
            f"{image!r} is not one of them; there are: {there}"
        )


def command_of(image: str, further: Mapping[str, Sequence[str]]) -> list[str]:
    """The command that the container of `image` runs.

    `further` maps image names without a tag to commands, beside the rooms `container/<room>/`.

    Raises:
        UnknownImage: the name stands for neither.
    """
    found = _IMAGE.fullmatch(image)
    room = found["room"] if found else ""
    if f"localhost/{room}" in further:
        return list(further[f"localhost/{room}"])
    if room and (REPOSITORY / "container" / room / "__main__.py").is_file():
        return [sys.executable, "-m", f"container.{room}", "serve"]
    rooms = [path.parent.name for path in (REPOSITORY / "container").glob("*/__main__.py")]
    raise UnknownImage(image, sorted({*rooms, *(name.removeprefix("localhost/") for name in further)}))
