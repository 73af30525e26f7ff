"""Malicious and damaged pickles are refused by name, nothing of them is run, and they stay within bounds."""

import functools
import io
import operator
import os
import pickle
import pickletools
import struct
import subprocess
import sys
import types
from collections import OrderedDict
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

from ingest.pytorch.errors import UnusableCheckpoint
from ingest.pytorch.unpickler import _BY_NAME, MAX_OPCODES, MAX_PICKLE_BYTES, unpickle
from stacks.project import ROOT
from tests.unit.ingest.pytorch.building import checkpoint, refusal

#: A command that leaves a trace if anything runs it.
CANARY = "touch {}"


class Call:
    """Pickled as a call of any function."""

    def __init__(self, function: Callable[..., Any], *arguments: object) -> None:
        self.made = (function, arguments)

    def __reduce__(self) -> Any:
        return self.made


class WithState:
    """Pickled as an object of a class whose `__setstate__` gets text from the file."""

    def __init__(self, factory: Callable[..., Any], state: object) -> None:
        self.made = (factory, (), state)

    def __reduce__(self) -> Any:
        return self.made


def name_of(module: str, name: str) -> bytes:
    """Return the opcodes that push a class or function, as protocol 2 writes them."""
    return f"c{module}\n{name}\n".encode()


def text(value: str) -> bytes:
    return b"\x8c" + bytes([len(value.encode())]) + value.encode()


def attacks(canary: Path) -> dict[str, tuple[bytes, str]]:
    """Return pickles that run a command when they are loaded, each with the name that the refusal has."""
    command = CANARY.format(canary)
    code = f"__import__('os').system({command!r})"
    pickled = functools.partial(pickle.dumps, protocol=2)
    system = Call(os.system, command)
    return {
        "os.system": (pickled(system), "posix.system"),
        "os.system by its other name": (name_of("os", "system") + text(command) + b"\x85R.", "os.system"),
        "in a dict": (pickled({"weight": system}), "posix.system"),
        "as a key": (b"}" + pickled(system)[:-1] + b"K\x01s.", "posix.system"),
        "nested in the arguments of a call": (pickled(OrderedDict([("a", system)])), "posix.system"),
        "a call in a call": (pickled(Call(eval, Call(str, code))), "eval"),
        "eval": (pickled(Call(eval, code)), "__builtin__.eval"),
        "eval of Python 3": (pickle.dumps(Call(eval, code), protocol=4), "builtins.eval"),
        "exec": (pickle.dumps(Call(exec, code), protocol=5), "builtins.exec"),
        "compile": (pickled(Call(compile, code, "x", "exec")), "compile"),
        "__import__": (pickled(Call(__import__, "os")), "__import__"),
        "getattr": (pickled(Call(getattr, Call(__import__, "os"), "system")), "getattr"),
        "a chain of getattr": (
            name_of("builtins", "getattr") + name_of("torch", "os") + text("system") + b"\x86R.",
            "builtins.getattr",
        ),
        "an attribute as an argument": (
            name_of("collections", "OrderedDict") + name_of("torch", "serialization") + b"\x85R.",
            "torch.serialization",
        ),
        "the module below torch": (name_of("torch", "os.system") + text(command) + b"\x85R.", "torch.os.system"),
        "a dotted name in two parts": (
            b"\x80\x04" + text("torch") + text("_utils._rebuild_tensor_v2") + b"\x93).",
            "torch._utils._rebuild_tensor_v2",
        ),
        "subprocess": (pickle.dumps(Call(subprocess.Popen, command, 0), 4), "subprocess.Popen"),
        "open": (pickled(Call(open, str(canary), "w")), "open"),
        "functools.partial": (pickled(Call(functools.partial, os.system, command)), "functools.partial"),
        "operator": (pickled(Call(operator.attrgetter, "system")), "operator.attrgetter"),
        "types": (pickled(Call(types.SimpleNamespace)), "types.SimpleNamespace"),
        "copyreg": (name_of("copyreg", "__newobj__") + name_of("os", "system") + b"\x85R.", "copyreg.__newobj__"),
        "torch.load": (pickled(Call(torch.load, str(canary))), "torch.serialization.load"),
        "torch.hub": (pickled(Call(torch.hub.load, "x", "y")), "torch.hub.load"),
        "a class of torch that runs code": (
            name_of("torch.jit", "unsupported_tensor_ops.execWrapper") + text(code) + b"\x85R.",
            "torch.jit.unsupported_tensor_ops.execWrapper",
        ),
        "numpy": (name_of("numpy.testing._private.utils", "runstring") + text(code) + b"}\x86R.", "runstring"),
        "STACK_GLOBAL with names from the memo": (
            b"\x80\x04" + text("os") + b"\x940" + text("system") + b"\x94" + b"h\x00h\x01\x93" + text(command) + b"\x85R.",
            "POP",
        ),
        "STACK_GLOBAL": (
            b"\x80\x04" + text("os") + b"\x94" + text("system") + b"\x94\x93" + text(command) + b"\x85R.",
            "os.system",
        ),
        "STACK_GLOBAL with a name that is called": (
            b"\x80\x04" + text("os") + name_of("builtins", "str") + text("system") + b"\x85R\x93.",
            "builtins.str",
        ),
        "STACK_GLOBAL with no text": (b"\x80\x04" + text("os") + b"N\x93.", "something that is no text"),
        "INST": (b"(" + text(command) + b"ios\nsystem\n.", "os.system"),
        "OBJ": (b"(" + name_of("os", "system") + text(command) + b"o.", "os.system"),
        "OBJ with a class that is allowed": (b"(" + name_of("collections", "OrderedDict") + b"o.", "OBJ"),
        "NEWOBJ": (name_of("torch", "FloatStorage") + b")\x81.", "NEWOBJ"),
        "NEWOBJ_EX": (b"\x80\x04" + name_of("torch", "FloatStorage") + b")}\x92.", "NEWOBJ_EX"),
        "EXT1": (b"\x82\x01.", "EXT1"),
        "EXT2": (b"\x83\x01\x02.", "EXT2"),
        "EXT4": (b"\x84\x01\x02\x03\x04.", "EXT4"),
        "BUILD on a function": (
            name_of("collections", "OrderedDict") + b"}" + text("__setstate__") + name_of("os", "system") + b"sb.",
            "os.system",
        ),
        "BUILD on a class": (name_of("collections", "OrderedDict") + b"}b.", "the state of an object"),
        "__setstate__": (pickled(WithState(functools.partial, (os.system, (command,), {}, {}))), "functools.partial"),
        "a reduce of a text": (text("os.system") + text(command) + b"\x85R.", "calls something that is no function"),
        "a reduce without a tuple": (
            name_of("collections", "OrderedDict") + text(command) + b"R.", "calls something that is no function"
        ),
        "a reduce of a storage": (
            name_of("torch", "FloatStorage") + text(command) + b"\x85R.", "names 'torch.FloatStorage'"
        ),
        "OrderedDict with arguments": (
            name_of("collections", "OrderedDict") + text(command) + b"\x85R.",
            "calls collections.OrderedDict with arguments",
        ),
        "a persistent id that is text": (b"Pos.system\n.", "PERSID"),
        "a persistent id that is a call": (pickled(system)[:-1] + b"Q.", "posix.system"),
        "a persistent id of another kind": (text("module") + name_of("torch", "FloatStorage") + b"\x86Q.", "not a storage"),
        "a persistent id of another class": (
            b"(" + text("storage") + name_of("collections", "OrderedDict") + text("0") + text("cpu") + b"K\x01tQ.",
            "collections.OrderedDict",
        ),
        "a hook of a parameter": (
            name_of("torch._utils", "_rebuild_parameter") + text("x") + b"\x88" + pickled(system)[:-1] + b"\x87R.",
            "posix.system",
        ),
        "out-of-band buffers": (b"\x80\x05\x97.", "NEXT_BUFFER"),
        "frozen sets": (b"\x80\x04(\x91.", "FROZENSET"),
        "duplicates": (b"}2.", "DUP"),
    }  # fmt: skip


NAMES = list(attacks(Path("x")))


@pytest.mark.parametrize("attack", NAMES)
def test_malicious_pickles_are_refused_by_name_and_nothing_is_run(attack: str, tmp_path: Path) -> None:
    canary = tmp_path / "canary"
    content, name = attacks(canary)[attack]
    message = refusal(checkpoint(content))
    assert name in message
    assert not canary.exists()


def test_the_attacks_do_run_in_pythons_own_unpickler(tmp_path: Path) -> None:
    """Otherwise the canary proves nothing."""
    canary = tmp_path / "canary"
    ran = set()
    for attack in ("os.system", "in a dict", "eval", "exec", "STACK_GLOBAL", "INST", "OBJ"):
        pickle.loads(attacks(canary)[attack][0])  # noqa: S301 — the point of this test
        if canary.exists():
            ran.add(attack)
            canary.unlink()
    assert len(ran) == 7


def test_reading_a_checkpoint_imports_no_module() -> None:
    code = (
        "import sys\n"
        "from ingest.pytorch.unpickler import unpickle\n"
        "before = set(sys.modules)\n"
        "try: unpickle(b'ctelnetlib\\nTelnet\\n.')\n"
        "except Exception as error: print(error)\n"
        "assert set(sys.modules) == before and 'torch' not in sys.modules\n"
    )
    run = subprocess.run(
        [sys.executable, "-W", "error", "-c", code], cwd=ROOT, capture_output=True, text=True, check=True
    )
    assert (
        "names 'telnetlib.Telnet', which is no part of an adapter's tensors: nothing of it was run"
        in run.stdout
    )


def test_the_package_needs_the_standard_library_only() -> None:
    """The Lambda has neither torch nor numpy."""
    code = (
        "import sys, ingest.pytorch.converted_file, ingest.adapter_files, ingest.local_directory\n"
        "names = {name.partition('.')[0] for name in sys.modules}\n"
        "assert names <= set(sys.stdlib_module_names) | {'ingest', 'adapters', '__main__'}, names\n"
    )
    subprocess.run([sys.executable, "-S", "-c", code], cwd=ROOT, check=True)


BOMBS = {
    "a memo index of four billion": b"}r\xff\xff\xff\xff.",
    "a frame of 2**60 bytes": b"\x80\x04\x95" + struct.pack("<Q", 2**60) + b"}.",
    "a text of 2**62 bytes": b"\x80\x04\x8d" + struct.pack("<Q", 2**62) + b".",
    "bytes of four gigabytes": b"\x80\x03B" + struct.pack("<I", 2**32 - 1) + b".",
    "a byte array of 2**62 bytes": b"\x80\x05\x96" + struct.pack("<Q", 2**62) + b".",
    "an integer of 255 bytes": b"\x8a\xff" + b"\xff" * 255 + b".",
    "an integer of two gigabytes": b"\x8b" + struct.pack("<i", 2**31 - 1) + b".",
    "an integer of digits": b"L" + b"9" * 100_000 + b"L\n.",
    "lists without end": b"]" * (MAX_PICKLE_BYTES - 1) + b".",
    "marks without end": b"(" * (MAX_PICKLE_BYTES - 1) + b".",
    "dicts in the memo": b"}\x94" * (MAX_PICKLE_BYTES // 2 - 1) + b".",
    "nested tuples": b")" + b"\x85" * 800_000 + b".",
    "nested lists": b"]" * 300_000 + b"a" * 299_999 + b".",
    "tuples of tuples, doubled each time": b")" + b"q\x00h\x00\x86" * 200_000 + b".",
    "a tuple as long as the stack, again and again": b"(" + b")" * 400_000 + b"t.",
    "texts from the memo": b"X\x00\x00\x04\x00" + b"x" * 262_144 + b"q\x00(" + b"h\x00" * 400_000 + b"t.",
    "a pickle that is too long": b"}" * (MAX_PICKLE_BYTES + 1),
}


@pytest.mark.parametrize("bomb", BOMBS)
def test_bombs_end_soon_and_in_little_memory(bomb: str) -> None:
    """In a process whose memory is bounded, as a Lambda's is."""
    code = (
        "import resource, sys, time\n"
        "resource.setrlimit(resource.RLIMIT_AS, (256 << 20, 256 << 20))\n"
        "from ingest.pytorch.errors import UnusableCheckpoint\n"
        "from ingest.pytorch.tensors import find_tensors\n"
        "from ingest.pytorch.unpickler import unpickle\n"
        "data = sys.stdin.buffer.read()\n"
        "try: find_tensors(unpickle(data), {})\n"
        "except UnusableCheckpoint as error: print(error)\n"
        "else: raise SystemExit('accepted')\n"
        "assert time.process_time() < 10\n"
    )
    run = subprocess.run(
        [sys.executable, "-S", "-c", code], cwd=ROOT, input=BOMBS[bomb], capture_output=True, check=False
    )
    assert run.returncode == 0, run.stderr.decode()
    assert run.stdout


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b".",
        b"}}.",
        b"(}.",
        b"}.}",
        b"}",
        b"t.",
        b"}0.",
        b"h\x00.",
        b"}K\x01s.",
        b"]K\x01K\x02s.",
        b"}K\x01a.",
        b"}(K\x01u.",
        b"}]K\x01s.",
        b"\x80\x01}.",
        b"\x80\x06}.",
        b"\xff.",
        b"ccollections",
        b"c\xff\nx\n.",
        b"\x8c\x01\xff.",
        b"(K\x01}b.",
        b"}(b.",
    ],
)
def test_damaged_pickles_are_refused(content: bytes) -> None:
    with pytest.raises(UnusableCheckpoint):
        unpickle(content)


def test_plain_values_of_every_protocol_are_read() -> None:
    value = {
        "none": None, "flags": [True, False], "numbers": [0, 255, 256, 65536, -1, -(2**31), 2**40, -(2**70), 0.5],
        "texts": ["", "é", "x" * 300], "bytes": b"abc", "nested": {"tuple": (1, (2,), (), (1, 2, 3, 4))}, 5: 6,
    }  # fmt: skip
    for protocol in (3, 4, 5):
        assert unpickle(pickle.dumps(value, protocol=protocol)) == value
    assert unpickle(pickle.dumps(OrderedDict(a=1), protocol=2)) == {"a": 1}


def test_every_operation_has_a_name_of_pickletools() -> None:
    assert _BY_NAME.keys() <= {operation.name for operation in pickletools.opcodes}
    assert MAX_OPCODES < MAX_PICKLE_BYTES


def test_a_tensor_of_an_unsupported_layout_in_the_middle_is_refused() -> None:
    file = io.BytesIO()
    torch.save({"a": torch.zeros(2), "b": torch.nested.nested_tensor([torch.zeros(2)])}, file)
    assert "names 'torch." in refusal(file.getvalue())
