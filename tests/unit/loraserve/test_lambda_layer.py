"""The seeder's Lambda layer: its content, reproducibility and atomic replacement."""

import os
import shutil
import struct
import subprocess
import sys
import zipfile
from concurrent.futures import ThreadPoolExecutor
from importlib.metadata import distributions
from pathlib import Path

import aws_cdk as cdk
import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from loraserve.lambda_layer import ARCHIVE, LAYER, WHEELS, install, is_built, pack
from stacks.project import ROOT

#: Ours; Lambda's limit is 250 MB.
MOST_BYTES = 40_000_000
AARCH64 = 183
#: Where the layer's requirements are conditional.
RUNTIME = {
    "python_version": "3.13",
    "python_full_version": "3.13.0",
    "sys_platform": "linux",
    "platform_system": "Linux",
    "platform_machine": "aarch64",
    "implementation_name": "cpython",
    "extra": "",
}
#: Left out on purpose: see lambdas/requirements.in.
LEFT_OUT = {"hf-xet"}
USE_THE_CLIENT = """
import sys
from http.server import BaseHTTPRequestHandler, HTTPServer
from importlib.util import find_spec
from threading import Thread

sys.path.append(sys.argv[1])
import httpx2
from huggingface_hub import HfApi, errors, hf_hub_url
from huggingface_hub.utils import build_hf_headers

class Hub(BaseHTTPRequestHandler):
    def do_GET(self):
        found = self.path.startswith("/api/models/owner/name")
        self.send_response(200 if found else 404)
        self.end_headers()
        self.wfile.write(b'{"id": "owner/name", "sha": "abc"}' if found else b"{}")

    def log_message(self, *_):
        pass

hub = HTTPServer(("127.0.0.1", 0), Hub)
Thread(target=hub.serve_forever, daemon=True).start()
endpoint = f"http://127.0.0.1:{hub.server_port}"
assert HfApi(endpoint=endpoint).model_info("owner/name").sha == "abc"
try:
    HfApi(endpoint=endpoint).model_info("owner/other")
except errors.HfHubHTTPError as error:
    assert error.response.status_code == 404
else:
    raise AssertionError("no error")
assert hf_hub_url("owner/name", "file", endpoint=endpoint).startswith(endpoint)
assert "user-agent" in build_hf_headers()
assert httpx2.get(endpoint).status_code == 404
assert find_spec("boto3") is None and find_spec("torch") is None, "sees the virtual environment"
files = {getattr(module, "__file__", None) for module in sys.modules.values()} - {None}
assert not [file for file in files if "site-packages" in file and not file.startswith(sys.argv[1])]
"""


@pytest.fixture(scope="module")
def packages() -> Path:
    """The layer that the set-up built."""
    assert is_built(), "run 'make setup' first"
    return LAYER / "python"


def contents(folder: Path) -> dict[str, tuple[int, float, bytes]]:
    return {
        str(path.relative_to(folder)): (
            path.stat().st_mode,
            path.stat().st_mtime,
            path.read_bytes() if path.is_file() else b"",
        )
        for path in folder.rglob("*")
    }


def working_copy(folder: Path) -> Path:
    """The files that a build needs, in a separate folder."""
    for file in ("loraserve/__init__.py", "loraserve/lambda_layer.py", "stacks/__init__.py",
                 "stacks/project.py", "lambdas/requirements.txt"):  # fmt: skip
        (folder / file).parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(ROOT / file, folder / file)
    return folder


def build_in(folder: Path) -> subprocess.CompletedProcess[str]:
    """As `cdk synth` does, with an index that does not answer."""
    environment = {name: value for name, value in os.environ.items() if not name.startswith("PIP_")}
    environment |= {
        "PIP_CONFIG_FILE": os.devnull,
        "PIP_INDEX_URL": "http://127.0.0.1:9/simple",
        "PIP_RETRIES": "0",
        "PYTHONPATH": str(folder),
    }
    command = [sys.executable, "-m", "loraserve.lambda_layer"]
    return subprocess.run(
        command, cwd=folder, env=environment, capture_output=True, text=True, check=False, timeout=60
    )


def test_the_same_wheels_give_the_same_layer_whatever_umask_and_cdk_the_same_hash(tmp_path: Path) -> None:
    install(tmp_path / "first")
    umask = os.umask(0o077)
    try:
        install(tmp_path / "second")
    finally:
        os.umask(umask)
    first = contents(tmp_path / "first")
    assert first == contents(tmp_path / "second")
    assert {mode & 0o777 for mode, _, _ in first.values()} == {0o644, 0o755}
    hashes = {
        cdk.FileSystem.fingerprint(str(folder)) for folder in (tmp_path / "first", tmp_path / "second", LAYER)
    }
    assert len(hashes) == 1


def test_the_archive_is_the_layer_and_always_the_same_bytes(tmp_path: Path) -> None:
    install(tmp_path / "layer")
    assert pack(tmp_path / "layer", tmp_path / "layer.zip").read_bytes() == ARCHIVE.read_bytes()
    with zipfile.ZipFile(ARCHIVE) as archive:
        files = {path.relative_to(LAYER).as_posix() for path in LAYER.rglob("*") if path.is_file()}
        assert set(archive.namelist()) == files
        assert {entry.external_attr >> 16 for entry in archive.infolist()} == {0o100644}


def test_the_layer_is_small_and_has_code_for_arm64_only(packages: Path) -> None:
    files = [path for path in packages.rglob("*") if path.is_file()]
    assert sum(path.stat().st_size for path in files) < MOST_BYTES
    binaries = [path for path in files if path.read_bytes().startswith(b"\x7fELF")]
    assert {path.suffix for path in binaries} == {".so"}
    for path in binaries:
        assert struct.unpack_from("<H", path.read_bytes(), 18) == (AARCH64,), path
    assert not [path for path in files if path.suffix in {".pyc", ".dll", ".dylib", ".pyd", ".exe"}]


def test_the_layer_holds_what_its_packages_need_and_no_more(packages: Path) -> None:
    versions = {canonicalize_name(found.name): found.version for found in distributions(path=[str(packages)])}
    needed = {"huggingface-hub", "httpx2", "urllib3"}
    for distribution in distributions(path=[str(packages)]):
        for requirement in map(Requirement, distribution.requires or ()):
            name = canonicalize_name(requirement.name)
            if name in LEFT_OUT or (requirement.marker and not requirement.marker.evaluate(RUNTIME)):
                continue
            needed.add(name)
            assert name in versions, f"{distribution.name} needs {requirement}"
            assert requirement.specifier.contains(versions[name]), f"{distribution.name} needs {requirement}"
    assert needed == versions.keys()


def test_hubs_client_works_with_layer_and_standard_library_alone(packages: Path) -> None:
    # -B: a compiled file in the layer would change its hash.
    done = subprocess.run(
        [sys.executable, "-I", "-S", "-B", "-c", USE_THE_CLIENT, str(packages)],
        env={}, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr


def test_another_working_copy_builds_it_without_network_and_two_at_once_do_not_mind(tmp_path: Path) -> None:
    copy = working_copy(tmp_path)
    with ThreadPoolExecutor() as pool:
        for done in pool.map(build_in, [copy, copy]):
            assert done.returncode == 0, done.stderr
    assert contents(copy / "build" / "lambda_layer") == contents(LAYER)
    assert {path.name for path in (copy / "build").iterdir()} == {
        "lambda_layer",
        "lambda_layer.stamp",
        "lambda_layer.zip",
    }
    assert build_in(copy).stderr == ""


def test_changed_requirements_replace_the_layer(tmp_path: Path) -> None:
    copy = working_copy(tmp_path)
    assert build_in(copy).returncode == 0
    requirements = copy / "lambdas" / "requirements.txt"
    lines = requirements.read_text().splitlines(keepends=True)
    requirements.write_text("".join(line for line in lines if not line.startswith("tqdm==")))
    assert build_in(copy).returncode == 0
    assert not (copy / "build" / "lambda_layer" / "python" / "tqdm").exists()
    assert {path.name for path in (copy / "build").iterdir()} == {
        "lambda_layer",
        "lambda_layer.stamp",
        "lambda_layer.zip",
    }


def test_a_failed_download_reports_a_remedy_and_changes_nothing(tmp_path: Path) -> None:
    copy = working_copy(tmp_path)
    requirements = copy / "lambdas" / "requirements.txt"
    requirements.write_text(f"huggingface-hub==2.4.0 --hash=sha256:{'0' * 64}\n")
    wheels = set(WHEELS.parent.glob(f"{WHEELS.name}*/**/*"))
    done = build_in(copy)
    assert done.returncode == 1
    assert "the wheels of lambdas/requirements.txt were not downloaded" in done.stderr
    assert "No matching distribution found for huggingface-hub==2.4.0" in done.stderr
    assert "Check the network" in done.stderr
    assert "Traceback" not in done.stderr
    assert list((copy / "build").iterdir()) == []
    assert set(WHEELS.parent.glob(f"{WHEELS.name}*/**/*")) == wheels
    assert list(WHEELS.parent.glob(f"{WHEELS.name}?*")) == []
