"""An interpreter for the pickles that `torch.save` writes; it imports nothing and calls nothing.

Python's `pickle.Unpickler` with another `find_class` would not do. What is looked up is then safe, but
the machine below it still trusts the file: it allocates what `BYTEARRAY8` or the index of `LONG_BINPUT`
claims before a byte was read, hashes keys that are nested as deeply as the file likes, and sets attributes
with `BUILD`. Here an opcode that PyTorch does not write is an error, a length is compared with what is left,
and the objects are plain data (`pickled`).

Opcodes: `pickletools` of Python 3.13, protocols 2 to 5. PyTorch writes protocol 2 by default.
"""

from __future__ import annotations

import pickletools
import struct
from collections.abc import Callable

from ingest.pytorch.errors import DAMAGED, SAVE_AGAIN, UnusableCheckpoint
from ingest.pytorch.pickled import Global, called, named, refused, storage_of

#: Bytes of a pickle that are read: about 220 for each tensor.
MAX_PICKLE_BYTES = 3 * 1024 * 1024
#: Opcodes that are run: 40 for each tensor. Each makes at most one object.
MAX_OPCODES = 450_000
_MOST_INTEGER_BYTES = 16
_PROTOCOLS = range(2, 6)
_KEYS = (str, int, float, bool, type(None))

Operation = Callable[["_Machine"], None]


def unpickle(data: bytes) -> object:
    """Return the object of a pickle, built of plain data; raises `UnusableCheckpoint`, and nothing else."""
    if len(data) > MAX_PICKLE_BYTES:
        raise UnusableCheckpoint(
            f"has a pickle of {len(data)} bytes, of which at most {MAX_PICKLE_BYTES} are read"
        )
    return _Machine(data).run()


class _Machine:
    """The state of one run: position, stack, marks and memo."""

    def __init__(self, data: bytes) -> None:
        self._data = data
        self._position = 0
        self.stack: list[object] = []
        self._marks: list[int] = []
        self.memo: dict[int, object] = {}

    def run(self) -> object:
        """Run all opcodes to STOP, which must be the last byte."""
        for _ in range(MAX_OPCODES):
            code = self.take(1)[0]
            if code == _STOP:
                break
            operation = _OPERATIONS.get(code)
            if operation is None:
                raise self._unknown(code)
            operation(self)
        else:
            raise UnusableCheckpoint(f"has a pickle of more than {MAX_OPCODES} operations")
        if self._position != len(self._data) or len(self.stack) != 1 or self._marks:
            raise UnusableCheckpoint("has a pickle that is not one object", DAMAGED)
        return self.stack[0]

    def take(self, length: int) -> bytes:
        """Return the next bytes."""
        if length > len(self._data) - self._position:
            raise UnusableCheckpoint("has a pickle that ends too early", DAMAGED)
        start, self._position = self._position, self._position + length
        return self._data[start : self._position]

    def number(self, length: int) -> int:
        """Return the next unsigned integer."""
        return int.from_bytes(self.take(length), "little")

    def line(self) -> str:
        """Return the next line, which names a module or what is in it."""
        end = self._data.find(b"\n", self._position)
        if end < 0:
            raise UnusableCheckpoint("has a pickle that ends too early", DAMAGED)
        text = self.text(end - self._position)
        self.take(1)
        return text

    def text(self, length: int) -> str:
        """Return the next UTF-8 text."""
        try:
            return self.take(length).decode()
        except UnicodeDecodeError as error:
            raise UnusableCheckpoint("has a text that is not UTF-8", DAMAGED) from error

    def pop(self) -> object:
        """Return the top of the stack; not below the last mark."""
        if len(self.stack) <= (self._marks[-1] if self._marks else 0):
            raise UnusableCheckpoint("has a pickle that is damaged", DAMAGED)
        return self.stack.pop()

    def top(self) -> object:
        """Return the top of the stack and leave it there."""
        value = self.pop()
        self.stack.append(value)
        return value

    def mark(self) -> None:
        """Remember the height of the stack."""
        self._marks.append(len(self.stack))

    def pop_mark(self) -> list[object]:
        """Return the objects above the last mark."""
        if not self._marks:
            raise UnusableCheckpoint("has a pickle that is damaged", DAMAGED)
        height = self._marks.pop()
        found = self.stack[height:]
        del self.stack[height:]
        return found

    def push(self, value: object) -> None:
        """Put an object on the stack."""
        self.stack.append(value)

    def _unknown(self, code: int) -> UnusableCheckpoint:
        name = _NAMES.get(code)
        if name is None:
            return UnusableCheckpoint("has a pickle that is damaged", DAMAGED)
        if name == "INST":
            return refused(Global(self.line(), self.line()))
        return UnusableCheckpoint(
            f"uses the pickle operation {name}, which PyTorch does not write: it was not run"
        )


def _protocol(machine: _Machine) -> None:
    version = machine.number(1)
    if version not in _PROTOCOLS:
        raise UnusableCheckpoint(f"has a pickle of protocol {version}", SAVE_AGAIN)


def _frame(machine: _Machine) -> None:
    # A hint for readers of streams, which this is not.
    machine.number(8)


def _global(machine: _Machine) -> None:
    machine.push(named(machine.line(), machine.line()))


def _stack_global(machine: _Machine) -> None:
    name, module = machine.pop(), machine.pop()
    if not (isinstance(module, str) and isinstance(name, str)):
        raise UnusableCheckpoint("names a class by something that is no text")
    machine.push(named(module, name))


def _reduce(machine: _Machine) -> None:
    arguments, function = machine.pop(), machine.pop()
    if not (isinstance(function, Global) and isinstance(arguments, tuple)):
        raise UnusableCheckpoint("calls something that is no function")
    machine.push(called(function, arguments))


def _build(machine: _Machine) -> None:
    # Attributes of an ordered dict, e.g. `_metadata` of a state_dict: no part of the tensors.
    machine.pop()
    if not isinstance(machine.top(), dict):
        raise UnusableCheckpoint("sets the state of an object that is no dict")


def _append(machine: _Machine, values: list[object]) -> None:
    target = machine.top()
    if not isinstance(target, list):
        raise UnusableCheckpoint("appends to something that is no list", DAMAGED)
    target.extend(values)


def _set_items(machine: _Machine, values: list[object]) -> None:
    target = machine.top()
    if not isinstance(target, dict) or len(values) % 2:
        raise UnusableCheckpoint("sets items of something that is no dict", DAMAGED)
    for key, value in zip(values[::2], values[1::2], strict=True):
        if not isinstance(key, _KEYS):
            raise UnusableCheckpoint("has a dict whose keys are neither texts nor numbers")
        target[key] = value


def _set_item(machine: _Machine) -> None:
    value, key = machine.pop(), machine.pop()
    _set_items(machine, [key, value])


def _tuple(length: int) -> Operation:
    def make(machine: _Machine) -> None:
        values = [machine.pop() for _ in range(length)]
        machine.push(tuple(reversed(values)))

    return make


def _put(length: int) -> Operation:
    def put(machine: _Machine) -> None:
        machine.memo[machine.number(length)] = machine.top()

    return put


def _memoize(machine: _Machine) -> None:
    machine.memo[len(machine.memo)] = machine.top()


def _get(length: int) -> Operation:
    def get(machine: _Machine) -> None:
        index = machine.number(length)
        if index not in machine.memo:
            raise UnusableCheckpoint("has a pickle that is damaged", DAMAGED)
        machine.push(machine.memo[index])

    return get


def _text(length: int) -> Operation:
    return lambda machine: machine.push(machine.text(machine.number(length)))


def _bytes(length: int) -> Operation:
    return lambda machine: machine.push(machine.take(machine.number(length)))


def _unsigned(length: int) -> Operation:
    return lambda machine: machine.push(machine.number(length))


def _signed(machine: _Machine) -> None:
    machine.push(int.from_bytes(machine.take(4), "little", signed=True))


def _long(length: int) -> Operation:
    def push(machine: _Machine) -> None:
        size = machine.number(length)
        if size > _MOST_INTEGER_BYTES:
            raise UnusableCheckpoint(f"has an integer of {size} bytes")
        machine.push(int.from_bytes(machine.take(size), "little", signed=True))

    return push


def _constant(value: object) -> Operation:
    return lambda machine: machine.push(value)


_STOP = ord(".")
_BY_NAME: dict[str, Operation] = {
    "PROTO": _protocol,
    "FRAME": _frame,
    "GLOBAL": _global,
    "STACK_GLOBAL": _stack_global,
    "REDUCE": _reduce,
    "BUILD": _build,
    "BINPERSID": lambda machine: machine.push(storage_of(machine.pop())),
    "MARK": _Machine.mark,
    "EMPTY_DICT": lambda machine: machine.push({}),
    "EMPTY_LIST": lambda machine: machine.push([]),
    "EMPTY_TUPLE": _constant(()),
    "TUPLE": lambda machine: machine.push(tuple(machine.pop_mark())),
    "TUPLE1": _tuple(1),
    "TUPLE2": _tuple(2),
    "TUPLE3": _tuple(3),
    "APPEND": lambda machine: _append(machine, [machine.pop()]),
    "APPENDS": lambda machine: _append(machine, machine.pop_mark()),
    "SETITEM": _set_item,
    "SETITEMS": lambda machine: _set_items(machine, machine.pop_mark()),
    "BINPUT": _put(1),
    "LONG_BINPUT": _put(4),
    "MEMOIZE": _memoize,
    "BINGET": _get(1),
    "LONG_BINGET": _get(4),
    "SHORT_BINUNICODE": _text(1),
    "BINUNICODE": _text(4),
    "BINUNICODE8": _text(8),
    "SHORT_BINBYTES": _bytes(1),
    "BINBYTES": _bytes(4),
    "BININT": _signed,
    "BININT1": _unsigned(1),
    "BININT2": _unsigned(2),
    "LONG1": _long(1),
    "LONG4": _long(4),
    "BINFLOAT": lambda machine: machine.push(struct.unpack(">d", machine.take(8))[0]),
    "NONE": _constant(None),
    "NEWTRUE": _constant(True),
    "NEWFALSE": _constant(False),
}
_NAMES = {ord(op.code): op.name for op in pickletools.opcodes}
_OPERATIONS = {code: _BY_NAME[name] for code, name in _NAMES.items() if name in _BY_NAME}
