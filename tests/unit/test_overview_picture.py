"""The README's picture of the system is the one that its source draws, and names what exists."""

import runpy
from pathlib import Path

from stacks.project import ROOT

SOURCE = ROOT / "docs" / "pictures" / "draw_overview.py"


def test_the_picture_is_drawn_from_its_source(tmp_path: Path) -> None:
    module = runpy.run_path(str(SOURCE))
    module["draw"](tmp_path / "overview.svg")
    assert (tmp_path / "overview.svg").read_bytes() == module["PICTURE"].read_bytes()


def test_the_files_that_it_names_exist() -> None:
    module = runpy.run_path(str(SOURCE))
    titles = [box.title for box in module["BOXES"]]
    patterns = [each for title in titles for each in title.split(", ") if "/" in each or each.endswith(".py")]
    assert patterns == ["stages/dev.yaml", "stages/adapters/*.yaml", "app.py", "stacks/"]
    assert all(list(ROOT.glob(pattern)) for pattern in patterns)
