"""The base model: open to what will read it, complete, in the right format, and small enough for the disk."""

from __future__ import annotations

from collections.abc import Generator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from adapters.files import LocalFile
from adapters.source import HubSource, SourceError
from adapters.store.transfer import OutOfTime
from adapters.validation.base_model import BaseModelFacts, InvalidBaseModel
from ingest.base_model import open_base_model
from ingest.hub import ClosedRepository
from ingest.model_files import ModelFiles, hub_model
from loraserve.doctor.sources.disk import check_disk
from loraserve.doctor.sources.hub_access import HubAccess
from loraserve.doctor.sources.seeder_token import how_to_store
from loraserve.finding import Finding, ok, problem, unknown
from stacks.config.local_model import LocalModel
from stacks.config.stage_config import LoadedStage

CHECK = "base model"
_GB = 10**9


@dataclass(frozen=True)
class ReadModel:
    """The base model's files and facts."""

    files: ModelFiles
    facts: BaseModelFacts

    @property
    def size(self) -> int:
        """Bytes of all files that an engine needs."""
        return sum(file.size for file in self.files.files.values())


def check_base_model(
    stage: LoadedStage, access: HubAccess, silence: str | None, ec2: Any
) -> Generator[Finding, None, BaseModelFacts | None]:
    """Yield the findings, and return the facts that adapters are checked against, if they are known.

    `silence` is the reason why the Hub cannot be asked; None if it answers. `ec2` is a boto3 client.
    """
    model = stage.config.base_model
    if stage.local_model is not None:
        return (yield from _local(stage, stage.local_model, ec2))
    source = HubSource(model.name, str(model.revision))
    if silence is not None:
        yield unknown(CHECK, f"{source}: not checked: {silence}; the seeder may reach it")
        return None
    code = stage.config.engine.trust_remote_code
    try:
        files = open_base_model(source, access.seeder, mirrored=model.mirror, with_code=code)
        read = ReadModel(files, files.facts())
    except InvalidBaseModel as error:
        yield _unusable(stage, access, source, error)
        return _facts_for_seeder(stage, access, source, error)
    except (SourceError, OutOfTime) as error:
        yield access.finding(CHECK, str(source), error)
        return None
    yield ok(CHECK, f"{source}: {_described(read)}, {_readable(stage, access)}")
    yield check_disk(stage.config, ec2, read.size)
    return read.facts


def _local(stage: LoadedStage, folder: Path, ec2: Any) -> Generator[Finding, None, BaseModelFacts | None]:
    """Report a local model; loading the stage has found its config."""
    config = stage.config
    local = LocalModel(config.base_model.name, folder)
    files = ModelFiles(config.base_model.name, {path.name: LocalFile(path) for path in local.files}, {})
    try:
        read = ReadModel(files, files.facts())
    except InvalidBaseModel as error:
        yield problem(CHECK, f"{folder}: {error.problem}", error.remedy)
        return None
    except OSError as error:
        yield problem(CHECK, f"{error.filename} cannot be read ({error.strerror})", "check its permissions")
        return None
    yield ok(CHECK, f"{config.base_model.path}: {_described(read)}, uploaded from this machine")
    yield check_disk(stage.config, ec2, read.size)
    return read.facts


def _unusable(stage: LoadedStage, access: HubAccess, source: HubSource, error: InvalidBaseModel) -> Finding:
    """Report a model that cannot be fetched by the process that will fetch it."""
    closed = error.__cause__
    if isinstance(closed, ClosedRepository):
        if stage.config.base_model.mirror and access.token.unreadable:
            return access.finding(CHECK, str(source), closed)
        if access.token.value is None:
            return problem(
                CHECK, f"{source}: {error.problem}", f"{error.remedy}. A token: {how_to_store(stage.config)}"
            )
    return problem(CHECK, f"{source}: {error.problem}", error.remedy)


def _facts_for_seeder(
    stage: LoadedStage, access: HubAccess, source: HubSource, error: InvalidBaseModel
) -> BaseModelFacts | None:
    """Read the facts with the seeder's token, where the model is closed to the container only."""
    if not isinstance(error.__cause__, ClosedRepository) or stage.config.base_model.mirror:
        return None
    try:
        return hub_model(access.seeder, source, with_code=False).facts()
    except (SourceError, InvalidBaseModel, OutOfTime):
        return None


def _described(read: ReadModel) -> str:
    return (
        f"{len(read.files.files)} files, {read.size / _GB:.1f} GB, {len(read.files.weights)} of safetensors"
    )


def _readable(stage: LoadedStage, access: HubAccess) -> str:
    if not stage.config.base_model.mirror:
        return "open to the container"
    return "readable without a token" if access.token.value is None else "readable with the seeder's token"
