"""The model of pipeline.yaml."""

from __future__ import annotations

from pathlib import Path

import pytest

from stacks.config.pipeline_config import PipelineConfig
from stacks.project import ROOT
from stacks.typed_yaml import ConfigError, read


def parsed(folder: Path, text: str) -> PipelineConfig:
    path = folder / "pipeline.yaml"
    path.write_text(text)
    return read(path, PipelineConfig)


@pytest.mark.parametrize("repository", ["octo-org/octo.repo", "octo-org@123456/octo-repo@456789"])
def test_a_repository_is_named_as_its_tokens_name_it(tmp_path: Path, repository: str) -> None:
    assert parsed(tmp_path, f"repository: {repository}\n").repository == repository


@pytest.mark.parametrize(
    "repository",
    ["repo:a/b", "a", "a/b/c", "a/*", "'*'", "a@1/b", "a/b@2", "a@x/b@y", "a/b:environment:prod"],
)
def test_another_text_is_refused_with_the_command_that_prints_it(tmp_path: Path, repository: str) -> None:
    with pytest.raises(ConfigError, match="gh api repos/OWNER/NAME/actions/oidc/customization/sub"):
        parsed(tmp_path, f"repository: {repository}\n")


def test_the_shipped_file_trusts_no_repository() -> None:
    with pytest.raises(ConfigError, match="repository: no value: write what this prints"):
        read(ROOT / "pipeline.yaml", PipelineConfig)


def test_a_provider_of_another_issuer_is_refused(tmp_path: Path) -> None:
    other = "arn:aws:iam::111122223333:oidc-provider/token.example.org"
    with pytest.raises(ConfigError, match="existing_providers"):
        parsed(tmp_path, f"repository: a/b\nexisting_providers: ['{other}']\n")
