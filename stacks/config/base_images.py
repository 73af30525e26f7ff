"""Base images of the engines' images, from `container/images.lock`.

.venv/bin/python -m stacks.config.base_images lorax    prints one, for a manual build
"""

from __future__ import annotations

import json
import re
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any

from pydantic import ValidationError, create_model

from adapters.engines.registry import ENGINES
from adapters.strict_json import NotAnObject, parse_object
from stacks.project import ROOT
from stacks.typed_yaml import ConfigError, Strict, sentence, shaped

LOCK = ROOT / "container" / "images.lock"


# As Docker does it: the part before the first slash is a registry only if it cannot be anything else.
_REGISTRY = r"(localhost|[a-z0-9-]+(\.[a-z0-9-]+)+)(:[0-9]+)?"
_REPOSITORY = shaped(
    rf"{_REGISTRY}(/[a-z0-9]+([._-]+[a-z0-9]+)*)+", "write registry and name, as in ghcr.io/org/name"
)
_TAG = shaped(r"\w[\w.-]{0,127}", "write a tag such as 1.2.3")
_DIGEST = shaped(r"sha256:[0-9a-f]{64}", "write sha256: and 64 hexadecimal digits, or null")


class BaseImage(Strict):
    """One engine's base image."""

    repository: Annotated[str, _REPOSITORY]
    """Registry and name."""
    tag: Annotated[str, _TAG]
    """Tag that `make pin-images` resolves."""
    digest: Annotated[str, _DIGEST] | None
    """Digest to which the tag resolved; null: the build resolves the tag."""

    @property
    def tagged(self) -> str:
        """The image reference by tag."""
        return f"{self.repository}:{self.tag}"

    @property
    def reference(self) -> str:
        """The image reference for a Dockerfile's FROM; Docker ignores the tag if there is a digest."""
        return self.tagged if self.digest is None else f"{self.tagged}@{self.digest}"


def read_lock(path: Path = LOCK) -> dict[str, BaseImage]:
    """Read the base image of each engine; raises `ConfigError` if the file cannot be used."""
    keys: dict[str, Any] = dict.fromkeys(ENGINES, (BaseImage, ...))
    lock = create_model("Lock", __base__=Strict, **keys)
    try:
        images: dict[str, BaseImage] = dict(lock.model_validate(parse_object(path.read_bytes())))
    except OSError as error:
        raise ConfigError(f"{path}: {error.strerror}: bring it back with git") from error
    except NotAnObject as error:
        raise ConfigError(f"{path}: {error}; bring it back with git") from error
    except ValidationError as error:
        raise ConfigError(f"{path}: {sentence(error, lock)}") from error
    for name, image in images.items():
        refused = ENGINES[name].refused_releases
        if refused is not None and re.fullmatch(refused, image.tag):
            raise ConfigError(
                f"{path}: {name}.tag: {image.tag!r}: this release may answer with another adapter's weights: "
                f"take another one, such as {ENGINES[name].version}"
            )
    return images


def lock_text(images: Mapping[str, BaseImage]) -> str:
    """Make the content of the file."""
    content = {engine: image.model_dump() for engine, image in images.items()}
    return json.dumps(content, indent=2, sort_keys=True) + "\n"


def build_argument(engine: str) -> str:
    """Return the name of the build argument of an engine's Dockerfile for its base image."""
    return f"{engine.upper()}_IMAGE"


def main(arguments: list[str]) -> None:
    """Print the reference of one engine's base image; exit code 2 if there is none."""
    try:
        images = read_lock()
    except ConfigError as error:
        print(error, file=sys.stderr)
        sys.exit(2)
    if len(arguments) != 1 or arguments[0] not in images:
        print(f"usage: python -m stacks.config.base_images {'|'.join(images)}", file=sys.stderr)
        sys.exit(2)
    print(images[arguments[0]].reference)


if __name__ == "__main__":
    main(sys.argv[1:])
