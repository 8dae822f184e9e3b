"""The bear app as a visitor meets it: the real server, the real page, a real browser."""

import base64
import os
import shutil
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from PIL import Image
from playwright.sync_api import Browser, Page, expect

from conftest import open_notebook, tab_to
from tests.exported_app import exported
from tests.load_app import Server, course_app, running
from tests.odd_files import REFUSED, REMARKED, encoded, odd_files
from tests.small_model import small_model, some_pictures
from utils.app.export import NOTEBOOK
from utils.app.predictor import Prediction, Predictor

DESKTOP, PHONE = {"width": 1100, "height": 900}, {"width": 390, "height": 844}
SECRET_NAME = "<img src=x onerror=document.title='hacked'>.jpg"
WAITING = ".dz-item[data-outcome=waiting]"
TOO_LARGE = {"50 MB.jpg": "This file is too large: 50.0 MB, and the limit is 10 MB"}


@pytest.fixture(scope="module")
def app(browser: Browser, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    with course_app(small_model(), tmp_path_factory.mktemp("app")) as server:
        yield server


@pytest.fixture(scope="module")
def predictor() -> Predictor:
    return Predictor(small_model())


class Visitor:
    """A page in a browser context of its own, and what it asked of the network."""

    def __init__(self, browser: Browser, address: str, **context: object) -> None:
        self.context = browser.new_context(**({"viewport": DESKTOP} | context))
        self.page = self.context.new_page()
        self.asked: list[str] = []
        self.sent = 0
        self.page.on("request", lambda request: self.asked.append(request.url))
        self.page.on("websocket", self._listen)
        # so that the dialogue is intercepted long before a key opens it: a busy browser opened its
        # own when `expect_file_chooser` asked for it in the same moment
        self.page.on("filechooser", lambda chooser: None)
        self.page.goto(address)
        self.zone = self.page.get_by_label("Choose pictures")
        self.zone.wait_for(state="attached", timeout=90_000)

    def _listen(self, socket: object) -> None:
        self.asked.append(socket.url)
        socket.on("framesent", lambda frame: setattr(self, "sent", self.sent + len(frame)))

    def answers(self, *files: Path) -> list[str]:
        """Choose files in the dialogue, if any, and wait for the last answer."""
        if files:
            self.zone.set_input_files(list(files))
        expect(self.page.locator(WAITING)).to_have_count(0, timeout=60_000)
        return self.page.locator(".dz-item").all_inner_texts()


@pytest.fixture
def visitor(browser: Browser, app: Server) -> Iterator[Visitor]:
    visitor = Visitor(browser, app.address)
    yield visitor
    visitor.context.close()


def photo(page: Page, name: str) -> None:
    """Keep a screenshot of the whole page, if `COURSE_SHOTS` says where."""
    if os.environ.get("COURSE_SHOTS"):
        page.screenshot(path=Path(os.environ["COURSE_SHOTS"], f"{name}.png"), full_page=True)


def says(text: str, name: str, prediction: Prediction) -> bool:
    """Whether an item of the page has the picture's name, its sentence, and every probability."""
    lines = text.splitlines()
    numbers = [f"{100 * p:.1f}%" for p in prediction.probabilities.values()]
    numbers = ["< 0.1%" if number == "0.0%" else number for number in numbers]
    return name in lines and prediction.sentence in lines and all(n in text for n in numbers)


def test_pictures_are_answered_and_nothing_is_loaded_from_elsewhere(
    visitor: Visitor, app: Server, predictor: Predictor
) -> None:
    files, page = some_pictures()[:48:10], visitor.page
    answers = visitor.answers(*files)
    expected = predictor.predict(files)
    for text, file, prediction in zip(answers, files, expected, strict=True):
        assert says(text, file.name, prediction), text
    widths = page.locator(".dz-item img").evaluate_all("all => all.map(i => i.naturalWidth)")
    assert len(widths) == 5 and min(widths) > 50
    shares = (
        page.locator(".dz-item")
        .first.locator(".dz-track b")
        .evaluate_all("bars => bars.map(b => b.offsetWidth / b.parentElement.clientWidth)")
    )
    assert shares == pytest.approx(list(expected[0].probabilities.values()), abs=0.02)
    expect(page.locator(".dz-best th").first).to_have_text(expected[0].label)
    title = "What kind of bear is this?"
    expect(page.get_by_role("heading", level=1, name=title)).to_be_visible()
    assert page.title() == title
    elsewhere = [u for u in visitor.asked if f"//{app.url.split('//')[1]}/" not in u]
    assert all(url.startswith(("blob:", "data:")) for url in elsewhere), elsewhere
    assert len(visitor.asked) > 20
    photo(page, "app-desktop")


DROP = """(zone, files) => {
    const data = new DataTransfer();
    for (const [name, content] of files) {
        const bytes = typeof content === "number" ? new Uint8Array(content)
            : Uint8Array.from(atob(content), (c) => c.charCodeAt(0));
        data.items.add(new File([bytes], name));
    }
    const event = { dataTransfer: data, bubbles: true, cancelable: true };
    for (const kind of ["dragover", "drop"])
        zone.dispatchEvent(new DragEvent(kind, event));
}"""


def drop(visitor: Visitor, files: dict[str, bytes | int]) -> list[str]:
    """Drop files (a number: so many zero bytes) beside the zone, and wait for the last answer."""
    rows = [
        [name, content if isinstance(content, int) else base64.b64encode(content).decode()]
        for name, content in files.items()
    ]
    visitor.page.get_by_role("heading", level=1).evaluate(DROP, rows)
    return visitor.answers()


def test_every_bad_odd_and_foreign_file_gets_its_sentence(
    visitor: Visitor, predictor: Predictor
) -> None:
    files, refused = odd_files() | {"50 MB.jpg": 50_000_000}, REFUSED | TOO_LARGE
    for text, name in zip(drop(visitor, files), files, strict=True):
        assert (refused | REMARKED)[name] in text
        assert name in text.splitlines()
    expect(visitor.page.locator(".dz-item[data-outcome=refused]")).to_have_count(len(refused))
    expect(visitor.page.get_by_role("alert")).to_have_text("")
    assert visitor.sent < 5_000_000  # what is too large was refused before it was sent
    photo(visitor.page, "app-refused")
    noise = encoded(Image.effect_noise((300, 200), 120).convert("RGB"), "PNG")
    text = drop(visitor, {"noise.png": noise, SECRET_NAME: b""})[0]  # the latest stand above
    assert "This does not look like a cat or a dog" in text
    assert "If it had to be one of these:" in text
    assert says(text, "noise.png", predictor.predict([noise])[0])
    expect(visitor.page.get_by_text(SECRET_NAME, exact=True)).to_be_visible()
    assert visitor.page.title() == "What kind of bear is this?"


def test_two_visitors_do_not_see_each_other(
    browser: Browser, app: Server, predictor: Predictor
) -> None:
    files = some_pictures()[::8]
    one, two = (Visitor(browser, app.address, color_scheme=c) for c in ("light", "dark"))
    one.zone.set_input_files(files[:3])
    for visitor, own in ((two, files[3:]), (one, [])):
        answers, own = visitor.answers(*own), own or files[:3]
        for text, file, expected in zip(answers, own, predictor.predict(own), strict=True):
            assert says(text, file.name, expected)
    photo(two.page, "app-dark")
    kernels = len(app.kernels())
    one.page.close(run_before_unload=True)  # as a visitor closes a tab
    deadline = time.monotonic() + 30
    while len(app.kernels()) >= kernels and time.monotonic() < deadline:
        time.sleep(0.2)
    assert len(app.kernels()) < kernels  # its process goes at once
    assert len(two.answers(files[0])) == 4
    one.context.close()
    two.context.close()


def test_keyboard_alone(visitor: Visitor, predictor: Predictor) -> None:
    file, page = some_pictures()[20], visitor.page
    page.locator("body").press("Tab")
    tab_to(page, visitor.zone, most=5)
    photo(page, "app-focus")
    with page.expect_file_chooser() as chooser:
        page.keyboard.press("Enter")
    assert chooser.value.is_multiple()
    chooser.value.set_files(file)
    visitor.answers()
    (expected,) = predictor.predict([file])
    spoken = page.get_by_role("status").filter(has_text=file.name)
    expect(spoken).to_have_text(f"{file.name}: {expected.sentence}")
    expect(visitor.zone).to_be_focused()
    table = page.get_by_role("table")
    expect(table.get_by_role("rowheader")).to_have_text(predictor.vocab)
    expect(table.get_by_role("cell").filter(has_text="%")).to_have_count(len(predictor.vocab))


def test_on_a_phone_the_exported_page_is_as_wide_as_the_screen(
    browser: Browser, predictor: Predictor, tmp_path: Path
) -> None:
    folder, programs = exported()
    command = [str(programs / "python"), "-m", "utils.app.server", NOTEBOOK.name]
    with running(command, tmp_path, cwd=folder, PYTHONPATH="") as server:
        phone = Visitor(browser, server.address, viewport=PHONE, has_touch=True, is_mobile=True)
        file = some_pictures()[30]
        (answer,) = phone.answers(file)
        assert says(answer, file.name, predictor.predict([file])[0])
        odd = {f"{'a long name ' * 12}.jpg": b"", "printed.jpg": odd_files()["printed.jpg"]}
        drop(phone, odd)
        assert phone.page.evaluate("document.documentElement.scrollWidth") <= PHONE["width"]
        items = phone.page.locator(".dz-item, .dz-zone, .dz-bars, .dz img, .dz-item p")
        rights = items.evaluate_all("all => all.map(e => e.getBoundingClientRect().right)")
        assert max(rights) <= PHONE["width"]
        photo(phone.page, "app-phone")
        phone.context.close()


def test_the_notebook_works_in_jupyterlab(page: Page, lab: object, predictor: Predictor) -> None:
    shutil.copy(NOTEBOOK, lab.folder)
    shutil.copytree(small_model(), lab.home / "models" / "bears")
    open_notebook(page, lab, NOTEBOOK.name)
    page.get_by_role("menuitem", name="Run", exact=True).click()
    page.get_by_role("menuitem", name="Run All Cells", exact=True).click()
    zone, files = page.get_by_label("Choose pictures"), some_pictures()[:2]
    zone.wait_for(state="attached", timeout=60_000)
    zone.set_input_files(files)
    expect(page.locator(WAITING)).to_have_count(0, timeout=60_000)
    answers = page.locator(".dz-item").all_inner_texts()
    for text, file, expected in zip(answers, files, predictor.predict(files), strict=True):
        assert says(text, file.name, expected)
    photo(page, "app-in-lab")
