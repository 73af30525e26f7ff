"""Files that are read as a model."""

from datetime import date
from pathlib import Path

import pytest

from stacks.config.loading import load_stage
from stacks.typed_yaml import ConfigError, Strict, read

#: A merge of two branches left each key of both.
MANIFEST = """\
adapters:
  - {name: team/a, source: hf://org/a@main}
  - {name: team/b, source: hf://org/b@main, source: hf://org/other@main}
adapters:
  - {name: team/c, source: hf://org/c@main}
"""
STAGE = """\
region: us-east-1
engine: {name: lorax, max_adapter_rank: 64}
base_model: {name: mistralai/Mistral-7B-Instruct-v0.1, revision: 9ab9e76e2b09f9f29ea2d56aa5bd139e4445c59e}
adapters: manifest.yaml
allow_unpinned_sources: true
engine: {name: lorax, max_adapter_rank: 8}
region: eu-west-1
"""


class Log(Strict):
    """A part of a file."""

    days: int = 30
    since: date | None = None


class File(Strict):
    """A file."""

    name: str = ""
    share: float = 0.5
    log: Log = Log()


def refusal(folder: Path, content: str) -> str:
    path = folder / "file.yaml"
    path.write_text(content)
    with pytest.raises(ConfigError) as caught:
        read(path, File)
    return str(caught.value).removeprefix(f"{path}: ")


def test_a_merge_that_left_keys_of_both_branches_is_refused(tmp_path: Path) -> None:
    stage, manifest = tmp_path / "dev.yaml", tmp_path / "manifest.yaml"
    stage.write_text(STAGE)
    manifest.write_text(MANIFEST)
    found = []
    for file, line in ((stage, 2), (stage, 1), (manifest, None), (manifest, 1)):
        with pytest.raises(ConfigError) as caught:
            load_stage(stage)
        found.append(str(caught.value))
        lines = file.read_text().splitlines()
        if line is None:
            lines[2] = lines[2].replace(", source: hf://org/other@main", "")
        else:
            del lines[line - 1]
        file.write_text("\n".join(lines))
    assert found == [
        f"{stage}: line 6: 'engine' is there twice, first in line 2; keep one of them",
        f"{stage}: line 6: 'region' is there twice, first in line 1; keep one of them",
        f"{manifest}: line 3: 'source' is there twice; keep one of them",
        f"{manifest}: line 4: 'adapters' is there twice, first in line 1; keep one of them",
    ]


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("", "it is empty; write keys such as name, share, log"),
        ("- a", "it is a list; write keys such as name, share, log"),
        ("name", "it has no keys; write keys such as name, share, log"),
        ("name: 12", "name: 12: Input should be a valid string; write it in quotes: '12'"),
        ("name: yes", "name: yes: Input should be a valid string; write it in quotes: 'yes'"),
        ("name: 1_0", "name: 1_0: Input should be a valid string; write it in quotes: '1_0'"),
        ("name:", "name: no value: Input should be a valid string; write one"),
        ("name: ~", "name: no value: Input should be a valid string; write one"),
        ("name: [a]", "name: ['a']: Input should be a valid string"),
        ("share: yes", "share: yes: Input should be a valid number"),
        ("share: 1e-3", "share: '1e-3': Input should be a valid number; write 0.001"),
        ("share: '1'", "share: '1': Input should be a valid number; write it without quotes"),
        ("share: 1e999", "share: '1e999': Input should be a valid number"),
        ("share: 20%", "share: '20%': Input should be a valid number"),
        ("log: {days: 1.0e3}", "log.days: '1.0e3': Input should be a valid integer; write 1000"),
        ("log: {since: '2026-11-27'}", "log.since: '2026-11-27': Input should be a valid date; write it without quotes"),
        ("log: {since: 2026-11-27, dyas: 3}", "log.dyas: unknown key, did you mean 'days'; valid: days, since"),
    ],
)  # fmt: skip
def test_a_value_is_shown_as_it_is_written_with_what_to_write(
    tmp_path: Path, content: str, message: str
) -> None:
    assert refusal(tmp_path, content) == message


def test_a_file_that_cannot_be_opened_is_named(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=rf"^{tmp_path}: cannot be read: Is a directory$"):
        read(tmp_path, File)
