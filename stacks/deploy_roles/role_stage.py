"""A stage as its roles need it."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from stacks.config.derived import rollout_plan
from stacks.config.stage_config import LoadedStage
from stacks.config.stage_target import StageTarget

#: A job of GitHub's own runners ends after six hours, https://docs.github.com/en/actions/reference/limits
_JOB_SECONDS = 6 * 3600
#: Beside the rollout: seeding has an hour, the other stacks and the verification another one.
_REST_SECONDS = 2 * 3600
#: IAM's limit of MaxSessionDuration.
_SESSION_LIMIT = 12 * 3600


@dataclass(frozen=True, kw_only=True)
class RoleStage:
    """A stage, and the stages before and after it."""

    target: StageTarget
    account: str
    giving: StageTarget | None
    """The stage that releases come from; None for the first one."""
    takers: tuple[StageTarget, ...]
    """Stages of other accounts that take releases from this one."""
    key_arn: str | None
    """The key that the stage file names; None for the stage's own key, or S3's."""
    boundary: str | None
    """Name of the managed policy that bounds the stage's roles."""
    session_seconds: int
    """Longest session of the roles that deploy: that of a job, or of a rollout if that takes longer."""


def role_stages(stages: Iterable[LoadedStage]) -> list[RoleStage]:
    """Return the stages with an `account`, in the given order."""
    loaded = {stage.name: stage for stage in stages}
    return [
        RoleStage(
            target=stage.target,
            account=stage.config.account,
            giving=_giving(stage, loaded),
            takers=tuple(
                other.target
                for other in loaded.values()
                if other.config.promote_from == stage.name
                and other.config.account not in {None, stage.config.account}
            ),
            key_arn=stage.config.security.key_arn,
            boundary=stage.config.security.permissions_boundary,
            session_seconds=_session(stage),
        )
        for stage in loaded.values()
        if stage.config.account is not None
    ]


def _giving(stage: LoadedStage, loaded: dict[str, LoadedStage]) -> StageTarget | None:
    before = loaded.get(stage.config.promote_from or "")
    return None if before is None else before.target


def _session(stage: LoadedStage) -> int:
    rollout = rollout_plan(stage.config).timeout + _REST_SECONDS
    return min(_SESSION_LIMIT, max(_JOB_SECONDS, rollout))
