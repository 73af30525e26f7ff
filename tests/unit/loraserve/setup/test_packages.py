"""PyTorch's CPU build: pip as configured first, then PyTorch's index, which is asked for nothing else.

The indexes are HTTP servers on this machine; pip is the real one.
"""

import http.server
import os
import sys
import threading
import venv
import zipfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from loraserve.setup import packages
from loraserve.setup.errors import SetupError
from loraserve.setup.packages import install, pins

BUILD, OTHER = "torch==2.13.0+cpu", "engine==1.0"


class Index:
    """A package index with a folder for each package; it records the paths that it is asked for."""

    def __init__(self, folder: Path) -> None:
        self.asked: list[str] = []
        asked = self.asked
        self.folder = folder
        folder.mkdir()

        class Handler(http.server.SimpleHTTPRequestHandler):
            def __init__(self, *arguments: object) -> None:
                super().__init__(*arguments, directory=str(folder))  # type: ignore[arg-type]

            def do_GET(self) -> None:
                asked.append(self.path)
                super().do_GET()

            def log_message(self, format: str, *arguments: object) -> None:
                pass

        self._server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self._server.server_address[1]}"
        threading.Thread(target=self._server.serve_forever, daemon=True).start()

    def add(self, pin: str) -> None:
        """Add a wheel; the pages are the folders' listings."""
        name, _, version = pin.partition("==")
        (self.folder / name).mkdir(exist_ok=True)
        information = f"{name}-{version}.dist-info"
        with zipfile.ZipFile(self.folder / name / f"{name}-{version}-py3-none-any.whl", "w") as wheel:
            wheel.writestr(f"{name}.py", f"VERSION = {version!r}\n")
            wheel.writestr(
                f"{information}/METADATA", f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n"
            )
            wheel.writestr(
                f"{information}/WHEEL", "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n"
            )
            wheel.writestr(f"{information}/RECORD", "")

    def packages(self) -> set[str]:
        """The names that were asked for."""
        return {path.split("/")[1] for path in self.asked}

    def close(self) -> None:
        self._server.shutdown()
        self._server.server_close()


@pytest.fixture
def configured(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Index]:
    """The index that pip is configured with, and nothing else."""
    index = Index(tmp_path / "configured")
    for name in [name for name in os.environ if name.startswith("PIP_")]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("PIP_CONFIG_FILE", os.devnull)  # no configuration file of this machine counts
    monkeypatch.setenv("PIP_INDEX_URL", index.url)
    monkeypatch.setenv("PIP_NO_CACHE_DIR", "1")
    monkeypatch.setenv("PIP_RETRIES", "0")
    index.add(OTHER)
    yield index
    index.close()


@pytest.fixture
def pytorch(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Index]:
    """PyTorch's index; it also has a package of another name, as it has of many."""
    index = Index(tmp_path / "pytorch")
    monkeypatch.setattr(packages, "PYTORCH_CPU_INDEX", index.url)
    index.add(OTHER)
    yield index
    index.close()


@pytest.fixture
def environment(tmp_path: Path) -> Path:
    venv.create(tmp_path / "environment", symlinks=True)
    return tmp_path / "environment"


def installed(environment: Path) -> set[str]:
    return {path.stem for path in environment.rglob("site-packages/*.py")}


def test_the_configured_index_is_enough_if_it_has_the_build(
    configured: Index, pytorch: Index, environment: Path
) -> None:
    configured.add(BUILD)
    install([OTHER, BUILD], environment, "test")
    assert installed(environment) == {"engine", "torch"}
    assert configured.packages() == {"engine", "torch"}
    assert pytorch.asked == []


def test_pytorchs_index_is_asked_for_the_build_alone(
    configured: Index, pytorch: Index, environment: Path
) -> None:
    pytorch.add(BUILD)
    install([OTHER, BUILD], environment, "test")
    assert installed(environment) == {"engine", "torch"}
    assert configured.packages() == {"engine", "torch"}
    assert pytorch.packages() == {"torch"}


def test_the_plain_release_of_the_configured_index_does_not_count(
    configured: Index, pytorch: Index, environment: Path
) -> None:
    configured.add("torch==2.13.0")  # a build for GPUs
    pytorch.add(BUILD)
    install([BUILD], environment, "test")
    [module] = environment.rglob("site-packages/torch.py")
    assert module.read_text() == "VERSION = '2.13.0+cpu'\n"


def test_a_build_that_no_index_has_is_reported_before_anything_is_installed(
    configured: Index, pytorch: Index, environment: Path
) -> None:
    with pytest.raises(SetupError) as failed:
        install([OTHER, BUILD], environment, "test")
    assert f"neither the configured package index nor {pytorch.url} has {BUILD}" in str(failed.value)
    assert installed(environment) == set()
    assert "engine" not in configured.packages()


def test_a_package_that_is_missing_elsewhere_is_not_looked_for_in_pytorchs_index(
    configured: Index, pytorch: Index, environment: Path
) -> None:
    pytorch.add("private==1.0")
    with pytest.raises(SetupError, match="No matching distribution found for private==1.0"):
        install([OTHER, "private==1.0"], environment, "test")
    assert pytorch.asked == []


def test_the_pinned_torch_is_such_a_build_and_the_only_one() -> None:
    files = ("requirements.txt", "requirements-local.txt", "requirements-dev.txt")
    assert [pin.partition("==")[0] for pin in pins(files) if "+" in pin] == ["torch"]


def test_bytecode_is_written_where_imports_may_not(
    configured: Index, environment: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys, "dont_write_bytecode", False)
    install([OTHER], environment, "test")
    assert list(environment.rglob("engine*.pyc")) == []
    monkeypatch.setattr(sys, "dont_write_bytecode", True)
    install([OTHER], environment, "test")
    assert len(list(environment.rglob("engine*.pyc"))) == 1
