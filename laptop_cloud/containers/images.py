"""Commands of images: an image's name points to the command of a process of this repository."""

from __future__ import annotations

import re
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

#: The directory with `container/` and this package.
REPOSITORY = Path(__file__).resolve().parents[2]

_IMAGE = re.compile(r"localhost/(?P<name>[a-z0-9_]+)(:[\w][\w.-]*)?(@sha256:[0-9a-f]{64})?")


class UnknownImage(Exception):
    """An image that the laptop cloud cannot run; the message lists those that it can."""

    def __init__(self, image: str, names: Sequence[str]) -> None:
        """`names` are the known images, without `localhost/`."""
        known = ", ".join(f"localhost/{name}" for name in names) or "none"
        super().__init__(
            f"the laptop cloud runs images localhost/<room>, e.g. localhost/vllm: "
            f"{image!r} is not one of them; there are: {known}"
        )


def command_of(image: str, further: Mapping[str, Sequence[str]]) -> list[str]:
    """Return the command of the container of `image`.

    `further` maps names of additional images, without a tag, to commands, beside the packages
    `container/<name>/`.

    Raises:
        UnknownImage: the name is neither.
    """
    found = _IMAGE.fullmatch(image)
    name = found["name"] if found else ""
    if f"localhost/{name}" in further:
        return list(further[f"localhost/{name}"])
    if name and (REPOSITORY / "container" / name / "__main__.py").is_file():
        return [sys.executable, "-m", f"container.{name}", "serve"]
    packages = [path.parent.name for path in (REPOSITORY / "container").glob("*/__main__.py")]
    raise UnknownImage(image, sorted({*packages, *(key.removeprefix("localhost/") for key in further)}))
