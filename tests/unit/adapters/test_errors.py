"""The tree of errors in adapters.errors lists every error there is."""

import importlib
import pkgutil
import re
from collections.abc import Iterator

import adapters.errors
from adapters.errors import AdapterError
from tests.harness.rooms import DEPLOYED, GRADIO

#: Packages whose code may define an error about adapters.
PACKAGES = tuple(room for room in DEPLOYED if room != "stacks")
#: A line of the tree: indentation, name, module where it is not the root.
LINE = re.compile(r"^ {4}((?: {4})*)(\w+) {2,}(?:([\w.]+):)?", re.MULTILINE)


def import_all() -> None:
    for name in PACKAGES:
        package = importlib.import_module(name)
        for module in pkgutil.walk_packages(package.__path__, f"{name}."):
            if not module.name.endswith("__main__") and module.name not in GRADIO:
                importlib.import_module(module.name)


def defined(error: type[AdapterError], level: int = 0) -> Iterator[tuple[int, str, str]]:
    """Level, name and module of an error and of all that derive from it."""
    yield level, error.__name__, error.__module__
    for subclass in error.__subclasses__():
        if subclass.__module__.partition(".")[0] in PACKAGES:
            yield from defined(subclass, level + 1)


def test_the_overview_lists_every_adapter_error_with_its_module_and_parent() -> None:
    import_all()
    listed = [
        (len(indent) // 4, name, module or "adapters.errors")
        for indent, name, module in LINE.findall(adapters.errors.__doc__ or "")
    ]
    assert sorted(listed) == sorted(defined(AdapterError))
    assert len(listed) > 5
