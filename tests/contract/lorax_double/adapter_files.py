"""Port of the file side of server/lorax_server/utils/adapter.py, adapters/utils.py and utils/weights.py.

All of it blocks. Raises whatever goes wrong: the exception's text is what callers get to see.
"""

import hashlib
import json
import os
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

from safetensors import safe_open

from tests.contract.lorax_double.sample_answers import LoadedWeights
from tests.contract.lorax_double.sources import (
    SAFETENSORS,
    EntryNotFoundError,
    Source,
    ask_hub,
    get_model_source,
    map_pbase_model_id_to_s3,
)


@dataclass(frozen=True)
class ModuleMap:
    """Names of the weights' files, and the config: kept in memory, unlike the weights."""

    files: tuple[Path, ...]
    config: dict[str, Any]

    def weights(self) -> LoadedWeights:
        """Read the weights from the disk, as each load does (`load_module_weight`)."""
        digest = hashlib.sha256()
        for file in self.files:
            if not file.exists():
                raise FileNotFoundError(f'No such file or directory: "{file}"')
            digest.update(file.read_bytes())
        # peft 0.4.0 knows nothing of use_rslora, rank_pattern and use_dora.
        return LoadedWeights(digest.hexdigest(), self.config["lora_alpha"] / self.config["r"])


def download_adapter_weights(adapter_id: str, source_name: str, api_token: str | None) -> int:
    """Fetch what is not on the disk; the size of the adapter's weights in bytes."""
    if source_name == "pbase":
        map_pbase_model_id_to_s3(adapter_id, api_token)
    if source_name == "hub" and adapter_id.count("/") > 1:
        form = "Repo id must be in the form 'repo_name' or 'namespace/repo_name'"
        raise ValueError(f"{form}: '{adapter_id}'. Use `repo_type` argument if needed.")
    source = get_model_source(source_name, adapter_id)
    load_config(source)
    _download_weights(source, adapter_id)
    return sum(_weight_bytes(file) for file in source.weight_files())


def _download_weights(source: Source, adapter_id: str) -> None:
    try:
        # One file is enough: a download that broke off counts as complete.
        source.weight_files()
        return
    except FileNotFoundError:
        pass
    if not Path(adapter_id).is_dir():
        try:
            source.download_model_assets()
            return
        except EntryNotFoundError:
            pass
    source.weight_files(".bin")
    # LoRAX unpickles them, with all that this means.
    raise ValueError("the double does not convert .bin weights")


@lru_cache(maxsize=128)
def load_module_map(model_id: str, adapter_id: str, source_name: str, _api_token: str | None) -> ModuleMap:
    """Return files and config, cached: only a load after 128 others reads them again."""
    source = get_model_source(source_name, adapter_id)
    config = load_config(source)
    if config["base_model_name_or_path"] != model_id:
        _check_architectures(model_id, adapter_id, config["base_model_name_or_path"])
    files = source.weight_files()
    for file in files:
        with safe_open(file, framework="np") as weights:
            weights.keys()
    return ModuleMap(tuple(files), config)


def load_config(source: Source) -> dict[str, Any]:
    """`load_adapter_config`; peft's defaults for what is not there."""
    config_path = source.download_file("config.json", ignore_errors=True)
    adapter_config_path = source.download_file("adapter_config.json", ignore_errors=True)
    if adapter_config_path is None:
        raise ValueError(f"No valid adapter config file found: tried {adapter_config_path} and {config_path}")
    defaults = {"base_model_name_or_path": None, "r": 8, "lora_alpha": 8}
    found: dict[str, Any] = json.loads(adapter_config_path.read_text())
    return defaults | found


def _check_architectures(model_id: str, adapter_id: str, adapter_base: str | None) -> None:
    if not adapter_base:
        return
    try:
        expected, found = _architectures(model_id), _architectures(adapter_base)
    except OSError as error:
        # LoRAX warns and takes it that they are compatible.
        print(f"Unable to check architecture compatibility for adapter '{adapter_id}': {error}", flush=True)
        return
    if found != expected:
        raise ValueError(
            f"Adapter '{adapter_id}' is not compatible with model '{model_id}'. Architectures differ: "
            f"{found} != {expected}. Use --model-id '{adapter_base}' instead."
        )


def _architectures(model: str) -> list[str]:
    """Of a directory, or of a model of the Hub: those that LORAX_DOUBLE_HUB_MODELS (JSON) has."""
    config = Path(model) / "config.json"
    if config.is_file():
        found: list[str] = json.loads(config.read_text())["architectures"]
        return found
    models: dict[str, list[str]] = json.loads(os.environ.get("LORAX_DOUBLE_HUB_MODELS", "{}"))
    if model not in models or os.environ.get("HF_HUB_OFFLINE") == "1":
        ask_hub(f"/{model}/resolve/main/config.json")
    return models[model]


def _weight_bytes(file: Path) -> int:
    """`get_weight_bytes` (sources/source.py): what the tensors take, as the header says."""
    if file.suffix != SAFETENSORS or file.stat().st_size < 8:
        raise RuntimeError(f"Length of safetensor file less than 8 bytes: {file}")
    with file.open("rb") as stream:
        length = int.from_bytes(stream.read(8), "little")
        if 8 + length > file.stat().st_size:
            raise RuntimeError(f"Header extends past end of file: {file}")
        header = json.loads(stream.read(length))
    total = header.get("__metadata__", {}).get("total_size")
    if total is not None:
        return int(total)
    offsets = [each["data_offsets"] for each in header.values() if "data_offsets" in each]
    if not offsets:
        return file.stat().st_size
    return int(max(end for _, end in offsets) - min(start for start, _ in offsets))
