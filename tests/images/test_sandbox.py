"""A container in a sandbox has the process, files and rights of a container on SageMaker."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from laptop_cloud.containers.sandbox.capabilities import MASK
from laptop_cloud.containers.sandbox.spec import ROOT_BYTES
from tests.harness.sandbox import SandboxedContainer
from tests.images.small_image import IMAGE, PROBE, probe_container

MB = 10**6


@pytest.fixture(scope="module")
def container(tmp_path_factory: pytest.TempPathFactory) -> Iterator[SandboxedContainer]:
    folder = tmp_path_factory.mktemp("sandbox")
    (folder / "instance" / "model").mkdir(parents=True)
    (folder / "instance" / "model" / "weights").write_text("the weights")
    (folder / "extra").mkdir()
    (folder / "extra" / "package").write_text("mounted")
    with probe_container(
        folder,
        environment={"OVERRIDDEN": "model", "AWS_CONTAINER_CREDENTIALS_RELATIVE_URI": "/v2/credentials/x"},
        mounts={"/opt/engine/site-packages": folder / "extra"},
    ) as running:
        yield running


def write(path: str, size: int) -> str:
    """Code that writes so many bytes and prints the error or `written`."""
    return (
        f"with open({path!r}, 'wb') as file:\n"
        f"    for _ in range({size} // 2**20 + 1): file.write(bytes(2**20))\n"
        "print('written')"
    )


def test_the_command_is_pid_1_with_the_argument_serve(container: SandboxedContainer) -> None:
    assert container.run("import os, sys; print(os.getpid(), sys.argv, os.getcwd())") == (
        f"1 ['{PROBE}', 'serve'] /opt/probe\n"
    )
    # It leads a separate session, as a container's PID 1 does.
    assert container.run("import os; print(os.getsid(0), os.getpgid(0), os.getppid())") == "1 1 0\n"


def test_the_environment_is_the_images_and_the_platforms_alone(container: SandboxedContainer) -> None:
    # As the program got it: Python adds LC_CTYPE to os.environ.
    given = container.run("print(open('/proc/1/environ').read())").strip("\n\0")
    environment = dict(variable.split("=", 1) for variable in given.split("\0"))
    assert len(environment.pop("HOSTNAME")) == 12
    assert environment == {
        "PATH": "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
        "HOME": "/root",
        "PWD": "/opt/probe",
        "FROM_IMAGE": "image",
        "OVERRIDDEN": "model",
        "PYTHONDONTWRITEBYTECODE": "1",
        "AWS_CONTAINER_CREDENTIALS_RELATIVE_URI": "/v2/credentials/x",
    }


def test_other_users_do_not_see_the_credentials_token(container: SandboxedContainer) -> None:
    assert (container.folder / "sandbox.json").stat().st_mode & 0o777 == 0o600
    assert not any("v2/credentials" in " ".join(each.cmdline()) for each in container.processes())


def test_it_sees_its_own_processes_alone(container: SandboxedContainer) -> None:
    assert container.run("import os; print([name for name in os.listdir('/proc') if name.isdigit()])") == (
        "['1']\n"
    )


@pytest.mark.parametrize("kind", ["cgroup", "ipc", "mnt", "net", "pid", "uts"])
def test_its_namespaces_are_not_the_hosts(container: SandboxedContainer, kind: str) -> None:
    inside = container.run(f"import os; print(os.readlink('/proc/self/ns/{kind}'))").strip()
    assert inside.startswith(f"{kind}:[")
    assert inside != str(Path(f"/proc/self/ns/{kind}").readlink())


def test_it_is_root_with_dockers_capabilities(container: SandboxedContainer) -> None:
    assert container.run("import os; print(os.getuid(), os.getgid(), os.getgroups())") == "0 0 [0]\n"
    status = dict(
        line.split(":\t", 1)
        for line in container.run("print(open('/proc/self/status').read())").splitlines()
        if ":\t" in line
    )
    assert {status[name] for name in ("CapPrm", "CapEff", "CapBnd")} == {f"{MASK:016x}"}
    assert f"{MASK:x}" == "a80425fb", "Docker's default set, as /proc/self/status shows it"


@pytest.mark.parametrize(
    "refused",
    [
        "import os; os.mkdir('/m'); import ctypes; c = ctypes.CDLL(None, use_errno=True)\n"
        "print(c.mount(b'none', b'/m', b'tmpfs', 0, None), os.strerror(ctypes.get_errno()))",
        "import socket; socket.socket(socket.AF_INET, socket.SOCK_DGRAM)\n"
        "import ctypes; c = ctypes.CDLL(None, use_errno=True)\n"
        "import os; print(c.unshare(0x40000000), os.strerror(ctypes.get_errno()))",
    ],
    ids=["mount", "unshare"],
)
def test_it_cannot_mount_or_leave_its_namespaces(container: SandboxedContainer, refused: str) -> None:
    assert container.run(refused) == "-1 Operation not permitted\n"


def test_the_kernels_settings_are_read_only(container: SandboxedContainer) -> None:
    assert "Read-only file system" in container.run("open('/proc/sys/vm/swappiness', 'w').write('1')")
    assert "Read-only file system" in container.run(
        "open('/sys/kernel/mm/transparent_hugepage/enabled', 'w')"
    )


def test_the_uppermost_layer_is_seen_and_none_is_changed(container: SandboxedContainer) -> None:
    assert container.run("print(open('/etc/layer').read())") == "upper\n"
    assert container.run("open('/etc/layer', 'w').write('changed'); print(open('/etc/layer').read())") == (
        "changed\n"
    )
    assert [(layer / "etc" / "layer").read_text() for layer in container.spec.layers] == ["upper", "lower"]


def test_the_root_volume_is_small_and_tmp_is_large(container: SandboxedContainer) -> None:
    assert (
        container.run(write("/root/file", ROOT_BYTES + MB)) == "OSError: [Errno 28] No space left on device\n"
    )
    assert container.run("import os; os.unlink('/root/file'); print('ok')") == "ok\n"
    assert container.run(write("/root/file", MB)) == "written\n"
    assert container.run(write("/tmp/file", 200 * MB)) == "written\n"  # noqa: S108 — in the container
    free = container.run("import shutil; print([shutil.disk_usage(p).total for p in ('/', '/dev/shm')])")
    assert free == f"[{ROOT_BYTES}, {64 * 2**20}]\n"
    assert (container.folder / "tmp" / "file").stat().st_size > 200 * MB


def test_any_user_may_write_in_tmp(container: SandboxedContainer) -> None:
    assert container.run(
        "import os; print(oct(os.stat('/tmp').st_mode), oct(os.stat('/dev/shm').st_mode))"
    ) == ("0o41777 0o41777\n")


def test_model_data_and_mounts_are_read_only(container: SandboxedContainer) -> None:
    assert container.run("print(open('/opt/ml/model/weights').read())") == "the weights\n"
    for path in ("/opt/ml/model/new", "/opt/ml/model/weights", "/opt/engine/site-packages/package"):
        assert "Read-only file system" in container.run(f"open({path!r}, 'a')")
    assert container.run("print(open('/opt/engine/site-packages/package').read())") == "mounted\n"


def test_platform_files_and_devices_are_there(container: SandboxedContainer) -> None:
    assert (
        container.run(
            "import socket; name = socket.gethostname()\n"
            "print(name == open('/etc/hostname').read().strip(), socket.gethostbyname(name), "
            "socket.gethostbyname('localhost'))"
        )
        == "True 172.17.0.2 127.0.0.1\n"
    )
    assert container.run("open('/etc/hosts', 'a').write('127.0.0.1 more\\n'); print('ok')") == "ok\n"
    assert container.run("import os; print(sorted(os.listdir('/dev')))") == (
        "['core', 'fd', 'full', 'mqueue', 'null', 'ptmx', 'pts', 'random', 'shm', 'stderr', 'stdin', "
        "'stdout', 'tty', 'urandom', 'zero']\n"
    )
    assert container.run("print(open('/dev/stdin').read())") == "\n"


def test_no_descriptor_of_the_sandbox_is_inherited(container: SandboxedContainer) -> None:
    # 0 to 2, and the server's sockets; a pipe or a file of the sandbox would be beyond.
    kinds = container.run(
        "import os\nfor name in sorted(os.listdir('/proc/1/fd'), key=int):\n"
        "    try: print(name, os.readlink('/proc/1/fd/' + name).split(':')[0])\n"
        "    except OSError: pass"
    )
    lines = kinds.splitlines()
    assert lines[0] == "0 /dev/null"
    assert {line.partition(" ")[2] for line in lines[3:]} <= {"socket", "anon_inode"}, kinds


def test_the_size_of_the_root_volume_is_a_parameter(tmp_path: Path) -> None:
    with probe_container(tmp_path, root_bytes=4 * 2**20) as container:
        assert container.run("import shutil; print(shutil.disk_usage('/').total)") == f"{4 * 2**20}\n"


def test_a_working_directory_that_the_image_lacks_is_made(tmp_path: Path) -> None:
    with probe_container(tmp_path, image=replace(IMAGE, working_dir="/made/for/it")) as container:
        assert container.run("import os; print(os.getcwd())") == "/made/for/it\n"
