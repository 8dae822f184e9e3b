"""A real JupyterLab and a real browser, for the tests of what a learner sees and types."""

import json
import os
import secrets
import shutil
import subprocess
import sys
import time
import urllib.request
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Locator, Page, expect, sync_playwright

from utils.common import free_port
from utils.paths import ROOT

CONFIG = ROOT / ".jupyter" / "jupyter_lab_config.py"  # what `make lab` uses
START = 60  # seconds a server may take to answer on a busy machine
BROWSERS = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")
FLAGS = (
    *("--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-sync"),
    *("--disable-background-networking", "--disable-component-update"),
)

expect.set_options(timeout=20_000)


@dataclass
class Lab:
    """A JupyterLab server of this environment on a folder of its own."""

    url: str
    token: str
    folder: Path
    home: Path
    settings: Path  # what a visitor chose, and which notebooks were open

    def address(self, notebook: str) -> str:
        """Where a browser finds the notebook."""
        return f"{self.url}/lab/tree/{notebook}?token={self.token}"

    def api(self, path: str, method: str = "GET", body: dict | None = None) -> object:
        """Ask the server itself, as JupyterLab's menus do."""
        request = urllib.request.Request(
            f"{self.url}/{path}",
            method=method,
            data=json.dumps(body).encode() if body is not None else None,
            headers={"Authorization": f"token {self.token}"},
        )
        with urllib.request.urlopen(request, timeout=30) as answer:
            return json.loads(answer.read() or "null")

    def theme(self, name: str) -> None:
        """Choose a theme; the page must be loaded again to show it."""
        raw = json.dumps({"theme": name})
        self.api("lab/api/settings/@jupyterlab/apputils-extension:themes", "PUT", {"raw": raw})


def _wait_until_it_answers(lab: Lab, process: subprocess.Popen, log: Path) -> None:
    deadline = time.monotonic() + START
    while time.monotonic() < deadline and process.poll() is None:
        try:
            lab.api("api/status")
        except OSError:
            time.sleep(0.2)  # there is nothing to wait on before the port is open
        else:
            return
    pytest.fail(f"JupyterLab did not start:\n{log.read_text()}")


@pytest.fixture(scope="session")
def _server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Lab]:
    """One server for all tests of a process; each starts with it as if it were new."""
    root = tmp_path_factory.mktemp("lab")
    folders = {name: root / name for name in ("work", "home", "settings", "jupyter")}
    for folder in folders.values():
        folder.mkdir()
    port, token = free_port(), secrets.token_hex(16)
    own_folders = (folders[name] for name in ("work", "home", "settings"))
    lab = Lab(f"http://127.0.0.1:{port}", token, *own_folders)
    own = {
        f"JUPYTER_{name}_DIR": str(folders["jupyter"] / name)
        for name in ("CONFIG", "DATA", "RUNTIME")
    }
    own |= {f"JUPYTERLAB_{name}_DIR": str(lab.settings) for name in ("SETTINGS", "WORKSPACES")}
    own |= {"IPYTHONDIR": str(folders["jupyter"] / "ipython"), "JUPYTER_TOKEN": token}
    own |= {"COURSE_HOME": str(lab.home)}
    options = ["--no-browser", "--ServerApp.ip=127.0.0.1", f"--ServerApp.port={port}"]
    options += ["--ServerApp.port_retries=0", f"--ServerApp.root_dir={lab.folder}"]
    options += [f"--config={CONFIG}"] if CONFIG.exists() else []
    log = root / "jupyter.log"
    with log.open("w") as output:
        process = subprocess.Popen(
            [sys.executable, "-m", "jupyter", "lab", "--allow-root", *options],
            env=os.environ | own,
            cwd=lab.folder,
            stdout=output,
            stderr=subprocess.STDOUT,
        )
    try:
        _wait_until_it_answers(lab, process, log)
        yield lab
    finally:
        process.terminate()
        try:
            process.wait(timeout=30)
        except subprocess.TimeoutExpired:  # a busy machine; what the test shows is shown by now
            process.kill()
            process.wait()


def _empty(folder: Path) -> None:
    for entry in folder.iterdir():
        shutil.rmtree(entry) if entry.is_dir() else entry.unlink()


@pytest.fixture
def lab(_server: Lab) -> Lab:
    """A server on an empty folder (`lab.folder`), with nothing of the user's own settings."""
    for session in _server.api("api/sessions"):  # of the test before, whose page is closed by now
        _server.api(f"api/sessions/{session['id']}", "DELETE")
    for folder in (_server.folder, _server.home, _server.settings):
        _empty(folder)
    return _server


@pytest.fixture(scope="session")
def browser() -> Iterator[Browser]:
    """The system's Chromium; without one the test is skipped, in CI it fails."""
    path = next(filter(None, map(shutil.which, BROWSERS)), None)
    if path is None:
        say = pytest.fail if os.environ.get("CI") == "true" else pytest.skip
        say(f"no browser: none of {', '.join(BROWSERS)} is on the PATH")
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=path, args=list(FLAGS))
        yield browser
        browser.close()


@pytest.fixture
def page(browser: Browser) -> Iterator[Page]:
    """A page of its own, wide enough for JupyterLab's side bar."""
    with browser.new_context(viewport={"width": 1200, "height": 900}) as context:
        yield context.new_page()


@pytest.fixture
def shot(page: Page, tmp_path: Path) -> Callable[[str], None]:
    """Takes a screenshot under a name, into `COURSE_SHOTS` if that is set."""
    folder = Path(os.environ.get("COURSE_SHOTS") or tmp_path / "shots")
    folder.mkdir(parents=True, exist_ok=True)

    def take(name: str) -> None:
        page.screenshot(path=folder / f"{name}.png")

    return take


def open_notebook(page: Page, lab: Lab, notebook: str) -> None:
    """Load JupyterLab on a notebook and wait until its kernel can be asked."""
    page.goto(lab.address(notebook))
    wait_for_kernel(page)


def wait_for_kernel(page: Page) -> None:
    """Wait until the notebook is drawn and its kernel idle, as the status bar has it."""
    page.locator(".jp-Notebook .jp-Cell").first.wait_for(timeout=60_000)
    expect(page.locator(".jp-Spinner")).to_have_count(0, timeout=60_000)
    page.locator("#jp-main-statusbar").get_by_text("| Idle").wait_for(timeout=60_000)


# Which way to go: whether the focus has passed the target already.
PASSED = """target => {
    const at = document.activeElement;
    if (at === target) return null;
    return Boolean(at.compareDocumentPosition(target) & Node.DOCUMENT_POSITION_PRECEDING)
        && !target.contains(at);
}"""


def tab_to(page: Page, target: Locator, most: int = 80) -> None:
    """Press Tab (or Shift-Tab) until `target` has the focus, as one without a mouse would."""
    for _ in range(most):
        passed = target.evaluate(PASSED)
        if passed is None:
            return
        page.keyboard.press("Shift+Tab" if passed else "Tab")
    focused = page.evaluate("document.activeElement.outerHTML.slice(0, 200)")
    raise AssertionError(f"Tab does not reach {target}; it is at {focused}")


def go_to_cell(page: Page, number: int) -> None:
    """Select a cell in command mode."""
    page.keyboard.press("Escape")
    cells = page.locator(".jp-Notebook-cell")
    active = "cells => cells.findIndex(cell => cell.classList.contains('jp-mod-active'))"
    steps = number - cells.evaluate_all(active)
    for _ in range(abs(steps)):
        page.keyboard.press("ArrowDown" if steps > 0 else "ArrowUp")
    expect(cells.nth(number)).to_be_focused()
