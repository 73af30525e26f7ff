"""Settings of this machine for a build: pip's index, proxies and certificates, as secrets in no layer."""

from __future__ import annotations

import ast
import os
import re
import shlex
import sys
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from loraserve.images.processes import ProgramFailed, ask

#: Read by the RUN instructions of container/*/Dockerfile.
ENVIRONMENT_SECRET = "build.env"  # noqa: S105 — a name
CERTIFICATES_SECRET = "ca.pem"  # noqa: S105 — a name
#: pip's options that a build needs.
_OPTIONS = ("index-url", "extra-index-url", "trusted-host", "proxy")
#: Of pip, of uv's download of Python, and of every other client.
_VARIABLES = (
    *("HTTPS_PROXY", "HTTP_PROXY", "NO_PROXY", "ALL_PROXY"),
    *("UV_PYTHON_INSTALL_MIRROR", "UV_PYTHON_DOWNLOADS_JSON_URL"),
)
_CERTIFICATES = ("SSL_CERT_FILE", "REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE")
_LINE = re.compile(r"^(?P<where>[\w:.-]+)\.(?P<option>[\w-]+)=(?P<value>.+)$")


@contextmanager
def build_secrets() -> Iterator[dict[str, Path]]:
    """Yield the secrets of a build by id, as temporary files; none if the machine has no such settings."""
    settings, certificates = machine_settings(os.environ, _pip_options())
    # Mode 0700: an index URL may have a password.
    with tempfile.TemporaryDirectory(prefix="lora-serving-") as folder:
        secrets: dict[str, Path] = {}
        if certificates is not None:
            secrets[CERTIFICATES_SECRET] = certificates
        if settings:
            file = Path(folder) / ENVIRONMENT_SECRET
            lines = (f"export {name}={shlex.quote(value)}\n" for name, value in settings.items())
            file.write_text("".join(lines))
            secrets[ENVIRONMENT_SECRET] = file
        yield secrets


def machine_settings(
    environment: Mapping[str, str], pip: Mapping[str, str]
) -> tuple[dict[str, str], Path | None]:
    """Return the environment variables of a build and the file of certificates, from pip's options."""
    settings = {
        variable: value
        for name in _VARIABLES
        for variable in (name, name.lower())
        if (value := environment.get(variable))
    }
    for option in _OPTIONS:
        # A container does not have this machine's folders.
        words = [word for word in pip.get(option, "").split() if not word.startswith(("file:", "/"))]
        if words:
            settings[f"PIP_{option.upper().replace('-', '_')}"] = " ".join(words)
    named = (pip.get("cert"), *(environment.get(name) for name in _CERTIFICATES))
    certificates = next((Path(name) for name in named if name and Path(name).is_file()), None)
    if certificates is not None:
        inside = f"/run/secrets/{CERTIFICATES_SECRET}"
        settings |= {"PIP_CERT": inside, "SSL_CERT_FILE": inside}
    return settings, certificates


def _pip_options() -> dict[str, str]:
    """Return pip's options, those of the environment before those of its configuration files."""
    try:
        listed = ask([sys.executable, "-m", "pip", "config", "list"])
    except ProgramFailed:
        return {}
    found: dict[str, str] = {}
    lines = [line for line in map(_LINE.match, listed.splitlines()) if line is not None]
    for line in sorted(lines, key=lambda line: line["where"].startswith(":env:")):
        found[line["option"]] = str(ast.literal_eval(line["value"]))
    return found
