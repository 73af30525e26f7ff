"""Screenshots of docs/pictures in headless Chromium: `.venv/bin/python -m tests.playground.pictures`.

The page compares adapters of the laptop cloud's endpoint; the comment is the review of a change of stages/prod.yaml.
They are looked at before they are committed: a browser draws the same page a little differently elsewhere.
"""

from __future__ import annotations

import subprocess
import sys
import tempfile
from pathlib import Path
from urllib.parse import urlencode

from markdown_it import MarkdownIt
from PIL import Image
from rich.console import Console
from selenium.webdriver.chrome.webdriver import WebDriver
from selenium.webdriver.common.by import By
from selenium.webdriver.support.ui import WebDriverWait

from laptop_cloud.containers.addresses import container_urls
from loraserve import local_stage
from loraserve.playground.settings import PageSettings
from loraserve.progress import stack_progress
from samples.problems import SEED_PROBLEM
from stacks.project import ROOT
from tests.harness.ports import free_port
from tests.harness.working_copy import ENVIRONMENT, working_copy
from tests.playground.conftest import chromium, running_page

PICTURES = ROOT / "docs" / "pictures"
WIDTH = 1100
PATIENCE_S = 120
#: Height of a window's bars, which a headless one has, too.
BARS = 143
#: The change that the review's picture is of.
CHANGES = {"max_instances: 4": "max_instances: 8"}
#: A comment's column on GitHub, and its table lines.
COMMENT = """<style>
body {font: 14px/1.5 -apple-system, "Segoe UI", "DejaVu Sans", sans-serif; color: #1f2328; margin: 16px; width: 860px}
article {border: 1px solid #d1d9e0; border-radius: 6px; padding: 8px 16px}
table {border-collapse: collapse} td, th {border: 1px solid #d1d9e0; padding: 4px 10px}
code {background: #eff1f3; border-radius: 4px; padding: 1px 4px; font-size: 12px}
pre {background: #f6f8fa; padding: 12px; overflow: hidden} h2, h3 {border-bottom: 1px solid #d1d9e0}
</style><article>"""


def save(browser: WebDriver, name: str, height: int, width: int = WIDTH) -> None:
    """Write the upper part of the page, with few colours: a small file."""
    browser.set_window_size(width, height)
    path = PICTURES / name
    browser.save_screenshot(str(path))
    Image.open(path).convert("P", palette=Image.Palette.ADAPTIVE, colors=128).save(path, optimize=True)
    print(path.relative_to(ROOT), path.stat().st_size // 1000, "kB")


def playground(folder: Path, browser: WebDriver) -> None:
    """Draw two adapters and the base model that answer one prompt, and the list of adapters."""
    console = Console()
    with local_stage.temporary(folder / "laptop", port=None) as cloud:
        local_stage.bootstrap(cloud, folder / "cdk.out")
        with stack_progress(console, "cdk deploy") as on_event:
            local_stage.deploy(cloud, folder / "cdk.out", on_event)
        found = local_stage.outputs(cloud)
        settings = PageSettings(
            endpoint=found["EndpointName"],
            port=free_port(),
            region="us-east-1",
            bucket=found["AdapterBucket"],
            containers=container_urls(cloud.state),
        )
        with running_page(settings, cloud.environment) as url:
            query = {"adapters": "otter,heron", "tokens": "48", "prompt": SEED_PROBLEM.prompt}
            browser.get(f"{url}?{urlencode(query)}")
            wait = WebDriverWait(browser, PATIENCE_S)
            prompt = (By.CSS_SELECTOR, "#prompt textarea")
            wait.until(lambda _: browser.find_element(*prompt).get_attribute("value") == SEED_PROBLEM.prompt)
            browser.find_element(By.ID, "compare").click()
            wait.until(lambda _: len(browser.find_elements(By.CSS_SELECTOR, "[data-complete=true]")) == 3)
            save(browser, "playground.png", 1000)
            browser.find_element(By.XPATH, "//button[contains(., 'All adapters')]").click()
            wait.until(lambda _: browser.find_element(By.ID, "reload").is_displayed())
            browser.find_element(By.ID, "reload").click()
            wait.until(lambda _: "slot" in browser.find_element(By.ID, "adapters").text)
            save(browser, "playground-adapters.png", 700)


def review(folder: Path, browser: WebDriver) -> None:
    """Draw the review of a larger fleet, as a comment of a pull request."""
    clone = working_copy(folder / "clone")
    stage = clone / "stages" / "prod.yaml"
    text = stage.read_text()
    for old, new in CHANGES.items():
        assert old in text, f"stages/prod.yaml has no {old}"
        text = text.replace(old, new)
    stage.write_text(text)
    command = [sys.executable, "-m", "loraserve", "review", "--base", "HEAD", "--stage", "prod"]
    done = subprocess.run(
        [*command, "--format", "markdown", "--fail-on", "never"],
        cwd=clone, env=ENVIRONMENT | {"PYTHONPATH": str(clone)}, capture_output=True, text=True, check=True,
    )  # fmt: skip
    page = folder / "review.html"
    page.write_text(COMMENT + MarkdownIt("gfm-like", {"html": True, "linkify": False}).render(done.stdout))
    browser.get(page.as_uri())
    height = browser.execute_script("return document.querySelector('article').offsetHeight")  # type: ignore[no-untyped-call]
    save(browser, "review.png", height + BARS + 32, width=912)


def main() -> None:
    """Write all pictures."""
    with tempfile.TemporaryDirectory(prefix="pictures-") as name, chromium(Path(name)) as browser:
        review(Path(name), browser)
        playground(Path(name), browser)


if __name__ == "__main__":
    main()
