"""The matrix of stage files: overlays as data, and one assembly with a stage for each."""

from __future__ import annotations

from pathlib import Path
from typing import Any, NamedTuple

import aws_cdk as cdk
import yaml
from pydantic import BaseModel

from stacks.config.loading import load_stage
from stacks.config.stage_config import StageConfig
from stacks.project import ROOT
from stacks.stage import ServingStage
from tests.harness.assembly import empty_app

STAGES = ROOT / "stages"


class Overlay(NamedTuple):
    """A stage file as an overlay on another one."""

    name: str
    guards: str
    of: str
    overlay: dict[str, Any]

    def content(self) -> dict[str, Any]:
        """The complete stage file."""
        return merged(yaml.safe_load((STAGES / f"{self.of}.yaml").read_text()), self.overlay)


OVERLAYS = [
    Overlay(entry["name"], entry["guards"], entry.get("of", "dev"), entry["overlay"])
    for entry in yaml.safe_load((Path(__file__).parent / "matrix.yaml").read_text())
]


def merged(base: dict[str, Any], over: dict[str, Any]) -> dict[str, Any]:
    """Merge `over` into `base`, section by section; a null removes a key."""
    result = dict(base)
    for key, value in over.items():
        both = isinstance(value, dict) and isinstance(result.get(key), dict)
        result[key] = merged(result[key], value) if both else value
    return {key: value for key, value in result.items() if value is not None}


def keys(model: type[BaseModel] = StageConfig, path: str = "") -> set[str]:
    """Return every key of a stage file as `section.key`, without the sections themselves."""
    found: set[str] = set()
    for name, field in model.model_fields.items():
        kind: Any = field.annotation
        inner = kind if hasattr(kind, "model_fields") else next(iter(getattr(kind, "__args__", ())), None)
        if hasattr(inner, "model_fields"):
            found |= keys(inner, f"{path}{name}.")
        else:
            found.add(f"{path}{name}")
    return found


def varied(overlay: Any, path: str = "") -> set[str]:
    """Return the keys that an overlay sets, in the same form."""
    found: set[str] = set()
    for name, value in overlay.items():
        inner = value[0] if isinstance(value, list) and value else value
        nested = isinstance(inner, dict) and f"{path}{name}" not in ("tags", "engine.arguments")
        found |= varied(inner, f"{path}{name}.") if nested else {f"{path}{name}"}
    return found


def write(folder: Path) -> list[Path]:
    """Write the overlays as stage files, with copies of the files that they name."""
    for name in ("adapters", "../samples"):
        link = (folder / name).resolve()
        if not link.exists():
            link.symlink_to((STAGES / name).resolve())
    paths = []
    for overlay in OVERLAYS:
        path = folder / f"{overlay.name}.yaml"
        path.write_text(yaml.safe_dump(overlay.content()))
        paths.append(path)
    return paths


def app(folder: Path, output: Path) -> cdk.App:
    """Make an app with a stage for each overlay; write the stage files to `folder`."""
    result = empty_app(output)
    for path in write(folder):
        ServingStage(result, path.stem.capitalize(), stage=load_stage(path))
    return result
