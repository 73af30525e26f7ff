"""The change to LoRAX's shard, on a stand-in for `LoraxService`, and its import by LoRAX's Python."""

import ast
import asyncio
import os
import subprocess
import sys
from collections.abc import Callable, Coroutine
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from container.lorax.command import SHARD
from container.lorax.shard.keep_adapters import keep_adapters_in_use

#: As LoRAX's module has its messages; the wrapped methods' answers are of these types.
generate_pb2 = SimpleNamespace(OffloadAdapterResponse=SimpleNamespace)


def make_service() -> type[Any]:
    """A fresh class each time, because it is changed. It writes down what is done to the GPU."""

    class LoraxService:
        def __init__(self) -> None:
            self.cache = SimpleNamespace(cache={})
            self.model = SimpleNamespace(loaded_adapters=set())
            self.done: list[str] = []
            self.failing: set[str] = set()

        async def LoadAdapter(self, request: Any, context: Any) -> Any:
            index = request.adapter_index
            if index == 0 or index in self.model.loaded_adapters:
                return SimpleNamespace(loaded=index != 0)
            self._do(f"load {request.adapter_parameters.adapter_ids[0]}")
            # As LoRAX does with ids of Predibase.
            request.adapter_parameters.adapter_ids[0] += "-mapped"
            self.model.loaded_adapters.add(index)
            return SimpleNamespace(loaded=True)

        async def OffloadAdapter(self, request: Any, context: Any) -> Any:
            if request.adapter_index not in self.model.loaded_adapters:
                return generate_pb2.OffloadAdapterResponse(offloaded=False)
            self._do(f"offload {request.adapter_index}")
            self.model.loaded_adapters.remove(request.adapter_index)
            return generate_pb2.OffloadAdapterResponse(offloaded=True)

        async def Prefill(self, request: Any, context: Any) -> Any:
            adapters = {each.adapter_index for each in request.batch.requests}
            assert adapters - {0} <= self.model.loaded_adapters, "the base model answers"
            meta = SimpleNamespace(adapter_set=adapters)
            self.cache.cache[request.batch.id] = SimpleNamespace(
                adapter_meta=meta, requests=request.batch.requests
            )
            return SimpleNamespace(generations=[])

        def _do(self, what: str) -> None:
            if what in self.failing:
                raise OSError(what)
            self.done.append(what)

    return LoraxService


class ShardClient:
    """The calls that the router makes."""

    def __init__(self) -> None:
        service = make_service()
        keep_adapters_in_use(service)
        self.service = service()

    @property
    def on_the_gpu(self) -> set[int]:
        loaded: set[int] = self.service.model.loaded_adapters
        return loaded

    def load(self, index: int) -> bool:
        parameters = SimpleNamespace(adapter_ids=[f"a{index}"])
        request = SimpleNamespace(adapter_parameters=parameters, adapter_index=index)
        return bool(run(self.service.LoadAdapter(request, None)).loaded)

    def offload(self, index: int) -> bool:
        return bool(run(self.service.OffloadAdapter(SimpleNamespace(adapter_index=index), None)).offloaded)

    def prefill(self, batch: int, *indices: int) -> None:
        requests = [SimpleNamespace(adapter_index=index) for index in indices]
        request = SimpleNamespace(batch=SimpleNamespace(id=batch, requests=requests))
        run(self.service.Prefill(request, None))

    def finish(self, batch: int) -> None:
        del self.service.cache.cache[batch]


def run(call: Coroutine[Any, Any, Any]) -> Any:
    return asyncio.run(call)


@pytest.fixture
def shard() -> ShardClient:
    return ShardClient()


def test_weights_stay_until_the_answer_is_complete(shard: ShardClient) -> None:
    shard.load(1)
    shard.prefill(7, 1)
    assert shard.offload(1)
    shard.load(2)
    assert shard.on_the_gpu == {1, 2}
    shard.finish(7)
    assert shard.on_the_gpu == {1, 2}
    shard.load(3)
    assert shard.service.done == ["load a1", "load a2", "offload 1", "load a3"]


def test_memory_is_given_back_before_the_next_load(shard: ShardClient) -> None:
    shard.load(1)
    shard.load(2)
    assert shard.offload(1)
    assert shard.offload(2)
    assert shard.on_the_gpu == {1, 2}
    shard.load(3)
    assert shard.service.done[2:] == ["offload 1", "offload 2", "load a3"]


def test_an_adapter_that_comes_back_has_never_left(shard: ShardClient) -> None:
    shard.load(1)
    shard.offload(1)
    assert shard.load(1)
    shard.load(2)
    assert shard.service.done == ["load a1", "load a2"]
    assert shard.offload(1)


def test_one_that_is_on_the_gpu_takes_no_memory_from_others(shard: ShardClient) -> None:
    for index in (1, 2):
        shard.load(index)
    shard.offload(1)
    shard.load(2)
    assert shard.on_the_gpu == {1, 2}


def test_a_batch_that_comes_after_offload_has_its_adapters_loaded_again(shard: ShardClient) -> None:
    for index in (1, 2):
        shard.load(index)
    shard.offload(1)
    shard.load(3)
    shard.offload(2)
    shard.prefill(7, 0, 1, 3)
    # As the router first asked for it, and once the memory of others is free.
    assert shard.service.done[3:] == ["load a3", "offload 2", "load a1"]
    shard.load(4)
    assert 1 in shard.on_the_gpu
    shard.finish(7)
    shard.load(5)
    assert shard.on_the_gpu == {3, 4, 5}


def test_a_batch_keeps_what_it_needs_while_room_is_made_for_the_rest_of_it(shard: ShardClient) -> None:
    shard.load(1)
    shard.offload(1)
    shard.load(2)
    shard.offload(2)
    shard.prefill(7, 1, 2)
    assert shard.on_the_gpu == {1, 2}


def test_a_batch_of_which_only_the_requests_are_known_counts(shard: ShardClient) -> None:
    shard.load(1)
    shard.prefill(7, 1)
    shard.service.cache.cache[7].adapter_meta = None
    shard.offload(1)
    shard.load(2)
    assert shard.on_the_gpu == {1, 2}


def test_a_failed_load_is_lorax_own_error_and_changes_nothing(shard: ShardClient) -> None:
    shard.service.failing = {"load a1"}
    with pytest.raises(OSError, match="load a1"):
        shard.load(1)
    assert not shard.offload(1)
    shard.service.failing = set()
    assert shard.load(1)


def test_a_batch_whose_adapter_cannot_be_loaded_again_fails(shard: ShardClient) -> None:
    shard.load(1)
    shard.offload(1)
    shard.load(2)
    shard.service.failing = {"load a1"}
    with pytest.raises(OSError, match="load a1"):
        shard.prefill(7, 1)
    assert not shard.service.cache.cache


def test_a_failed_offload_is_not_the_error_of_the_next_adapter(shard: ShardClient) -> None:
    for index in (1, 2):
        shard.load(index)
    for index in (1, 2):
        shard.offload(index)
    shard.service.failing = {"offload 1"}
    assert shard.load(3)
    assert shard.on_the_gpu == {1, 3}
    shard.service.failing = set()
    shard.load(4)
    assert shard.on_the_gpu == {3, 4}


def test_what_no_request_has_loaded_is_left_to_lorax(shard: ShardClient) -> None:
    shard.on_the_gpu.add(5)
    assert shard.load(5)
    assert shard.offload(5)
    assert shard.service.done == ["offload 5"]
    assert not shard.load(0)
    assert not shard.offload(0)
    shard.prefill(7, 0)


@pytest.mark.parametrize("name", ["LoadAdapter", "OffloadAdapter", "Prefill"])
def test_another_class_is_refused_with_one_sentence(name: str) -> None:
    def takes_no_request(self: object) -> None: ...

    async def takes_other_things(self: object, request: object) -> None: ...

    for method in (takes_no_request, takes_other_things, None):
        service = make_service()
        setattr(service, name, method)
        with pytest.raises(RuntimeError, match=rf"LoraxService has no `async def {name}\(self, request, con"):
            keep_adapters_in_use(service)
    inherits = type("LoraxService", (make_service(),), {})
    with pytest.raises(RuntimeError, match="LoraxService has no `async def LoadAdapter"):
        keep_adapters_in_use(inherits)


def test_a_module_without_the_answer_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delattr(sys.modules[__name__], "generate_pb2")
    with pytest.raises(RuntimeError, match=r"no `generate_pb2\.OffloadAdapterResponse` in its module: this"):
        keep_adapters_in_use(make_service())


@pytest.mark.parametrize(
    ("spoil", "lack"),
    [
        (lambda service: delattr(service, "cache"), "dict `cache.cache`"),
        (lambda service: delattr(service.model, "loaded_adapters"), "set `model.loaded_adapters`"),
        (lambda service: setattr(service.model, "loaded_adapters", {}), "set `model.loaded_adapters`"),
    ],
)
def test_another_object_is_refused_before_it_serves(spoil: Callable[[Any], None], lack: str) -> None:
    service = make_service()
    init = service.__init__

    def spoilt(self: Any) -> None:
        init(self)
        spoil(self)

    service.__init__ = spoilt
    keep_adapters_in_use(service)
    with pytest.raises(RuntimeError, match=f"LoraxService has no {lack}"):
        service()


SERVER = """
class generate_pb2:
    OffloadAdapterResponse = None


class LoraxService:
    async def LoadAdapter(self, request, context): ...
    async def OffloadAdapter(self, request, context): ...
    async def Prefill(self, request, context): ...
"""


class TestLoraxPython:
    """Another Python process, with the path that the container sets."""

    @pytest.fixture
    def folder(self, tmp_path: Path) -> Path:
        (tmp_path / "lorax_server").mkdir()
        (tmp_path / "lorax_server" / "__init__.py").touch()
        (tmp_path / "lorax_server" / "server.py").write_text(SERVER)
        return tmp_path

    @staticmethod
    def python(folder: Path, code: str) -> subprocess.CompletedProcess[str]:
        environment = {"PYTHONPATH": f"{SHARD}{os.pathsep}{folder}", "PYTHONDONTWRITEBYTECODE": "1"}
        command = [sys.executable, "-c", code]
        return subprocess.run(command, env=environment, capture_output=True, text=True, check=False)

    def test_the_shard_is_changed_however_it_is_imported(self, folder: Path) -> None:
        for statement in ("from lorax_server import server", "import lorax_server.server as server"):
            code = f"{statement}; print(server.LoraxService.Prefill.__code__.co_filename, server.__file__)"
            done = self.python(folder, code)
            files = (SHARD / "keep_adapters.py", folder / "lorax_server" / "server.py")
            assert done.stdout.split() == [str(file) for file in files], done.stderr

    def test_a_shard_that_the_change_does_not_fit_does_not_start(self, folder: Path) -> None:
        server = folder / "lorax_server" / "server.py"
        server.write_text(SERVER.replace("Prefill", "PrefillBatch"))
        # The second attempt in one process, too.
        code = "try:\n    import lorax_server.server\nexcept RuntimeError:\n    import lorax_server.server"
        done = self.python(folder, code)
        assert done.returncode == 1
        last = done.stderr.splitlines()[-1]
        assert last.startswith(
            "RuntimeError: lorax_server.server.LoraxService has no `async def Prefill(self,"
        )

    def test_another_sitecustomize_still_runs(self, folder: Path) -> None:
        (folder / "sitecustomize.py").write_text("print('the image\\'s own', __name__)")
        done = self.python(
            folder, "import lorax_server.server as s; print(s.LoraxService.Prefill.__module__)"
        )
        assert done.stdout.splitlines()[0] == "the image's own sitecustomize"
        assert self.python(folder, "import keep_adapters").returncode == 0

    def test_other_programs_import_nothing_more(self, folder: Path) -> None:
        code = "import sys, importlib.machinery; print(*sys.modules)"
        command = [sys.executable, "-c", code]
        plain = subprocess.run(command, env={}, capture_output=True, text=True, check=True)
        changed = self.python(folder, code)
        assert set(changed.stdout.split()) - set(plain.stdout.split()) == {"sitecustomize"}

    @pytest.mark.parametrize("file", sorted(SHARD.glob("*.py")), ids=lambda file: file.name)
    def test_the_files_are_for_python_3_10_and_its_standard_library(self, file: Path) -> None:
        tree = ast.parse(file.read_text(), feature_version=(3, 10))
        names = {
            alias.name for node in ast.walk(tree) if isinstance(node, ast.Import) for alias in node.names
        }
        names |= {node.module or "" for node in ast.walk(tree) if isinstance(node, ast.ImportFrom)}
        assert {name.partition(".")[0] for name in names} <= sys.stdlib_module_names
