"""The rooms of this repository: the packages that import-linter's contracts are about."""

import tomllib

from stacks.project import ROOT

#: Names of the folders, in alphabetical order.
ROOMS: tuple[str, ...] = tuple(
    tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["importlinter"]["root_packages"]
)
#: The rooms that a set-up for deployments can import.
DEPLOYED = tuple(room for room in ROOMS if room not in ("benchmarks", "container", "laptop_cloud", "samples"))
#: Modules that import Gradio, which the playground's separate environment alone has.
GRADIO = ("loraserve.playground.__main__", "loraserve.playground.page", "loraserve.playground.server")
