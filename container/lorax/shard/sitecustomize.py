"""Import hook that applies keep_adapters.py to LoRAX's shard; Python imports this module at start.

Each Python program that LoRAX starts inherits PYTHONPATH. In all others this has almost no effect: it imports
importlib only, and another sitecustomize later in the path still runs.

Python 3.10, standard library only.
"""

from __future__ import annotations

import sys
from importlib import import_module
from importlib.machinery import PathFinder

#: Importing `typing` would take longer than all of this module.
TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence
    from importlib.machinery import ModuleSpec
    from types import ModuleType
    from typing import Any

SHARD = "lorax_server.server"
HERE = __file__.rpartition("/")[0]


class ShardFinder:
    """Finds the shard's module through the other finders, and changes it after its execution."""

    def find_spec(
        self, name: str, path: Sequence[str] | None = None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        """See `importlib.abc.MetaPathFinder`."""
        if name != SHARD:
            return None
        for finder in sys.meta_path:
            # Old finders only have `find_module`.
            find = None if finder is self else getattr(finder, "find_spec", None)
            spec: ModuleSpec | None = find(name, path, target) if find else None
            if spec is not None:
                _change_after(spec.loader)
                return spec
        return None


def _change_after(loader: Any) -> None:
    # Only this module's loader is changed, so that tracebacks still find the source.
    execute = loader.exec_module

    def exec_module(module: Any) -> None:
        execute(module)
        import_module("keep_adapters").keep_adapters_in_use(module.LoraxService)

    loader.exec_module = exec_module


def _run_the_next_sitecustomize() -> None:
    spec = PathFinder.find_spec(__name__, [entry for entry in sys.path if entry != HERE])
    if spec is not None and spec.loader is not None:
        from importlib.util import module_from_spec  # noqa: PLC0415

        spec.loader.exec_module(module_from_spec(spec))


sys.meta_path.insert(0, ShardFinder())
_run_the_next_sitecustomize()
