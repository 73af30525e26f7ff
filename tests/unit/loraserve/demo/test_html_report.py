"""The demo's report: one file that needs no other one."""

import re
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest

from loraserve.demo.html_report import PACKAGES, versions, write_html
from stacks.project import ROOT

STAGE = ROOT / "stages" / "local.yaml"


class Page(HTMLParser):
    """The text and the links of a page; every element must be closed."""

    def __init__(self) -> None:
        super().__init__()
        self.open: list[str] = []
        self.sources: list[str] = []
        self.text = ""

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.sources += [str(value) for name, value in attrs if name in ("src", "href")]
        if tag not in ("meta", "img"):
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag
        self.text += " "

    def handle_data(self, data: str) -> None:
        self.text += data


@pytest.fixture(scope="module")
def page(measured: Any, tmp_path_factory: pytest.TempPathFactory) -> Page:
    document, _, _, picture = measured
    texts = {"base_text": "Let us think <about> 48 & 24.", "adapter_text": " Answer: 72 clips. [Otter]"}
    path = tmp_path_factory.mktemp("report") / "report.html"
    write_html(path, {"deploy_s": 40.25, "inservice_s": 12.5, **texts, **document}, picture, STAGE)
    found = Page()
    found.feed(path.read_text())
    assert found.open == []
    return found


def test_the_page_has_everything_in_itself(page: Page) -> None:
    [picture] = page.sources
    assert picture.startswith("data:image/png;base64,iVBOR")
    assert not re.search(r"https?://", page.text)


def test_it_has_answers_figures_settings_and_versions(page: Page) -> None:
    text = " ".join(page.text.split())
    assert "random over 50 gives 0.80 (0.80 to 0.80) of the output tokens per second" in text
    assert "Let us think <about> 48 & 24." in text
    assert "Answer: 72 clips. [Otter]" in text
    assert "latency p95 0.010 s 0.020 s 0.025 s" in text
    assert "cdk deploy 40.2 s" in text
    assert STAGE.read_text() in page.text
    for name, version in versions().items():
        assert f"{name} {version}" in text
    assert set(PACKAGES) <= set(versions())


def test_it_has_no_path_of_this_machine(page: Page, tmp_path: Path) -> None:
    assert str(ROOT) not in page.text
    assert str(Path.home()) not in page.text.replace(STAGE.read_text(), "")
    assert str(tmp_path.parent) not in page.text
