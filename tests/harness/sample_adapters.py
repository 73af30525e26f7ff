"""The files of the sample adapters."""

import hashlib
import json
from collections.abc import Mapping

from adapters.store.layout import ADAPTER_FILES, CONFIG_FILE, content_digest
from samples.spec import ADAPTERS_DIR


def sample_files(name: str, **config: object) -> dict[str, bytes]:
    """Read a sample adapter's files, with changes to its config."""
    files = {file: (ADAPTERS_DIR / name / file).read_bytes() for file in ADAPTER_FILES}
    if config:
        files[CONFIG_FILE] = json.dumps(json.loads(files[CONFIG_FILE]) | config).encode()
    return files


def digest_of(files: Mapping[str, bytes]) -> str:
    """Compute the content digest of an adapter's files."""
    return content_digest({file: hashlib.sha256(content).hexdigest() for file, content in files.items()})
