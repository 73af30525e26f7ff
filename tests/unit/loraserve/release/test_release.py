"""The description of a release: its id and its commit are no free text."""

from pathlib import Path
from typing import Any

import boto3
import pytest

from loraserve.release.ledger import Ledger
from loraserve.release.release import ReleaseError, read_release, to_json
from tests.unit.loraserve.promotion.records import release


@pytest.mark.parametrize(
    "fields",
    [
        # It would be a key beside the releases, or a command of GitHub's log.
        {"release": "../current.json"},
        {"release": "2026-11-27-1111111\n::add-mask::x"},
        {"release": "2026-11-27-1111111\n"},
        {"commit": "--output=/etc/passwd"},
        {"commit": "1" * 7},
        # The order goes by the commit, and people by the id.
        {"release": "2026-11-27-2222222"},
    ],
)
def test_a_description_with_another_id_or_commit_is_refused(tmp_path: Path, fields: dict[str, Any]) -> None:
    good = release()
    file = tmp_path / "release.json"
    file.write_bytes(to_json(good))
    assert read_release(file) == good
    file.write_bytes(to_json(good.model_copy(update=fields)))
    with pytest.raises(ReleaseError, match="is no release of this version"):
        read_release(file)


@pytest.mark.parametrize("name", ["..", "../other", "records/2026", "", "-\n"])
def test_a_release_is_fetched_by_an_id(tmp_path: Path, name: str) -> None:
    s3 = boto3.client("s3", "us-east-1", aws_access_key_id="a", aws_secret_access_key="b")
    with pytest.raises(ReleaseError, match="is no id of a release"):
        Ledger(s3, "bucket", "prod").download(name, tmp_path)
