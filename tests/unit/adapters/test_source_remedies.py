"""The commands of a remedy, run in a shell, with a stand-in for the AWS CLI that copies in a folder."""

import os
import re
import subprocess
import tarfile
import zipfile
from pathlib import Path

import pytest

from adapters.source_remedies import unpacking

#: `aws s3 cp [--recursive] FROM TO`, where FROM or TO is `-` or a URI, which is a path in $BUCKETS.
AWS = """#!/bin/sh
shift 2
case $1 in --recursive) mkdir -p "$BUCKETS/${3#s3://}"; exec cp -r "$2/." "$BUCKETS/${3#s3://}";; esac
case $2 in -) exec cat "$BUCKETS/${1#s3://}";; *) exec cp "$BUCKETS/${1#s3://}" "$2";; esac
"""


@pytest.mark.parametrize("archive", ["model.tar.gz", "model.tgz", "model.tar", "my model.zip"])
@pytest.mark.parametrize("in_s3", [True, False])
def test_the_commands_of_the_remedy_unpack_the_archive(tmp_path: Path, archive: str, in_s3: bool) -> None:
    place = tmp_path / "bucket/job/output" if in_s3 else tmp_path
    place.mkdir(parents=True, exist_ok=True)
    packed = tmp_path / "adapter_config.json"
    packed.write_text("{}")
    if archive.endswith(".zip"):
        with zipfile.ZipFile(place / archive, "w") as file:
            file.write(packed, packed.name)
    else:
        with tarfile.open(place / archive, "w:gz" if "gz" in archive else "w") as file:
            file.add(packed, packed.name)
    (tmp_path / "bin").mkdir()
    (tmp_path / "bin/aws").write_text(AWS)
    (tmp_path / "bin/aws").chmod(0o755)
    remedy = unpacking(f"s3://bucket/job/output/{archive}" if in_s3 else archive)
    run = re.fullmatch(r"unpack it with `(?P<commands>.*)`, and name (?P<source>.*)", remedy)
    assert run is not None
    environment = os.environ | {"PATH": f"{tmp_path}/bin:{os.environ['PATH']}", "BUCKETS": str(tmp_path)}
    (tmp_path / "work").mkdir()
    folder = tmp_path / "work" if in_s3 else tmp_path
    subprocess.run(["sh", "-c", run["commands"]], cwd=folder, env=environment, check=True, timeout=30)
    assert (tmp_path / run["source"].removeprefix("s3://") / "adapter_config.json").read_text() == "{}"
