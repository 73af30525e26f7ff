"""Draws overview.svg, the system in one picture: `.venv/bin/python docs/pictures/draw_overview.py`.

Boxes have a light ground of their own, lines and words beside them a middle grey: both read on a light page
and on a dark one. Words are drawn as outlines, so no reader's font makes them wider than their box.
"""

from __future__ import annotations

import sys
from dataclasses import dataclass
from pathlib import Path

import matplotlib as mpl
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import FancyArrowPatch, FancyBboxPatch

PICTURE = Path(__file__).with_name("overview.svg")
#: Width and height in pixels of a README, whose column is about 880 wide on GitHub.
WIDTH, HEIGHT = 880, 430
GREY, INK = "#768390", "#1c2733"
#: Ground and edge of a box: what is declared, what runs for a request, and what is outside.
DECLARED, RUNS, OUTSIDE = ("#eef3fb", "#4a6fa5"), ("#e7f5ea", "#4c8a5b"), ("#fdf3e1", "#b98536")


@dataclass(frozen=True)
class Box:
    """A part of the system, at its left upper corner in pixels from the picture's."""

    x: float
    y: float
    width: float
    height: float
    title: str
    lines: str = ""
    colours: tuple[str, str] = DECLARED


STAGE = Box(22, 112, 188, 50, "stages/dev.yaml", "model, engine, instance, scaling")
MANIFEST = Box(22, 182, 188, 50, "stages/adapters/*.yaml", "name, source, revision")
APP = Box(22, 262, 188, 50, "app.py, stacks/", "AWS CDK app, in Python")
HUB = Box(278, 10, 210, 40, "Hugging Face Hub, S3, a folder", colours=OUTSIDE)
SEEDER = Box(288, 105, 190, 50, "adapter seeder", "Lambda: publishes all or none")
BUCKET = Box(540, 105, 150, 50, "adapter bucket", "revisions, registry")
GATEWAY = Box(302, 232, 176, 80, "gateway", "picks the adapter, fetches it,\nqueues fairly, proves it", RUNS)
ENGINE = Box(540, 232, 136, 80, "vLLM or LoRAX", "one base model,\nmany adapters a batch", RUNS)
SCALING = Box(724, 192, 138, 56, "autoscaling", "by requests in flight")
ALARMS = Box(724, 274, 138, 56, "metrics, alarms", "roll an update back")
CLIENT = Box(288, 380, 204, 40, "boto3, SageMaker SDK, OpenAI", colours=OUTSIDE)
BOXES = (STAGE, MANIFEST, APP, HUB, SEEDER, BUCKET, GATEWAY, ENGINE, SCALING, ALARMS, CLIENT)
#: Frames around boxes: left, upper, width, height, words and where they begin.
FRAMES = (
    (10, 74, 212, 250, "this repository", 22),
    (270, 66, 602, 296, "AWS, or the laptop cloud", 705),
    (288, 192, 402, 134, "SageMaker endpoint", 302),
)


def draw(picture: Path) -> None:
    """Write the picture as SVG: the same bytes each time."""
    with mpl.rc_context({"svg.hashsalt": "overview", "svg.fonttype": "path", "font.family": "DejaVu Sans"}):
        figure = _figure()
        figure.savefig(picture, format="svg", transparent=True, metadata={"Date": None, "Creator": None})


def _figure() -> Figure:
    figure = Figure(figsize=(WIDTH / 72, HEIGHT / 72))
    axes = figure.add_axes((0, 0, 1, 1))
    axes.set_xlim(0, WIDTH)
    axes.set_ylim(HEIGHT, 0)
    axes.axis("off")
    for x, y, width, height, words, begin in FRAMES:
        _rectangle(axes, (x, y), (width, height), "none", GREY, dashed=True)
        axes.text(begin, y + 17, words, color=GREY, fontsize=10.5, va="center")
    for box in BOXES:
        _box(axes, box)
    middle = STAGE.x + STAGE.width / 2
    _arrow(axes, (STAGE.x + 30, 162), (STAGE.x + 30, APP.y), behind=True)
    _arrow(axes, (middle, 232), (middle, APP.y))
    _arrow(axes, (210, 287), (270, 287), words="cdk\ndeploy", at=(247, 262))
    _arrow(axes, (383, 50), (383, SEEDER.y))
    _arrow(axes, (478, 130), (BUCKET.x, 130))
    _arrow(axes, (570, 155), (450, GATEWAY.y), words="on first use", at=(606, 175))
    _arrow(axes, (478, 272), (ENGINE.x, 272), both=True)
    _arrow(axes, (390, CLIENT.y), (390, 312), words="prompt and adapter's name", at=(478, 344))
    _arrow(axes, (SCALING.x, 222), (690, 222))
    _arrow(axes, (690, 302), (ALARMS.x, 302))
    return figure


def _box(axes: Axes, box: Box) -> None:
    ground, edge = box.colours
    _rectangle(axes, (box.x, box.y), (box.width, box.height), ground, edge)
    middle = box.x + box.width / 2
    rows = box.lines.count("\n") + 1 if box.lines else 0
    top = box.y + box.height / 2 - 7 * rows
    axes.text(middle, top, box.title, color=INK, fontsize=10.5, weight="bold", ha="center", va="center")
    if box.lines:
        below = top + 7.5 + 7 * rows
        axes.text(
            middle, below, box.lines, color=INK, fontsize=9.5, ha="center", va="center", linespacing=1.35
        )


def _rectangle(
    axes: Axes,
    at: tuple[float, float],
    size: tuple[float, float],
    ground: str,
    edge: str,
    *,
    dashed: bool = False,
) -> None:
    shape = FancyBboxPatch(at, *size, boxstyle="round,pad=0,rounding_size=8", linewidth=1.1)
    shape.set(facecolor=ground, edgecolor=edge, linestyle="--" if dashed else "-")
    axes.add_patch(shape)


def _arrow(
    axes: Axes,
    begin: tuple[float, float],
    end: tuple[float, float],
    *,
    words: str = "",
    at: tuple[float, float] = (0, 0),
    both: bool = False,
    behind: bool = False,
) -> None:
    line = FancyArrowPatch(begin, end, arrowstyle="<|-|>" if both else "-|>", shrinkA=0, shrinkB=1)
    line.set(mutation_scale=11, color=GREY, linewidth=1.2, zorder=0.5 if behind else 2)
    axes.add_patch(line)
    if words:
        axes.text(*at, words, color=GREY, fontsize=9.5, ha="center", va="center")


if __name__ == "__main__":
    draw(Path(sys.argv[1]) if len(sys.argv) > 1 else PICTURE)
