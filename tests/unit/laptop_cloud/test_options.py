"""Options of the server."""

from __future__ import annotations

from pathlib import Path

import pytest

from laptop_cloud import __main__ as program
from laptop_cloud.options import ServerOptions


def test_the_server_reads_the_arguments_of_its_options(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    options = ServerOptions(
        images={"localhost/echo": ["python3", "an echo.py"]},
        enforce_iam=True,
        pull_images=True,
        mounts={"/opt/engine": tmp_path},
    )
    given: list[ServerOptions] = []
    monkeypatch.setattr(program, "run", lambda _port, _state, options: given.append(options))
    for wanted in (options, ServerOptions()):
        arguments = ["laptop_cloud", "--port", "0", "--state", str(tmp_path), *wanted.arguments()]
        monkeypatch.setattr("sys.argv", arguments)
        assert program.main() == 0
    assert given == [options, ServerOptions()]


@pytest.mark.parametrize("mount", ["relative=/usr", "/opt/engine", "/opt/engine=/does/not/exist"])
def test_a_mount_that_cannot_be_made_is_refused(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path, mount: str
) -> None:
    arguments = ["laptop_cloud", "--port", "0", "--state", str(tmp_path), "--mount", mount]
    monkeypatch.setattr("sys.argv", arguments)
    with pytest.raises(SystemExit):
        program.main()
    assert "is not /path/in/the/container=<an existing path>" in capsys.readouterr().err
