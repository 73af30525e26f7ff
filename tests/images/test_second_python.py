"""LoRAX's image with a Python that uv downloads: the stand-in's own, packed like python-build-standalone's."""

import hashlib
import json
import subprocess
import tarfile
import threading
from collections.abc import Iterator
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from loraserve.images.builders import Buildah
from loraserve.images.machine import build_secrets
from loraserve.images.stand_in.bases import stand_in_arguments
from stacks.project import ROOT
from tests.images.container import TAG, BuiltImage, mounted
from tests.images.test_build import added_members, inside

#: What releases of python-build-standalone have beside Debian's Python (its docs/running.rst and
#: src/validation.rs); the image needs none of it.
UNUSED = (
    *("bin/pip3", "bin/idle3.11", "bin/python3.11-config", "bin/pydoc3.11", "bin/2to3-3.11"),
    *("include/python3.11/Python.h", "share/man/man1/python3.1", "lib/pkgconfig/python3.pc"),
    *("lib/libpython3.11.so.1.0", "lib/libtcl9.0.so", "lib/libtcl9tk9.0.so", "lib/tcl9.0/init.tcl"),
    *("lib/tk9.0/tk.tcl", "lib/itcl4.3.5/itcl.tcl", "lib/thread3.0.4/ttrace.tcl"),
    *(
        f"lib/python3.11/{name}"
        for name in (
            "config-3.11-x86_64-linux-gnu/Makefile",
            "ensurepip/x.py",
            "idlelib/x.py",
            "lib-dynload/_tkinter.cpython-311-x86_64-linux-gnu.so",
            "lib2to3/x.py",
            "site-packages/distutils-precedence.pth",
            "site-packages/pip/__init__.py",
            "site-packages/setuptools/__init__.py",
            "test/x.py",
            "tkinter/x.py",
        )
    ),
)


def pack(root: Path, archive: Path) -> None:
    """Write an archive like those of python-build-standalone, with the Python of a root file system."""
    with tarfile.open(archive, "w:gz", compresslevel=1, dereference=True) as tar:
        tar.add(root / "usr/bin/python3.11", "python/bin/python3.11")
        tar.add(root / "usr/lib/python3.11", "python/lib/python3.11", filter=without_byte_code)
        for name in UNUSED:
            tar.addfile(tarfile.TarInfo(f"python/{name}"))
        for name in ("python", "python3"):
            link = tarfile.TarInfo(f"python/bin/{name}")
            link.type, link.linkname = tarfile.SYMTYPE, "python3.11"
            tar.addfile(link)


def without_byte_code(member: tarfile.TarInfo) -> tarfile.TarInfo | None:
    return None if "__pycache__" in member.name else member


@pytest.fixture
def release(lorax_image: BuiltImage, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """A server of one release, which uv takes for all that there are; yields its version."""
    version = inside(lorax_image, "import platform; print(platform.python_version())").strip()
    handler = partial(SimpleHTTPRequestHandler, directory=str(tmp_path))
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True).start()
        url = f"http://127.0.0.1:{server.server_address[1]}"
        archive = tmp_path / "python.tar.gz"
        pack(lorax_image.root, archive)
        entry = {
            "name": "cpython", "arch": {"family": "x86_64", "variant": None}, "os": "linux", "libc": "gnu",
            "major": 3, "minor": 11, "patch": int(version.split(".")[2]), "prerelease": "", "variant": None,
            "build": "20261101", "url": f"{url}/{archive.name}",
            "sha256": hashlib.sha256(archive.read_bytes()).hexdigest(),
        }  # fmt: skip
        index = {f"cpython-{version}-linux-x86_64-gnu": entry}
        (tmp_path / "downloads.json").write_text(json.dumps(index))
        monkeypatch.setenv("UV_PYTHON_DOWNLOADS_JSON_URL", f"{url}/downloads.json")
        yield version
        server.shutdown()


def test_the_downloaded_python_is_in_the_image_without_its_installers(buildah: Buildah, release: str) -> None:
    image = f"localhost/lora-serving-tests/second-python:{TAG}"
    # Not the base's: the version alone would find that one.
    arguments = stand_in_arguments("lorax", buildah) | {
        "PYTHON_VERSION": f"cpython-{release}-linux-x86_64-gnu"
    }
    with build_secrets() as secrets:
        with secrets["build.env"].open("a") as settings:
            settings.write("export UV_PYTHON_PREFERENCE=only-managed\n")
        buildah.build(
            dockerfile=ROOT / "container" / "lorax" / "Dockerfile", context=ROOT, tag=image,
            build_args=arguments, secrets=secrets,
        )  # fmt: skip
    try:
        names = {member.name for member in added_members(buildah, "lorax", image)}
        home = f"opt/gateway/python/cpython-{release}-linux-x86_64-gnu"
        assert f"{home}/bin/python3.11" in names
        assert {name for name in UNUSED if f"{home}/{name}" in names} == set()
        outside = {
            name
            for name in names
            if not name.startswith(("opt/gateway/bin/", "opt/gateway/lib/", f"{home}/"))
        }
        assert outside == {
            "opt", "opt/gateway", "opt/gateway/bin", "opt/gateway/lib", "opt/gateway/lib64", "opt/gateway/pyvenv.cfg",
            "opt/gateway/python", home, "opt/gateway/python/cpython-3.11-linux-x86_64-gnu",
        }  # fmt: skip
        sources = {
            name for name in names if name.startswith(f"{home}/lib/python3.11/json/") and name.endswith(".py")
        }
        assert sources
        assert all(
            name.replace("json/", "json/__pycache__/").replace(".py", ".cpython-311.pyc") in names
            for name in sources
        )
        with mounted("lorax", image) as found:
            check = "import sys, ssl, aiohttp, container.lorax.command; print(sys.base_prefix)"
            assert inside(found, check).strip() == f"/{home}"
    finally:
        subprocess.run(["buildah", "rmi", image], check=True, capture_output=True)
