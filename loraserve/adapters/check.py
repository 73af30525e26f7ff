"""Checking an adapter by the stage's rules before it is published."""

from __future__ import annotations

import time
from dataclasses import dataclass
from pathlib import Path

import huggingface_hub

from adapters.files import LocalFile
from adapters.source import HubSource, LocalSource, PackedSource, SourceError, parse_source
from adapters.store.transfer import OutOfTime
from adapters.validation.base_model import BaseModelFacts
from ingest.adapter_files import AdapterFiles
from ingest.candidate import Candidate, check_candidate
from ingest.hub import Hub
from ingest.local_directory import read_directory
from ingest.locator import Locator
from ingest.model_files import ModelFiles, hub_model
from loraserve.adapters.stage_store import StageStore
from stacks.config.local_model import LocalModel
from stacks.config.stage_config import LoadedStage, StageConfig

#: Time limit for reading the base model from the Hub; a command waits for it.
HUB_SECONDS = 15.0


@dataclass(frozen=True)
class ModelIdentity:
    """A base model by its content."""

    name: str
    revision: str
    """The Hub's commit, or the prefix of a local model, which follows from its files."""

    def __str__(self) -> str:
        """Return it in the Hub's notation."""
        return f"{self.name}@{self.revision}"


@dataclass(frozen=True)
class StageBase:
    """The facts about a stage's base model that adapters are checked against."""

    facts: BaseModelFacts | None
    revision: str
    """Identifier of the model's content: the Hub's commit, or the prefix of a local model."""
    unknown: str | None = None
    """Reason for missing facts."""

    @property
    def warning(self) -> str | None:
        """The warning for the user, None if the facts are known."""
        if self.facts is not None:
            return None
        return f"not checked against the base model's dimensions: {self.unknown}"


def check(store: StageStore, name: str, source: str, base: StageBase, sha256: str | None = None) -> Candidate:
    """Locate an adapter and check it; `sha256` (hex) is the expected hash of the source's weights file.

    `source` is a directory or a source of a manifest. `name` appears in messages only.
    Raises `SourceError` or `InvalidAdapter`.
    """
    return check_candidate(name, locate(store, source), store.rules, base.facts, sha256)


def checked_for(store: StageStore, base: StageBase) -> str:
    """Return `checked_for` of the registry entry of an adapter that passed `check`."""
    return store.rules.checked_for(base.revision, dimensions_known=base.facts is not None)


def locate(store: StageStore, text: str) -> AdapterFiles:
    """Locate the files of a directory or another source; raises `SourceError`."""
    source = parse_source(text)
    match source:
        case LocalSource(path):
            return read_directory(path, Path(path))
        case PackedSource():
            raise SourceError(text, "it is known to a deployment only", "name the directory")
    return Locator(store.s3, store.bucket, _hub(store.stage), None, {}).locate(source)


def model_identity(config: StageConfig, directory: Path) -> ModelIdentity:
    """Return the base model of a stage file in `directory`."""
    model = config.base_model
    if model.path is not None:
        return ModelIdentity(model.name, LocalModel(model.name, (directory / model.path).resolve()).prefix)
    # `stacks.config.stage_config` refuses a stage with neither path nor revision.
    return ModelIdentity(model.name, str(model.revision))


def read_base(stage: LoadedStage) -> StageBase:
    """Read the base model's dimensions from its local directory or from the Hub, if possible."""
    model = stage.config.base_model
    if model.path is not None:
        local = LocalModel(model.name, (stage.directory / model.path).resolve())
        files = ModelFiles(model.name, {path.name: LocalFile(path) for path in local.files}, {})
        return StageBase(files.facts(), local.prefix)
    revision = model_identity(stage.config, stage.directory).revision
    until = time.monotonic() + HUB_SECONDS
    hub = _hub(stage, until)
    try:
        return StageBase(hub_model(hub, HubSource(model.name, revision), with_code=False).facts(), revision)
    except SourceError as error:
        return StageBase(None, revision, str(error))
    except OutOfTime:
        return StageBase(None, revision, f"{hub.endpoint} does not answer; check the network")


def _hub(stage: LoadedStage, until: float = float("inf")) -> Hub:
    """Return a client of the stage's Hub with the user's login (`hf auth login`)."""
    return Hub(
        stage.config.hub_endpoint,
        huggingface_hub.get_token(),
        has_time=lambda: time.monotonic() < until,
        how_to_log_in="log in with `hf auth login`",
    )
