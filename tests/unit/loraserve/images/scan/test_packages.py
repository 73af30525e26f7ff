"""Packages of an image, and the layers that brought them."""

from loraserve.images.scan.archive import ImageLayer
from loraserve.images.scan.packages import Distribution, find_distribution, installed, introduced
from tests.unit.loraserve.images.scan.saved_image import OS_RELEASE, STATUS, python_package

CONDA = b'{"name": "pytorch", "version": "2.4.0", "build": "py3.10_cuda12.4", "subdir": "linux-64"}'


def test_packages_have_the_urls_that_scanners_read() -> None:
    files = {
        "etc/os-release": OS_RELEASE,
        "var/lib/dpkg/status": STATUS,
        "opt/conda/conda-meta/pytorch-2.4.0.json": CONDA,
        "opt/conda/conda-meta/history.json": b"[]",
        **python_package("Typing_Extensions", "4.16.0+local"),
    }
    assert sorted(package.purl for package in installed(files)) == [
        "pkg:conda/pytorch@2.4.0?build=py3.10_cuda12.4&subdir=linux-64",
        "pkg:deb/debian/libc6@2.36-9%2Bb1?arch=amd64&distro=debian-12&upstream=glibc%402.36-9",
        "pkg:deb/debian/login@1:4.13%2Bdfsg1-1?arch=amd64&distro=debian-12&upstream=shadow",
        "pkg:pypi/typing-extensions@4.16.0%2Blocal",
    ]


def test_a_debian_package_has_the_version_of_its_source() -> None:
    found = {package.name: package.source for package in installed({"var/lib/dpkg/status": STATUS})}
    assert found == {"libc6": ("glibc", "2.36-9"), "login": ("shadow", "1:4.13+dfsg1-1")}


def test_a_python_without_a_package_manager_is_a_package() -> None:
    standalone = b"home = /opt/gateway/python/cpython-3.11.18-linux-x86_64-gnu/bin\nuv = 0.13.9\nversion_info = 3.11.18\n"
    debian = b"home = /usr/bin\nversion = 3.11.2\n"
    files = {"opt/gateway/pyvenv.cfg": standalone, "opt/other/pyvenv.cfg": debian}
    assert [package.purl for package in installed(files)] == ["pkg:generic/python@3.11.18"]


def test_a_distribution_is_found_in_either_file() -> None:
    assert find_distribution({"usr/lib/os-release": OS_RELEASE}) == Distribution("debian", "12")
    assert find_distribution({"usr/lib/os-release": b"NAME=x\n"}) is None


def test_each_package_belongs_to_the_layer_that_brought_its_version() -> None:
    status = b"Package: a\nStatus: install ok installed\nArchitecture: all\nVersion: %s\n\n"
    layers = (
        ImageLayer({"var/lib/dpkg/status": status % b"1", **python_package("p", "1")}),
        # The file is written again, with one package more.
        ImageLayer({"var/lib/dpkg/status": status % b"1" + (status % b"1").replace(b": a", b": b")}),
        ImageLayer({**python_package("p", "2")}, removed={"usr/lib/python3/dist-packages/p-1.dist-info"}),
    )
    found = {f"{package.name} {package.version}": layer for package, layer in introduced(layers).items()}
    assert found == {"a 1": 0, "b 1": 1, "p 2": 2}
