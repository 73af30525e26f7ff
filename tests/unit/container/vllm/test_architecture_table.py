"""The layers of vLLM's models with slots: our table against the installed vLLM."""

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from adapters.engines import vllm_architectures
from adapters.engines.architectures import ArchitectureFacts
from adapters.engines.vllm import RULES


def test_the_table_is_what_the_installed_vllm_says() -> None:
    pytest.importorskip("vllm", reason="vLLM is not installed")
    # Building models changes the process: another one does it.
    script = (
        "from container.vllm import model_trees, write_architecture_table as table\n"
        "model_trees.prepare()\n"
        "text = table.text()\n"
        "print('=' * 9)\n"
        "print(text, end='')"
    )
    environment = os.environ | {"VLLM_PLUGINS": "none", "HF_HUB_OFFLINE": "1", "VLLM_LOGGING_LEVEL": "ERROR"}
    done = subprocess.run(
        [sys.executable, "-c", script], env=environment, capture_output=True, text=True, check=True
    )
    assert done.stdout.partition("=" * 9 + "\n")[2] == Path(vllm_architectures.__file__).read_text()
    assert RULES.version == vllm_architectures.VERSION


def as_vllm_has_them(facts: ArchitectureFacts) -> Any:
    """vLLM's own mapper with these renames."""
    import regex  # noqa: PLC0415
    from transformers.core_model_loading import WeightRenaming  # noqa: PLC0415
    from vllm.model_executor.models.utils import WeightsMapper  # noqa: PLC0415

    def of(*how: str) -> dict[str, str | None]:
        return {rename.old: rename.new for rename in facts.renames if rename.how in how}

    return WeightsMapper(
        orig_to_new_renaming=[WeightRenaming(old, new) for old, new in of("once").items()],
        orig_to_new_regex={regex.compile(old): new for old, new in of("pattern").items()},
        orig_to_new_substr=of("part"),
        orig_to_new_prefix=of("prefix"),
        orig_to_new_suffix=of("suffix"),
    )


@pytest.mark.parametrize(
    "architecture", sorted(name for name, facts in RULES.architectures.items() if facts.renames)
)
def test_names_are_made_as_vllm_makes_them(architecture: str) -> None:
    pytest.importorskip("vllm", reason="vLLM is not installed")
    from vllm.lora.utils import parse_fine_tuned_lora_name  # noqa: PLC0415

    facts = RULES.architectures[architecture]
    mapper = as_vllm_has_them(facts)
    layers = sorted(facts.layers or {"model.layers.*.self_attn.q_proj"})
    starts = {rename.old for rename in facts.renames if rename.how == "prefix"}
    paths = [layer.replace("*", "7") for layer in layers] + ["lm_head", "gpt_neox.layers.1.a", "layers.1.b"]
    paths += [start + path.partition(".")[2] for start in starts for path in paths]
    paths += [path.removeprefix("language_model.") for path in paths]
    for path in paths:
        theirs, _ = parse_fine_tuned_lora_name(f"base_model.model.{path}.lora_A.weight", mapper)
        assert facts.of_adapter(path) == theirs
