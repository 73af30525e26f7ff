"""Local adapters, checked at synth by the rules that the seeder applies later."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from adapters.errors import InvalidAdapter
from adapters.files import LocalFile, sha256_of
from adapters.source import LocalSource, SourceError
from adapters.validation.base_model import BaseModelFacts, InvalidBaseModel
from adapters.validation.check_adapter import check_adapter
from adapters.validation.rules import Rules
from ingest.local_directory import read_directory
from ingest.pytorch.converted_file import ConvertedFile
from stacks.config.manifest import Adapter, Manifest

if TYPE_CHECKING:
    from stacks.config.sections.base_model import BaseModelSource
    from stacks.config.sections.engine import Engine


def check_local_adapters(manifest: Manifest, directory: Path, rules: Rules, model: Path | None) -> None:
    """Check each adapter of a manifest whose source is a directory, relative to `directory`.

    `model` is the base model's directory, where it is local. Of weights only the headers are read, unless the
    manifest gives a SHA-256. Raises `InvalidAdapter` or `InvalidBaseModel`.
    """
    local = [
        (adapter, directory / source.path)
        for adapter in manifest.adapters
        if isinstance(source := adapter.parsed_source, LocalSource)
    ]
    if local:
        base = _base_model(rules.base_model, model) if model is not None else None
        for adapter, folder in local:
            _check(adapter, folder, rules, base)


def stage_rules(engine: Engine, base_model: BaseModelSource) -> Rules:
    """Make the rules of a stage for its adapters."""
    modules = engine.adapter_target_modules
    return Rules(
        engine=engine.name,
        max_rank=engine.max_adapter_rank,
        base_model=base_model.name,
        target_modules=None if modules is None else tuple(modules),
        gpus=engine.tensor_parallel,
        also_known_as=tuple(sorted(base_model.also_known_as)),
    )


def _base_model(name: str, directory: Path) -> BaseModelFacts:
    # As save_pretrained names them: some repositories hold the same weights again, in their authors' format.
    weights = [LocalFile(path) for path in sorted(directory.glob("model*.safetensors"))]
    try:
        return BaseModelFacts.read(name, (directory / "config.json").read_bytes(), weights)
    except OSError as error:
        raise InvalidBaseModel(name, f"its files cannot be read ({error.strerror})", "check them") from error


def _check(adapter: Adapter, folder: Path, rules: Rules, base: BaseModelFacts | None) -> None:
    try:
        files = read_directory(str(folder), folder)
        check_adapter(adapter.name, files.config, files.weights, rules, base)
        at_source = files.weights.checkpoint if isinstance(files.weights, ConvertedFile) else files.weights
        found = None if adapter.sha256 is None else sha256_of(at_source)
    except SourceError as error:
        raise InvalidAdapter(adapter.name, f"{folder}: {error.problem}", error.remedy) from error
    if found != adapter.sha256:
        raise InvalidAdapter(
            adapter.name,
            f"sha256: its weights hash to {found}, the manifest says {adapter.sha256}",
            "write what they hash to if they are meant, or put the right weights there",
        )
