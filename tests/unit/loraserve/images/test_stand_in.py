"""Definitions of the stand-ins; tests/images builds them."""

from pathlib import Path

import pytest

from adapters.engines.registry import ENGINES
from loraserve.images.stand_in import bases, debian
from loraserve.images.stand_in.debian import NoDebian, write_root


@pytest.mark.parametrize("engine", sorted(ENGINES))
def test_each_engine_has_a_stand_in_with_the_command_of_its_image(engine: str) -> None:
    dockerfile = (Path(bases.__file__).parent / engine / "Dockerfile").read_text()
    assert "FROM ${DEBIAN}" in dockerfile
    assert "ENTRYPOINT [" in dockerfile
    assert "WORKDIR /" in dockerfile


def test_without_debootstrap_the_error_has_the_remedy(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(debian.shutil, "which", lambda *_, **__: None)
    with pytest.raises(NoDebian, match="apt-get install debootstrap"):
        write_root(tmp_path / "root.tar")
    assert list(tmp_path.iterdir()) == []
