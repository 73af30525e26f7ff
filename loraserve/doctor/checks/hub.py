"""The base model and each source of the manifest, asked as the seeder will ask."""

from __future__ import annotations

from collections.abc import Iterator

from adapters.source import HubSource
from loraserve.aws import Client
from loraserve.doctor.sources.adapter_sources import CHECK, check_adapter_sources, source_groups
from loraserve.doctor.sources.base_model import check_base_model
from loraserve.doctor.sources.hub_access import HubAccess
from loraserve.doctor.sources.s3_access import S3Access
from loraserve.doctor.sources.seeder_token import seeder_token
from loraserve.finding import Finding
from stacks.config.stage_config import LoadedStage


def check(stage: LoadedStage, client: Client) -> Iterator[Finding]:
    """Yield the findings about base model and adapters; the limit for all of them is about half a minute."""
    access = HubAccess(stage.config, seeder_token(stage.config, client))
    silence = access.silence() if _asks_hub(stage) else None
    facts = yield from check_base_model(stage, access, silence, client("ec2"))
    yield from check_adapter_sources(
        stage, hub=access, silence=silence, s3=S3Access(CHECK, stage.config, client), facts=facts
    )


def _asks_hub(stage: LoadedStage) -> bool:
    groups = source_groups(stage)
    return stage.local_model is None or any(isinstance(group.source, HubSource) for group in groups)
