"""Mistakes at every key of a stage file and of a manifest, through the real reader, and their remedies followed."""

import copy
import re
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any, get_args, get_origin

import pytest
import yaml
from pydantic import BaseModel

from stacks.config.loading import load_stage
from stacks.config.manifest import Manifest
from stacks.config.stage_config import StageConfig
from stacks.sizing.instances import INSTANCE_TYPES
from stacks.typed_yaml import ConfigError

Path_ = tuple[str | int, ...]

STAGE: dict[str, Any] = {
    "account": "111122223333",
    "base_model": {"name": "mistralai/Mistral-7B-Instruct-v0.1", "revision": "0a" * 20},
    "adapters": "manifest.yaml",
    "autoscaling": {
        "schedules": [
            {"name": "night", "cron": "cron(0 20 ? * MON-FRI *)", "min_instances": 1, "max_instances": 2}
        ]
    },
    "tags": {"team": "search"},
}
TENANT = "acme"
MANIFEST: dict[str, Any] = {
    "adapters": [{"name": "team/a", "source": f"hf://org/a@{'0a' * 20}", "labels": {"tenant": TENANT}}]
}
#: Values as a file may have them, each wrong for most keys.
WRITTEN = (
    *("[1]", "{x: 1}", "''", "null", "true", "-1", "1.5", "abc", "'5000000'", "9999999999999"),
    *("2026-11-27", "1e3", ".nan", "[null]", "'true'"),
)
#: Words of Python, pydantic and JSON Schema, which a YAML file has none of.
INTERNAL = re.compile(
    r"Input should|String should|(str|string|int|list|model|bool|dict|float)_type|constrained|literal\[|tagged-union|pydantic|instance of|\bdict\b"
    r"|\bNone\b|\bTrue\b|\bFalse\b|datetime|\bstr\b|\bint\b|\[key\]|\\d|\[\^"
    r"|\b(Engine|Gateway|BaseModelSource|Schedule|StageConfig|Rollout|Security|Adapter|DeclaredLimits|Manifest)\b"
)


def keys(model: type[BaseModel], start: Path_ = ()) -> Iterator[Path_]:
    """Yield the path of every key, those of a list's items at its first item, a mapping's at one tenant."""
    for name, field in model.model_fields.items():
        yield (*start, name)
        section, item = section_of(field.annotation)
        if section is not None:
            yield from keys(section, (*start, name, *item))


def section_of(annotation: Any) -> tuple[type[BaseModel] | None, Path_]:
    """Return the section that a key takes, and the path from the key to one."""
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return annotation, ()
    found = [section for section, _ in map(section_of, get_args(annotation)) if section is not None]
    item: Path_ = (TENANT,) if get_origin(annotation) is dict else (0,)
    return (found[0], item) if found else (None, ())


def written(content: dict[str, Any], path: Path_, text: str | None) -> str:
    """Return the file with `text` at a path; without the key if it is None."""
    changed = copy.deepcopy(content)
    parent: Any = changed
    for part in path[:-1]:
        parent = parent.setdefault(part, {}) if isinstance(parent, dict) else parent[part]
    if text is None:
        parent.pop(path[-1], None)
        return yaml.safe_dump(changed, sort_keys=False)
    parent[path[-1]] = "VALUE"
    return yaml.safe_dump(changed, sort_keys=False).replace("VALUE", text)


def load(folder: Path, stage: str, manifest: str) -> str | None:
    """Load the files; return the message, from the key on, None if there is none."""
    (folder / "stage.yaml").write_text(stage)
    (folder / "manifest.yaml").write_text(manifest)
    try:
        load_stage(folder / "stage.yaml")
    except ConfigError as error:
        message = str(error)
        assert re.match(rf"{re.escape(str(folder))}/(stage|manifest)\.yaml: ", message), message
        return message.partition(".yaml: ")[2]
    return None


def try_value(folder: Path, file: str, path: Path_, text: str | None) -> str | None:
    if file == "stage.yaml":
        return load(folder, written(STAGE, path, text), yaml.safe_dump(MANIFEST))
    return load(folder, yaml.safe_dump(STAGE), written(MANIFEST, path, text))


def key_of(path: Path_) -> str:
    """Return a key as messages name it: the two lists of the files have items with names."""
    text = ".".join(str(part) for part in path)
    return text.replace("schedules.0", "schedules['night']").replace("adapters.0", "adapters['team/a']")


def proposals(message: str) -> list[str | None]:
    """Return the values that a message proposes, as a file has them; None to leave the key out."""
    found: list[str | None] = []
    if "or leave the key out" in message:
        found.append(None)
    if quoted := re.search(r"write it in quotes: ('.*')$", message):
        found.append(quoted[1])
    if number := re.search(r": write (-?[\d.]+)$", message):
        found.append(number[1])
    if limits := re.search(r"write a (?:whole )?number from (\S+) to (\S+?)(?:,|$)", message):
        found += limits.groups()
    if least := re.search(r"write a (?:whole )?number, (\S+) or more", message):
        found.append(least[1])
    if most := re.search(r"write a number above (\S+) and (?:at most|below) (\S+?)(?:,|$)", message):
        found.append(str((float(most[1]) + float(most[2])) / 2))
    if example := re.search(r"e\.g\. (\S+|cron\(.*?\))(?:,|$)", message):
        found.append(f"'{example[1]}'")
    if choices := re.search(r": write ([\w-]+(?:, [\w-]+)* or [\w-]+)(?:, or leave the key out)?$", message):
        found += re.split(r", | or ", choices[1])
    return found


def is_same(message: str, other: str | None) -> bool:
    """Return whether another value has the same fault as the first one: the remedy did not work."""
    tail = message.rpartition(": ")[2]
    return other is not None and other.rpartition(": ")[2] == tail


@pytest.mark.parametrize(
    ("file", "path"),
    [
        *(("stage.yaml", path) for path in keys(StageConfig)),
        *(("manifest.yaml", path) for path in keys(Manifest)),
    ],
    ids=lambda value: value if isinstance(value, str) else key_of(value),
)
def test_a_wrong_value_is_named_as_it_is_written_and_its_remedy_works(
    tmp_path: Path, file: str, path: Path_
) -> None:
    assert load(tmp_path, yaml.safe_dump(STAGE), yaml.safe_dump(MANIFEST)) is None
    attempt = cache(lambda text: try_value(tmp_path, file, path, text))
    for text in WRITTEN:
        message = attempt(text)
        if message is None:
            continue
        assert message.isprintable()
        assert INTERNAL.search(message) is None, message
        # The key itself, one below it, or the section and the key's own name.
        start = message.partition(": ")[0]
        named = str(path[-1]) if isinstance(path[-1], str) else ""
        assert start.startswith(key_of(path)) or named in message, message
        if start == key_of(path) and text != "null" and not (text[0] == "{" and path[-1] == "arguments"):
            shown = "a list" if text[0] == "[" else "keys with values" if text[0] == "{" else text
            assert f"{start}: {shown}" in message.replace(f"'{text}'", text), message
        if start == key_of(path):
            for proposal in proposals(message):
                other = attempt(proposal)
                assert not is_same(message, other), (message, proposal, other)


@pytest.mark.parametrize(
    ("file", "path"),
    [
        *(("stage.yaml", path) for path in keys(StageConfig)),
        *(("manifest.yaml", path) for path in keys(Manifest)),
    ],
    ids=lambda value: value if isinstance(value, str) else key_of(value),
)
def test_a_misspelled_key_is_named_with_the_one_that_is_meant(tmp_path: Path, file: str, path: Path_) -> None:
    name = str(path[-1])
    misspelled = (*path[:-1], name[:-2] + name[-1] + name[-2] if len(name) > 2 else name + "x")
    message = try_value(tmp_path, file, misspelled, "1")
    assert message is not None
    if message.startswith(key_of(misspelled)):
        assert f"unknown key, did you mean {name!r}" in message


@pytest.mark.parametrize(
    ("path", "meant"),
    [
        (("quantize",), "engine.quantize"),
        (("engine", "instance_type"), "endpoint.instance_type"),
        (("endpoint", "min_instances"), "autoscaling.min_instances"),
        (("base_model", "region"), "region"),
    ],
)
def test_a_key_in_another_section_is_named_with_its_own(tmp_path: Path, path: Path_, meant: str) -> None:
    message = try_value(tmp_path, "stage.yaml", path, "1")
    assert message is not None
    assert f"unknown key, did you mean {meant};" in message


@pytest.mark.parametrize(("engine", "highest"), [("lorax", 128), ("vllm", 512)])
def test_the_highest_rank_that_a_message_names_is_one_of_the_engine(
    tmp_path: Path, engine: str, highest: int
) -> None:
    for rank in (0, highest + 1, 10**9):
        message = try_value(
            tmp_path, "stage.yaml", ("engine",), f"{{name: {engine}, max_adapter_rank: {rank}}}"
        )
        assert message is not None
        assert f"max_adapter_rank: {rank}: write a whole number from 1 to {highest}" in message
    text = f"{{name: {engine}, max_adapter_rank: {highest}, max_active_adapters: 1}}"
    message = try_value(tmp_path, "stage.yaml", ("engine",), text)
    assert message is None or not message.startswith("engine.max_adapter_rank"), message


@pytest.mark.parametrize(
    ("written", "message"),
    [
        ("{}", "adapters: missing; write it: list of entries, each with `name` and `source`; `[]` for none"),
        (
            "adapters: [{source: s3://bucket/a/}]",
            "adapters[item 1].name: missing; write it: lower-case letters, digits and `. _ -`, in parts separated by "
            "`/`; at most 200 characters, no `--`",
        ),
        (
            "adapters: [{name: a}]",
            "adapters['a'].source: missing; write it: `hf://org/repo@<commit>`, `hf://org/repo/folder@<commit>`, "
            "`s3://bucket/prefix/` or a local directory, relative to the manifest",
        ),
    ],
)
def test_a_missing_key_is_named_with_its_whole_first_sentence(
    tmp_path: Path, written: str, message: str
) -> None:
    assert load(tmp_path, yaml.safe_dump(STAGE), written) == message


def applied(changes: str) -> dict[str, Any]:
    """Return the stage with the changes of one remedy, such as `endpoint.a: x with engine.b: 8`."""
    changed = copy.deepcopy(STAGE)
    for change in changes.split(" with "):
        written, _, without = change.partition(" without ")
        if without:
            section, name = without.split(".")
            changed[section].pop(name)
        key, value = written.split(": ")
        section, name = key.split(".")
        changed.setdefault(section, {})[name] = yaml.safe_load(value)
    return changed


@pytest.mark.parametrize("base_model", ["mistralai/Mistral-7B-Instruct-v0.1", "Qwen/Qwen2.5-7B"])
@pytest.mark.parametrize(
    "engine",
    [
        {"name": "lorax", "max_total_tokens": 200_000},
        {"name": "lorax", "max_total_tokens": 10**13},
        {"name": "lorax", "adapter_memory_fraction": 0.6, "dtype": "float16"},
        {"name": "lorax", "tensor_parallel": 3},
        {"name": "lorax", "quantize": "fp8"},
        {"name": "vllm", "max_active_adapters": 512, "max_adapter_rank": 256},
        {"name": "vllm", "tensor_parallel": 8},
        {"name": "vllm", "dtype": "bfloat16", "max_active_adapters": 256},
    ],
    ids=str,
)
def test_each_change_that_a_gpu_check_proposes_is_enough_alone(
    tmp_path: Path, engine: dict[str, Any], base_model: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(STAGE, "engine", engine)
    monkeypatch.setitem(STAGE, "base_model", {"name": base_model, "revision": "0a" * 20})
    message = load(tmp_path, yaml.safe_dump(STAGE), yaml.safe_dump(MANIFEST))
    assert message is not None
    for changes in (re.findall(r": write ([a-z_]+\..*)$", message) or [""])[0].split("; or "):
        if changes:
            assert load(tmp_path, yaml.safe_dump(applied(changes)), yaml.safe_dump(MANIFEST)) is None, message
    start = message.partition(": ")[0]
    for family in (
        (re.findall(r"take (ml\..*?)(?: for .*|, or .*)?$", message) or [""])[0]
        .replace(" or ", ", ")
        .split(", ")
    ):
        types = [name for name in INSTANCE_TYPES if name.startswith(f"{family}.")] if family else []
        for name in types:
            other = load(
                tmp_path, yaml.safe_dump(applied(f"endpoint.instance_type: {name}")), yaml.safe_dump(MANIFEST)
            )
            assert not is_same(message, other), other
    if numbers := re.search(r": write (\d+(?:(?:, | or )\d+)*)", message):
        for number in re.split(r", | or ", numbers[1]):
            other = load(tmp_path, yaml.safe_dump(applied(f"{start}: {number}")), yaml.safe_dump(MANIFEST))
            assert other is None or not other.startswith(f"{start}: "), other
