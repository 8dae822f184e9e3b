"""Chapter 04's Gradio pages in a real browser: a picture is answered, and nobody else is asked."""

import os
import subprocess
import sys
import time
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path
from urllib.parse import urlsplit

import pytest
from playwright.sync_api import Page, expect

from tests.chapter_04 import answer, taken_away
from tests.small_model import some_pictures
from utils.common import free_port


@pytest.fixture(params=["app.py", "on_the_page.py"])
def address(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[str]:
    """Of the file that goes to a server, and of the chapter's own cells."""
    port, log = free_port(), tmp_path / "gradio.log"
    own = {"GRADIO_SERVER_PORT": str(port), "GRADIO_TEMP_DIR": str(tmp_path / "gradio")}
    command = [sys.executable, request.param]
    with log.open("w") as output:
        process = subprocess.Popen(
            command, env=os.environ | own, cwd=taken_away(), stdout=output, stderr=output
        )
    url, deadline = f"http://127.0.0.1:{port}/", time.monotonic() + 90
    try:
        while True:
            try:
                urllib.request.urlopen(url, timeout=5).close()
                break
            except OSError:
                assert process.poll() is None and time.monotonic() < deadline, log.read_text()
                time.sleep(0.3)
        yield url
    finally:
        process.terminate()
        process.wait(timeout=30)


def test_a_picture_is_answered_and_no_other_host_is_asked(
    page: Page, address: str, shot: Callable[[str], None]
) -> None:
    asked: list[str] = []
    page.on("request", lambda request: asked.append(request.url))
    page.on("websocket", lambda socket: asked.append(socket.url))
    file = some_pictures()[0]
    page.goto(address)
    page.get_by_role("button", name="Submit").wait_for(timeout=60_000)
    page.locator("input[type=file]").set_input_files(file)
    expect(page.locator("img").first).to_be_visible()
    page.get_by_role("button", name="Submit").click()
    shares = answer(sys.executable, file)
    likeliest = page.get_by_role("heading", name=max(shares, key=shares.get))
    expect(likeliest).to_be_visible(timeout=60_000)
    for label, share in shares.items():
        expect(page.get_by_role("button", name=f"{label} {share:.0%}")).to_be_visible()
    page.wait_for_timeout(1000)  # what a page asks for late
    shot("chapter_04_gradio")
    own = urlsplit(address).netloc
    assert asked and not [url for url in asked if urlsplit(url).netloc not in (own, "")]
