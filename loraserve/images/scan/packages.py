"""Packages of an image: Python, Debian and conda.

A Python of python-build-standalone, which uv installs, is in no package manager's list. Its version is in the
pyvenv.cfg of the environment that uses it.
"""

from __future__ import annotations

import json
import re
import shlex
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from email.message import Message
from email.parser import BytesHeaderParser, HeaderParser
from functools import cache

from packageurl import PackageURL
from packaging.utils import canonicalize_name

from loraserve.images.scan.archive import ImageLayer, views

_SOURCE = re.compile(r"(?P<name>\S+)(?: \((?P<version>[^)]+)\))?")


@dataclass(frozen=True)
class Distribution:
    """A Linux distribution, from os-release."""

    id: str
    """E.g. `debian` or `ubuntu`."""
    version: str
    """E.g. `12` or `22.04`."""


@dataclass(frozen=True)
class ImagePackage:
    """An installed package."""

    kind: str
    """`pypi`, `deb`, `conda` or, for a Python without a package manager, `generic`: as in a package URL."""
    name: str
    version: str
    path: str
    """File of the image that says so."""
    purl: str
    """Package URL, by which scanners know it."""
    source: tuple[str, str] | None = None
    """Name and version of a Debian package's source, if they differ: advisories are about sources."""


def introduced(layers: tuple[ImageLayer, ...]) -> dict[ImagePackage, int]:
    """Return each package that a container has, with the index of the layer that brought it.

    A package whose files only moved to another layer unchanged, e.g. by a change of the date, counts as the
    upper layer's only if its version or its path differ.
    """
    found: dict[ImagePackage, int] = {}
    for index, files in enumerate(views(layers)):
        present = set(installed(files))
        found = {package: first for package, first in found.items() if package in present}
        for package in present:
            found.setdefault(package, index)
    return found


def installed(files: Mapping[str, bytes]) -> Iterator[ImagePackage]:
    """Yield the packages that these files describe."""
    distribution = find_distribution(files)
    for path, content in files.items():
        if path.startswith("var/lib/dpkg/"):
            yield from _debian(path, content, distribution)
        elif "conda-meta/" in path:
            yield from _conda(path, content)
        elif path.endswith("pyvenv.cfg"):
            yield from _interpreter(path, content)
        elif not path.endswith("os-release"):
            yield from _python(path, content)


def find_distribution(files: Mapping[str, bytes]) -> Distribution | None:
    """Return the distribution, or None without an os-release."""
    for path in ("etc/os-release", "usr/lib/os-release"):
        if path in files:
            values = dict(
                line.split("=", 1) for line in shlex.split(files[path].decode(), comments=True) if "=" in line
            )
            if "ID" in values:
                return Distribution(values["ID"], values.get("VERSION_ID", ""))
    return None


@cache
def _python(path: str, content: bytes) -> tuple[ImagePackage, ...]:
    headers = BytesHeaderParser().parsebytes(content)
    name, version = headers["Name"], headers["Version"]
    if not name or not version:
        return ()
    purl = PackageURL("pypi", None, canonicalize_name(name), version)
    return (ImagePackage("pypi", name, version, path, purl.to_string()),)


@cache
def _interpreter(path: str, content: bytes) -> tuple[ImagePackage, ...]:
    lines = (line.partition("=") for line in content.decode(errors="replace").splitlines())
    values = {key.strip(): value.strip() for key, _, value in lines}
    version = values.get("version_info", values.get("version"))
    # /usr/bin is Debian's, and /opt/conda is conda's: these are in their lists.
    if version is None or values.get("home", "").startswith(("/usr/bin", "/opt/conda")):
        return ()
    return (ImagePackage("generic", "python", version, path, f"pkg:generic/python@{version}"),)


@cache
def _conda(path: str, content: bytes) -> tuple[ImagePackage, ...]:
    try:
        found = json.loads(content)
        name, version = found["name"], found["version"]
    except (ValueError, KeyError, TypeError):  # conda's own state and history
        return ()
    qualifiers = {key: str(found[key]) for key in ("build", "subdir") if found.get(key)}
    purl = PackageURL("conda", None, name, version, qualifiers)
    return (ImagePackage("conda", name, version, path, purl.to_string()),)


@cache
def _debian(path: str, content: bytes, distribution: Distribution | None) -> tuple[ImagePackage, ...]:
    stanzas = re.split(r"\n\s*\n", content.decode(errors="replace"))
    return tuple(_debian_packages(path, map(HeaderParser().parsestr, stanzas), distribution))


def _debian_packages(
    path: str, stanzas: Iterable[Message], distribution: Distribution | None
) -> Iterator[ImagePackage]:
    for stanza in stanzas:
        name, version = stanza["Package"], stanza["Version"]
        # E.g. "install ok installed"; files of status.d have none.
        status = stanza.get("Status", "installed").split()[-1]
        if not name or not version or status != "installed":
            continue
        match = _SOURCE.fullmatch(stanza.get("Source", ""))
        source = (match["name"], match["version"] or version) if match else (name, version)
        qualifiers = {"arch": stanza["Architecture"]}
        if source != (name, version):
            qualifiers["upstream"] = "@".join(source if source[1] != version else source[:1])
        if distribution is not None:
            qualifiers["distro"] = f"{distribution.id}-{distribution.version}"
        namespace = "debian" if distribution is None else distribution.id
        purl = PackageURL("deb", namespace, name, version, qualifiers)
        yield ImagePackage(
            "deb", name, version, path, purl.to_string(), None if source == (name, version) else source
        )
