"""The repository of the Hub's tests, and how they read it."""

import json
from pathlib import Path

from huggingface_hub import hf_hub_download
from huggingface_hub.utils import get_session

from tests.hub.server import HubServer

REPO = "acme/otter"
CONFIG = json.dumps({"peft_type": "LORA", "padding": "x" * 2000}).encode()
WEIGHTS = bytes(range(256)) * 40
FILES: dict[str, bytes | Path] = {"adapter_config.json": CONFIG, "sub/adapter_model.safetensors": WEIGHTS}
LARGE = "sub/adapter_model.safetensors"
TOKEN = "hf_reader"


def download(
    hub: HubServer,
    folder: Path,
    file: str,
    *,
    repo: str = REPO,
    token: str | bool = False,
    revision: str = "main",
) -> bytes:
    path = hf_hub_download(
        repo, file, revision=revision, endpoint=hub.endpoint, cache_dir=folder, token=token, etag_timeout=5
    )
    return Path(path).read_bytes()


def url_of(hub: HubServer, file: str) -> str:
    return f"{hub.endpoint}/{REPO}/resolve/main/{file}"


def link_of(hub: HubServer, file: str = LARGE) -> str:
    return get_session().head(url_of(hub, file), follow_redirects=False).headers["Location"]
