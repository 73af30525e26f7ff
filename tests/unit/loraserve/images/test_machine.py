"""Settings of the building machine: what a build gets, and that it gets nothing else."""

import stat
from pathlib import Path

import pytest

from loraserve.images.machine import build_secrets, machine_settings


def test_a_machine_without_settings_needs_no_secret() -> None:
    assert machine_settings({"PATH": "/bin", "AWS_SECRET_ACCESS_KEY": "x"}, {}) == ({}, None)


def test_index_proxy_and_certificates_are_passed_on_and_folders_are_not(tmp_path: Path) -> None:
    bundle = tmp_path / "ca.pem"
    bundle.touch()
    pip = {
        "index-url": "https://user:password@index.example/simple",
        "extra-index-url": "file:///srv/wheels https://more.example/simple",
        "find-links": "/srv/wheels",
        "cert": str(bundle),
    }
    settings, certificates = machine_settings({"https_proxy": "http://proxy.example:3128", "HOME": "/"}, pip)
    assert certificates == bundle
    assert settings == {
        "https_proxy": "http://proxy.example:3128",
        "PIP_INDEX_URL": "https://user:password@index.example/simple",
        "PIP_EXTRA_INDEX_URL": "https://more.example/simple",
        "PIP_CERT": "/run/secrets/ca.pem",
        "SSL_CERT_FILE": "/run/secrets/ca.pem",
    }


def test_the_secrets_are_files_of_this_user_only_while_the_build_runs(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    bundle = tmp_path / "ca.pem"
    bundle.touch()
    monkeypatch.setenv("PIP_CERT", str(bundle))
    monkeypatch.setenv("PIP_INDEX_URL", "https://index.example/it's")
    with build_secrets() as secrets:
        file = secrets["build.env"]
        assert secrets["ca.pem"] == bundle
        assert """export PIP_INDEX_URL='https://index.example/it'"'"'s'\n""" in file.read_text()
        assert stat.S_IMODE(file.parent.stat().st_mode) == 0o700
    assert not file.exists()
