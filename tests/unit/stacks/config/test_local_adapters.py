import hashlib
import json
import shutil
from pathlib import Path
from typing import Any

import pytest
import torch
import yaml
from safetensors.torch import load_file

from adapters.files import LocalFile, sha256_of
from adapters.store.layout import CONFIG_FILE, WEIGHTS_FILE
from ingest.adapter_files import CONVERSION_FILE, Conversion
from ingest.pytorch.converted_file import CHECKPOINT_FILE
from stacks.config.loading import load_stage
from stacks.config.manifest import Manifest
from stacks.project import ROOT
from stacks.typed_yaml import ConfigError

SAMPLES = ROOT / "samples"
STAGE = """
engine: {name: vllm, max_adapter_rank: 8}
base_model: {name: tiny-mistral, path: model}
adapters: adapters.yaml
"""
POINTER = b"version https://git-lfs.github.com/spec/v1\noid sha256:" + b"0" * 64 + b"\nsize 59408\n"
HUB = (
    "base_model: {name: tiny-mistral, revision: 9ab9e76e2b09f9f29ea2d56aa5bd139e4445c59e}\n"
    "adapters: adapters.yaml\nautoscaling: {target: 5}\n"
)


@pytest.fixture
def stage(tmp_path: Path) -> Path:
    """A stage with a local model and one local adapter, ready to be spoilt."""
    shutil.copytree(SAMPLES / "base", tmp_path / "model")
    shutil.copytree(SAMPLES / "adapters" / "otter", tmp_path / "otter")
    (tmp_path / "adapters.yaml").write_text("adapters:\n  - {name: otter, source: otter}\n")
    path = tmp_path / "dev.yaml"
    path.write_text(STAGE)
    return path


def configure(folder: Path, **change: Any) -> None:
    path = folder / "otter" / CONFIG_FILE
    path.write_text(json.dumps(json.loads(path.read_text()) | change))


def check_told(stage: Path, message: str) -> None:
    with pytest.raises(ConfigError, match=message) as caught:
        load_stage(stage)
    assert str(caught.value).isprintable()


def test_a_local_adapter_is_checked_by_stages_rules_when_stage_is_loaded(stage: Path) -> None:
    load_stage(stage)
    for line, message in (
        (
            "engine: {name: vllm, max_adapter_rank: 4}",
            "rank 8 is above this stage's 4; write engine.max_adapter_rank: 8",
        ),
        (
            "engine: {name: vllm, adapter_target_modules: [q_proj]}",
            "add v_proj to engine.adapter_target_modules",
        ),
        (
            "engine: {name: lorax, tensor_parallel: 2}\nendpoint: {instance_type: ml.g5.12xlarge}",
            r"rank is 8; LoRAX serves only 16, .* on 2 GPU",
        ),
    ):
        stage.write_text(STAGE.replace("engine: {name: vllm, max_adapter_rank: 8}", line))
        check_told(stage, rf"adapters.yaml: adapter 'otter': .*{message}")


def test_a_problem_of_adapter_is_told_with_manifest_and_its_name(stage: Path) -> None:
    configure(stage.parent, use_dora=True)
    check_told(
        stage,
        r"adapters.yaml: adapter 'otter': its config sets use_dora, and vLLM .*; train without use_dora$",
    )


def test_it_must_fit_the_base_model_where_that_is_local_too(stage: Path) -> None:
    (stage.parent / "model" / "model.safetensors").write_bytes(
        (stage.parent / "otter" / WEIGHTS_FILE).read_bytes()
    )
    check_told(stage, r"changes model.layers.0.self_attn.q_proj, which tiny-mistral does not have")
    stage.write_text(HUB)
    load_stage(stage)


def test_weights_of_model_in_its_authors_own_format_are_not_minded(stage: Path) -> None:
    (stage.parent / "model" / "consolidated.safetensors").write_bytes(b"not read")
    load_stage(stage)


def test_a_base_model_that_cannot_be_read_is_told_with_stage(stage: Path) -> None:
    weights = stage.parent / "model" / "model.safetensors"
    weights.write_bytes(weights.read_bytes()[:-1])
    check_told(stage, r"dev.yaml: base_model.path: base model 'tiny-mistral': its weights file has \d+ bytes")


def test_without_local_adapters_the_base_model_is_not_read(stage: Path) -> None:
    (stage.parent / "model" / "model.safetensors").write_bytes(b"")
    (stage.parent / "adapters.yaml").write_text("adapters:\n  - {name: a, source: 's3://bucket/a/'}\n")
    stage.write_text(f"{STAGE}autoscaling: {{target: 5}}\n")  # none is derived without the model's size
    load_stage(stage)


def test_the_manifests_sha256_is_compared_with_the_weights(stage: Path) -> None:
    digest = sha256_of(LocalFile(stage.parent / "otter" / WEIGHTS_FILE))
    manifest = stage.parent / "adapters.yaml"
    manifest.write_text(f"adapters:\n  - {{name: otter, source: otter, sha256: {digest}}}\n")
    load_stage(stage)
    manifest.write_text(f"adapters:\n  - {{name: otter, source: otter, sha256: {'f' * 64}}}\n")
    check_told(
        stage, rf"adapter 'otter': sha256: its weights hash to {digest}, the manifest says f{{64}}; write"
    )


def test_files_that_cannot_be_read_are_told(stage: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: Any) -> bytes:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(LocalFile, "read", fail)
    check_told(stage, r"dev.yaml: base_model.path: base model 'tiny-mistral': .*\(Permission denied\)")
    stage.write_text(HUB)
    check_told(stage, r"adapters.yaml: adapter 'otter': .*otter: it cannot be read \(Permission denied\)")


def pickled(folder: Path) -> str:
    """Replace the adapter's safetensors by a checkpoint; return its SHA-256 (hex)."""
    torch.save(load_file(folder / WEIGHTS_FILE), folder / CHECKPOINT_FILE)
    (folder / WEIGHTS_FILE).unlink()
    return hashlib.sha256((folder / CHECKPOINT_FILE).read_bytes()).hexdigest()


def test_a_checkpoint_is_checked_by_the_same_rules(stage: Path) -> None:
    digest = pickled(stage.parent / "otter")
    manifest = stage.parent / "adapters.yaml"
    manifest.write_text(f"adapters:\n  - {{name: otter, source: otter, sha256: {digest}}}\n")
    load_stage(stage)
    manifest.write_text(f"adapters:\n  - {{name: otter, source: otter, sha256: {'f' * 64}}}\n")
    check_told(stage, rf"adapter 'otter': sha256: its weights hash to {digest}, the manifest says f{{64}}")
    stage.write_text(STAGE.replace("max_adapter_rank: 8", "max_adapter_rank: 4"))
    check_told(stage, "adapter 'otter': .*rank 8 is above this stage's 4")


def test_a_checkpoint_that_is_no_adapter_fails_synth(stage: Path) -> None:
    folder = stage.parent / "otter"
    pickled(folder)
    torch.save({"weight": torch.nn.Linear(2, 2)}, folder / CHECKPOINT_FILE)
    check_told(stage, r"adapter 'otter': .*: its adapter_model.bin names 'torch.nn.modules.linear.Linear'")
    (folder / CHECKPOINT_FILE).unlink()
    check_told(
        stage, "'otter': it has no adapter_model.safetensors and no adapter_model.bin; it has adapter_config"
    )


@pytest.mark.parametrize("file", ["otter/adapter_config.json", "otter/adapter_model.safetensors"])
def test_a_file_of_a_clone_without_git_lfs(stage: Path, file: str) -> None:
    (stage.parent / file).write_bytes(POINTER)
    check_told(stage, "adapter 'otter': its .* is a Git LFS pointer, not the file itself; .* `git lfs pull`")


@pytest.mark.parametrize("file", ["config.json", "model.safetensors", "tokenizer.json"])
def test_a_file_of_a_base_model_from_a_clone_without_git_lfs(stage: Path, file: str) -> None:
    (stage.parent / "model" / file).write_bytes(POINTER)
    check_told(stage, rf"dev.yaml: base_model.path: .*: its {file} is a Git LFS pointer, .* `git lfs pull`")


def test_an_adapter_of_the_base_model_by_another_name(stage: Path) -> None:
    configure(stage.parent, base_model_name_or_path="acme/tiny-mistral-bnb-4bit")
    check_told(stage, "add the name to base_model.also_known_as in the stage file")
    known = "{name: tiny-mistral, path: model, also_known_as: [acme/Tiny-Mistral-bnb-4bit]}"
    stage.write_text(STAGE.replace("{name: tiny-mistral, path: model}", known))
    load_stage(stage)


def test_a_checkpoint_is_packed_as_the_safetensors_that_it_becomes(stage: Path, tmp_path: Path) -> None:
    folder = stage.parent / "otter"
    tensors = load_file(folder / WEIGHTS_FILE)
    digest = pickled(folder)
    manifest = Manifest.model_validate(yaml.safe_load((stage.parent / "adapters.yaml").read_text()))
    target = tmp_path / "packed"
    [item] = manifest.pack(stage.parent, target)
    assert item["sha256"] == digest, "the manifest's sha256 is that of the file at the source"
    [packed] = (target / "adapters").iterdir()
    assert item["source"] == f"asset://{packed.name}/"
    assert {path.name for path in packed.iterdir()} == {CONFIG_FILE, WEIGHTS_FILE, CONVERSION_FILE}
    found = load_file(packed / WEIGHTS_FILE)
    assert found.keys() == tensors.keys()
    assert all(torch.equal(found[name], tensors[name]) for name in tensors)
    weights = hashlib.sha256((packed / WEIGHTS_FILE).read_bytes()).hexdigest()
    conversion = Conversion.from_json((packed / CONVERSION_FILE).read_bytes())
    assert conversion == Conversion(CHECKPOINT_FILE, digest, weights)
    assert manifest.pack(stage.parent, tmp_path / "again") == [item], "the same commit gives the same asset"


def test_safetensors_beside_a_checkpoint_are_packed(stage: Path, tmp_path: Path) -> None:
    (stage.parent / "otter" / CHECKPOINT_FILE).write_bytes(b"never opened")
    load_stage(stage)
    manifest = Manifest.model_validate(yaml.safe_load((stage.parent / "adapters.yaml").read_text()))
    manifest.pack(stage.parent, tmp_path / "packed")
    [packed] = (tmp_path / "packed" / "adapters").iterdir()
    assert {path.name for path in packed.iterdir()} == {CONFIG_FILE, WEIGHTS_FILE}
