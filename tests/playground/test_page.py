"""The playground's page in a browser: pick, ask, stream, compare, link, download, errors."""

from __future__ import annotations

import json
from pathlib import Path
from urllib.parse import urlsplit

import pytest
from selenium.webdriver.chrome.webdriver import WebDriver
from selenium.webdriver.common.action_chains import ActionChains
from selenium.webdriver.common.by import By
from selenium.webdriver.common.keys import Keys
from selenium.webdriver.remote.webelement import WebElement
from selenium.webdriver.support.ui import WebDriverWait

from tests.harness.waiting import wait_until
from tests.playground.conftest import Served

#: Seconds for anything that the page does; its machine may be busy.
PATIENCE_S = 60
#: Above the number of elements of the page that take the focus.
MOST_TABS = 60


class Page:
    """The page, by the ids of its components."""

    def __init__(self, browser: WebDriver, served: Served, query: str = "") -> None:
        self.browser = browser
        browser.get(served.url + query)
        self.wait(lambda: self.find("#adapters input"))
        self.wait(lambda: "500 adapters" in self.catalog)

    def wait(self, condition: object) -> None:
        assert callable(condition)
        ignored = (Exception,)
        WebDriverWait(self.browser, PATIENCE_S, 0.1, ignored).until(lambda _: condition())

    def find(self, css: str) -> WebElement:
        return self.browser.find_element(By.CSS_SELECTOR, css)

    @property
    def catalog(self) -> str:
        return self.find("#catalog-summary").get_attribute("textContent") or ""

    def pick(self, text: str, *, custom: bool = False) -> list[str]:
        """Search the list for a text, pick the first one of it, and return what it offered."""
        field = self.find("#adapters input")
        field.click()
        field.send_keys(text)
        offered: list[str] = []

        def has_found() -> bool:
            options = self.browser.find_elements(By.CSS_SELECTOR, "#adapters [role=option]")
            offered[:] = [option.text.strip() for option in options]
            return bool(offered) and all(text in option for option in offered)

        if not custom:
            self.wait(has_found)
        field.send_keys(Keys.ENTER)
        field.send_keys(Keys.ESCAPE)
        return list(offered)

    def tab_to(self, css: str) -> None:
        """Go on with the Tab key until the element has the focus."""
        wanted = self.find(css)
        for _ in range(MOST_TABS):
            if self.browser.switch_to.active_element == wanted:
                return
            self.press(Keys.TAB)
        pytest.fail(f"{MOST_TABS} tabs do not lead to {css}")

    def press(self, keys: str) -> None:
        ActionChains(self.browser).send_keys(keys).perform()

    def ask(self, prompt: str = "How many clips?") -> None:
        self.find("#prompt textarea").clear()
        self.find("#prompt textarea").send_keys(prompt)
        self.compare()

    def compare(self) -> None:
        self.find("#compare").click()

    def answer(self, index: int) -> WebElement:
        return self.find(f"#answer-{index} .answer")

    def wait_complete(self, count: int) -> None:
        def are_complete() -> bool:
            shown = self.browser.find_elements(By.CSS_SELECTOR, "[data-complete=true]")
            return len(shown) == count

        self.wait(are_complete)

    @property
    def link(self) -> str:
        return self.find("#link textarea, #link input").get_attribute("value") or ""


def test_adapters_are_found_among_hundreds_and_their_answers_stream_side_by_side(
    browser: WebDriver, served: Served
) -> None:
    page = Page(browser, served)
    assert "Resident" in page.catalog
    offered = page.pick("adapter-123")
    assert offered[0].startswith("adapter-123 · 00000000 · team=alpha · 0.4 MB")
    page.pick("adapter-044")
    page.ask()
    # The first tokens are there before the last ones.
    page.wait(lambda: page.answer(1).text)
    assert page.answer(1).get_attribute("data-complete") == "false"
    page.wait_complete(3)
    assert [page.find(f"#answer-{index} h3").text for index in range(3)] == [
        "base model", f"adapter-123@{123:016x}", f"adapter-044@{44:016x}",
    ]  # fmt: skip
    assert "first token" in page.find("#answer-2 .figures").text
    assert "tokens/s" in page.find("#answer-2 .figures").text
    # The engine's answer is the time, so everything differs; the first answer is what others differ from.
    assert browser.find_elements(By.CSS_SELECTOR, "#answer-1 mark")
    assert not browser.find_elements(By.CSS_SELECTOR, "#answer-0 mark")


def test_a_comparison_needs_the_keyboard_alone(browser: WebDriver, served: Served) -> None:
    page = Page(browser, served)
    page.tab_to("#adapters input")
    page.press("adapter-321")
    page.wait(lambda: "adapter-321" in page.find("#adapters [role=option]").text)
    page.press(Keys.ENTER)
    page.press(Keys.ESCAPE)
    page.tab_to("#prompt textarea")
    page.press("How many clips?")
    page.tab_to("#compare")
    page.press(Keys.ENTER)
    page.wait_complete(2)
    assert page.find("#answer-1 h3").text == f"adapter-321@{321:016x}"


def test_the_link_reproduces_the_comparison_with_its_revisions(browser: WebDriver, served: Served) -> None:
    query = "?adapters=adapter-007,adapter-008&base=0&inst=1&temperature=0.5&tokens=8&seed=3&prompt=Why%3F"
    page = Page(browser, served, query)
    page.wait(lambda: page.find("#prompt textarea").get_attribute("value") == "Why?")
    page.compare()
    page.wait_complete(2)
    page.wait(lambda: "%40" in page.link)
    first, shown = page.link, page.find("#answer-1 h3").text
    assert shown == f"adapter-008@{8:016x}"
    again = Page(browser, served, "?" + urlsplit(first).query)
    again.wait(lambda: again.find("#prompt textarea").get_attribute("value") == "Why?")
    again.compare()
    again.wait_complete(2)
    again.wait(lambda: again.link == first)


@pytest.mark.parametrize("kind", ["csv", "jsonl"])
def test_answers_are_written_when_they_are_downloaded(
    browser: WebDriver, served: Served, tmp_path: Path, kind: str
) -> None:
    page = Page(browser, served, "?adapters=adapter-001&tokens=4&prompt=exported")
    page.wait(lambda: page.find("#prompt textarea").get_attribute("value") == "exported")
    page.compare()
    page.wait_complete(2)
    page.wait(lambda: "%40" in page.link)
    page.find(f"#{kind}").click()
    written = tmp_path / f"comparison.{kind}"
    wait_until(written.exists, "the download", PATIENCE_S)
    lines = written.read_text().splitlines()
    if kind == "jsonl":
        rows = [json.loads(line) for line in lines]
        assert [(row["prompt"], row["model"], row["tokens"]) for row in rows] == [
            ("exported", "base model", 4), ("exported", "adapter-001", 4),
        ]  # fmt: skip
    else:
        assert lines[0].startswith("prompt,model,answered_by,text,tokens,time_to_first_token_s")
        assert len(lines) == 3


def test_an_unknown_adapter_is_a_sentence_beside_the_other_answers(
    browser: WebDriver, served: Served
) -> None:
    page = Page(browser, served, "?adapters=adapter-001,unpublished&tokens=4&prompt=a")
    page.wait(lambda: page.find("#prompt textarea").get_attribute("value") == "a")
    page.compare()
    page.wait_complete(3)
    assert "unpublished" in page.find("#answer-2 .failed").text
    assert "Pick a published adapter" in page.find("#answer-2 .failed").text
    assert page.answer(1).text


def test_the_page_asks_no_other_machine(browser: WebDriver, served: Served) -> None:
    page = Page(browser, served, "?adapters=adapter-001&tokens=4&prompt=a")
    page.compare()
    page.wait_complete(2)
    urls = []
    for entry in browser.get_log("performance"):  # type: ignore[no-untyped-call]
        message = json.loads(entry["message"])["message"]
        if message["method"] == "Network.responseReceived":
            urls.append(message["params"]["response"]["url"])
    hosts = {urlsplit(url).hostname for url in urls if url.startswith(("http", "ws"))}
    assert hosts == {"127.0.0.1"}


def test_an_endpoint_that_goes_away_is_a_sentence(browser: WebDriver, served: Served) -> None:
    """The last test of the module: nothing serves after it."""
    page = Page(browser, served, "?adapters=adapter-001&tokens=4&prompt=a")
    page.wait(lambda: page.find("#prompt textarea").get_attribute("value") == "a")
    served.stop_endpoint()
    page.compare()
    page.wait(lambda: page.find("#answer-1 .failed").text)
    assert "deploy" in page.find("#answer-1 .failed").text
    assert "compared" in page.find("#answer-0 .failed").text
