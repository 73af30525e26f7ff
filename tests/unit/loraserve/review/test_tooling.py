"""Lock files and cdk.json as the tooling of a side."""

import json
import subprocess
from pathlib import Path

import pytest

from loraserve.review.tooling import LockedPackage, ToolingError, tooling
from stacks.project import ROOT
from tests.unit.loraserve.review.repository import write


def test_this_repository_pins_every_package() -> None:
    found = tooling(ROOT)
    assert {file for file, _ in found.packages} >= {
        "requirements.txt",
        "requirements-dev.txt",
        "package-lock.json",
        "lambdas/requirements.txt",
        "container/build-requirements.txt",
        "container/gateway/requirements.txt",
    }
    assert all(package.is_exact for package in found.packages.values())
    assert found.packages["package-lock.json", "aws-cdk"].checksum.startswith("sha512-")
    assert "aws-cdk-lib" in {name for _, name in found.packages}
    assert found.options == {}
    assert found.flags == json.loads((ROOT / "cdk.json").read_text())["context"]
    assert set(found.settings) == {"app", "build", "watch"}


def test_every_lock_file_of_pip_is_read() -> None:
    tracked = subprocess.run(
        ["git", "ls-files", "*requirements*.txt"], cwd=ROOT, check=True, capture_output=True, text=True
    )
    assert {file for file, _ in tooling(ROOT).packages} == {*tracked.stdout.split(), "package-lock.json"}


def test_a_requirement_has_version_address_and_checksum(tmp_path: Path) -> None:
    text = """\
# a comment
--extra-index-url https://packages.example.com
--extra-index-url=https://more.example.com
exact[all]==1.0 ; python_version < "4" # why
exact[all]==0.9;python_version<"3"
hashed==2.0 \\
    --hash=sha256:bb \\
    --hash=sha256:aa
direct @ https://example.com/direct.whl
loose>=3,<4
any==5.*
"""
    write(tmp_path, {"requirements.txt": text})
    found = tooling(tmp_path)
    assert found.packages == {
        ("requirements.txt", 'exact[all] ; python_version < "4"'): LockedPackage(
            version="1.0", is_exact=True
        ),
        ("requirements.txt", 'exact[all] ; python_version<"3"'): LockedPackage(version="0.9", is_exact=True),
        ("requirements.txt", "hashed"): LockedPackage(
            version="2.0", is_exact=True, checksum="sha256:aa sha256:bb"
        ),
        ("requirements.txt", "direct"): LockedPackage(
            version="https://example.com/direct.whl", is_exact=True, address="https://example.com/direct.whl"
        ),
        ("requirements.txt", "loose"): LockedPackage(version=">=3,<4", is_exact=False),
        ("requirements.txt", "any"): LockedPackage(version="5.*", is_exact=False),
    }
    indexes = "--extra-index-url https://packages.example.com --extra-index-url=https://more.example.com"
    assert found.options == {("requirements.txt", "--extra-index-url"): indexes}


@pytest.mark.parametrize(
    ("text", "reason"), [("{", "not JSON .*; correct it"), ("[]", "not a JSON object; correct it")]
)
def test_a_broken_lock_file_is_reported(tmp_path: Path, text: str, reason: str) -> None:
    write(tmp_path, {"package-lock.json": text})
    with pytest.raises(ToolingError, match=f"package-lock.json: {reason}"):
        tooling(tmp_path)


def test_an_old_commit_without_the_files_has_no_tooling(tmp_path: Path) -> None:
    found = tooling(tmp_path)
    assert (found.packages, found.options, found.flags, found.settings) == ({}, {}, {}, {})
