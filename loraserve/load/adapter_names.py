"""The option `--adapters`: names, those of a stage, or those of a file."""

from __future__ import annotations

from pathlib import Path

from loraserve.errors import UserError
from stacks.config.loading import load_stages


class AdapterNamesError(UserError):
    """A list of adapters that cannot be used."""

    exit_code = 2


def parse_adapters(text: str, stages: Path) -> tuple[str, ...]:
    """Return the adapters of `a,b`, of a stage's manifest (`@dev`), or of a file's lines (`@list.txt`).

    The first one is the most popular one of a law. A stage has priority over a file of its name.

    Args:
        text: the option's text.
        stages: the folder of stage files.

    Raises:
        AdapterNamesError: no name, one twice, or a file that cannot be read.
        stacks.typed_yaml.ConfigError: a damaged stage file.
    """
    if not text.startswith("@"):
        return _checked(text.split(","), "--adapters")
    name = text[1:]
    if (stages / f"{name}.yaml").is_file():
        [loaded] = load_stages(stages, name)
        return _checked(list(loaded.manifest.published_names()), f"--adapters {text}")
    try:
        lines = Path(name).read_text().splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise AdapterNamesError(
            f"--adapters {text}: is no stage, and no file that can be read ({error}); name one of them"
        ) from error
    return _checked([line for line in lines if not line.lstrip().startswith("#")], f"--adapters {text}")


def _checked(names: list[str], where: str) -> tuple[str, ...]:
    found = [name.strip() for name in names if name.strip()]
    if not found:
        raise AdapterNamesError(f"{where}: has no adapter: name one")
    seen: set[str] = set()
    for name in found:
        if name in seen:
            raise AdapterNamesError(f"{where}: {name!r} is there twice: remove one of them")
        seen.add(name)
    return tuple(found)
