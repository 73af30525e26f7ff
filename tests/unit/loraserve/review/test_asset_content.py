"""Differences of content behind the hashes of assets."""

import json
import zipfile
from pathlib import Path

from loraserve.review.assembly import Asset
from loraserve.review.asset_content import (
    build_changes,
    capped,
    changed_files,
    package_changes,
    rank_of,
)
from tests.unit.loraserve.review.editing import write


def folder(path: Path, files: dict[str, str], **build: object) -> Asset:
    return Asset(path=write(path, files), is_image=bool(build), build=build)


def archive(path: Path, files: dict[str, str]) -> Asset:
    with zipfile.ZipFile(path, "w") as opened:
        for name, content in files.items():
            opened.writestr(name, content)
    return Asset(path=path, is_image=False, build={"packaging": "file"})


def test_files_are_compared_by_content(tmp_path: Path) -> None:
    before = folder(tmp_path / "a", {"same.py": "1", "x/changed.py": "1", "gone.py": "1"})
    after = folder(tmp_path / "b", {"same.py": "1", "x/changed.py": "2", "new.py": "1"})
    assert changed_files(before, after) == ["removed: gone.py", "added: new.py", "changed: x/changed.py"]
    assert changed_files(before, before) == []


def test_a_long_list_says_how_much_is_missing() -> None:
    lines = [f"changed: {number}" for number in range(13)]
    assert capped(lines) == [*lines[:10], "and 3 more"]
    assert capped(lines[:10]) == lines[:10]


def test_packages_of_a_layer_have_both_versions(tmp_path: Path) -> None:
    common = {"python/idna-3.20.dist-info/METADATA": "", "python/idna/core.py": "1"}
    before = archive(
        tmp_path / "a.zip", common | {"python/tqdm-4.1.dist-info/METADATA": "", "python/t.py": "1"}
    )
    after = archive(
        tmp_path / "b.zip",
        common
        | {
            "python/tqdm-4.2.dist-info/METADATA": "",
            "python/h11-0.16.0.dist-info/METADATA": "",
            "python/t.py": "2",
        },
    )
    assert package_changes(before, after) == ["h11 new → 0.16.0", "tqdm 4.1 → 4.2"]
    assert "changed: python/t.py" in changed_files(before, after)


def test_a_build_is_compared_without_the_place_of_its_folder(tmp_path: Path) -> None:
    arguments = {"LORAX_IMAGE": "ghcr.io/predibase/lorax:0.12.1"}
    before = folder(
        tmp_path / "a", {}, directory="../asset.a", dockerBuildArgs=arguments, platform="linux/amd64"
    )
    after = folder(
        tmp_path / "b",
        {},
        directory="../asset.b",
        dockerBuildArgs={"LORAX_IMAGE": "ghcr.io/predibase/lorax:0.13"},
        platform="linux/amd64",
    )
    assert build_changes(before, after) == [
        "dockerBuildArgs.LORAX_IMAGE: ghcr.io/predibase/lorax:0.12.1 → ghcr.io/predibase/lorax:0.13"
    ]


def test_a_rank_is_the_largest_of_all_modules() -> None:
    assert rank_of(json.loads('{"r": 8, "rank_pattern": {"q_proj": 32, "v_proj": 4}}')) == 32
    assert rank_of({"r": 8}) == 8
    assert rank_of({}) == 0
