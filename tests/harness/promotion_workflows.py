"""The workflow files of the promotion, run by act with their real commands, over the accounts of a laptop cloud."""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.harness.act import WorkflowRun, run_workflow
from tests.harness.github import REPOSITORY, TOKEN, GitHubDouble
from tests.harness.promotion import ACCOUNTS, Promotion
from tests.harness.working_copy import ENVIRONMENT

#: act gives each run this number.
RUN = 1
LIMIT_S = 900
_SET_BY_ACT = {"PATH", "HOME", "LANG", "PYTHONPATH"}


@dataclass(frozen=True)
class PromotionWorkflows:
    """Runs of the workflow files on the last commit of a promotion's repository."""

    promotion: Promotion
    github: GitHubDouble
    folder: Path

    def release(self, **variables: str) -> WorkflowRun:
        """Run release.yml, as a push to main starts it; `variables` are those of the environments."""
        return self._run("release.yml", "push", {}, variables)

    def roll_back(self, stage: str, reason: str) -> WorkflowRun:
        """Run rollback.yml to the release before."""
        inputs = {"stage": stage, "release": "previous", "reason": reason}
        return self._run("rollback.yml", "workflow_dispatch", {"inputs": inputs}, {})

    def drift(self) -> WorkflowRun:
        """Run drift.yml."""
        return self._run("drift.yml", "schedule", {}, {})

    def _run(
        self, name: str, event_name: str, event: dict[str, Any], variables: Mapping[str, str]
    ) -> WorkflowRun:
        shutil.rmtree(self.folder, ignore_errors=True)
        (self.folder / "artifacts").mkdir(parents=True)
        clone = self.promotion.clone
        commit = subprocess.run(
            ["git", "rev-parse", "main"], cwd=clone, check=True, capture_output=True, text=True
        ).stdout.strip()
        return run_workflow(
            name,
            event_name,
            {"ref": "refs/heads/main", **event},
            self.folder,
            variables={"AWS_REGION": "us-east-1", "AWS_ROLE_ARN": "by the test", **variables},
            credentials=self._credentials(),
            timeout=LIMIT_S,
            ORIGIN=str(clone),
            ARTIFACTS=str(self.folder / "artifacts"),
            GITHUB_API_URL=self.github.url,
            GITHUB_REPOSITORY=REPOSITORY,
            GITHUB_REF="refs/heads/main",
            GITHUB_TOKEN=TOKEN,
            SHA_REF=commit,
            # Unpacked once, as on a runner that keeps its disk.
            JSII_RUNTIME_PACKAGE_CACHE_ROOT=str(Path.home() / ".cache" / "aws" / "jsii" / "package-cache"),
        )

    def _credentials(self) -> dict[str, dict[str, str]]:
        """Return the variables of a stage's environment that are not this process's own."""
        of_stages = {
            stage: {
                name: value
                for name, value in self.promotion.environment(stage).items()
                if ENVIRONMENT.get(name) != value and name not in _SET_BY_ACT
            }
            for stage in ACCOUNTS
        }
        return {
            f"{stage}{kind}": variables
            for stage, variables in of_stages.items()
            for kind in ("", "-plan", "-rollback")
        }
