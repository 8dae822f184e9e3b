"""The README's pictures, taken from the stored chapter and from the card: `make screenshots`.

Each file says in its metadata what it was taken of, so that tests/test_pages.py can tell, without
a browser, when the page has changed since.
"""

import base64
import hashlib
import io
import json
import os
import shutil
import tempfile
from pathlib import Path
from unittest.mock import patch

import nbformat
from nbconvert import HTMLExporter
from PIL import Image
from PIL.PngImagePlugin import PngInfo

from utils.paths import DATA, chapter
from utils.quiz import load_bank
from utils.quiz.widget import Quiz

FOLDER = DATA / "screenshots"
TAKEN_OF = "taken of"  # the name in a picture's metadata
QUESTION = "intro-24"
ANSWER = "A metric is what people look at to see how good the model is, such as the error rate."
WIDTHS = {"chapter_01": 1000, "questionnaire": 760}
# The card on a page without a kernel: its state is all there is, and nobody is asked.
CARD = """<!doctype html><meta charset="utf-8"><style>{css} body {{ font: 14px sans-serif }}</style>
<div id="here"></div><script type="module">
const script = URL.createObjectURL(new Blob([{script}], {{ type: "text/javascript" }}));
const {{ default: widget }} = await import(script);
const state = {state};
const model = {{ get: (name) => state[name], on() {{}}, off() {{}}, send() {{}} }};
widget.render({{ model, el: document.getElementById("here") }});
</script>"""


def top_of_chapter_01() -> nbformat.NotebookNode:
    """Chapter 01 down to its first trained model."""
    notebook = nbformat.read(chapter("01"), as_version=4)
    end = next(n for n, cell in enumerate(notebook.cells) if "fine_tune(" in cell.source)
    notebook.cells = notebook.cells[: end + 2]
    return notebook


def first_picture() -> bytes:
    """The first picture of chapter 01, a PNG."""
    for cell in nbformat.read(chapter("01"), as_version=4).cells:
        for output in cell.get("outputs", []):
            if "image/png" in output.get("data", {}):
                return base64.b64decode(output["data"]["image/png"])
    raise LookupError("chapter 01 has no picture")


def judged_card() -> str:
    """A page with the card of a question, its answer judged, and nothing kept anywhere."""
    with tempfile.TemporaryDirectory() as home, patch.dict(os.environ, COURSE_HOME=home):
        quiz = Quiz("Question", [load_bank()[QUESTION]])
        quiz.respond({"do": "check", "id": QUESTION, "answer": ANSWER})
    state = {name: getattr(quiz, name) for name in ("name", "notice", "status", "cards")}
    return CARD.format(css=Quiz._css, script=json.dumps(Quiz._esm), state=json.dumps(state))


def stamps() -> dict[str, str]:
    """For each picture a hash of what it is to be taken of."""
    shown = {
        "chapter_01": json.dumps(top_of_chapter_01().cells),
        "questionnaire": judged_card(),
        "pets": first_picture().hex(),
    }
    return {name: hashlib.sha256(text.encode()).hexdigest() for name, text in shown.items()}


def taken_of(file: Path) -> str | None:
    """The hash in a picture's metadata."""
    with Image.open(file) as image:
        return image.info.get(TAKEN_OF)


def write() -> None:
    """Take all pictures again; needs Chromium."""
    from playwright.sync_api import sync_playwright

    html, _ = HTMLExporter(template_name="lab").from_notebook_node(top_of_chapter_01())
    taken = {"pets": first_picture()}
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(
            executable_path=shutil.which("chromium"), args=["--no-sandbox", "--disable-gpu"]
        )
        for name, page_html in {"chapter_01": html, "questionnaire": judged_card()}.items():
            page = browser.new_page(viewport={"width": WIDTHS[name], "height": 300})
            file = Path(tempfile.mkdtemp(), "page.html")  # as a file, it has a localStorage
            file.write_text(page_html, encoding="utf-8")
            page.goto(file.as_uri())
            page.wait_for_timeout(1000)
            taken[name] = page.screenshot(full_page=True)
        browser.close()
    for name, stamp in stamps().items():
        metadata = PngInfo()
        metadata.add_text(TAKEN_OF, stamp)
        image = Image.open(io.BytesIO(taken[name])).convert("RGB").quantize(256)
        image.save(FOLDER / f"{name}.png", pnginfo=metadata, optimize=True)


if __name__ == "__main__":
    write()
