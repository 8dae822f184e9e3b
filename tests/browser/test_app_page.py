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


@pytest.fixture(scope="module")
def app(browser: Browser, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    with course_app(small_model(), tmp_path_factory.mktemp("app")) as server:
        yield server


@pytest.fixture(scope="module")
def predictor() -> Predictor:
    return Predictor(small_model())


class Desk:
    """One visitor: a page in a browser context of its own, and what it asked of the network."""

    def __init__(self, browser: Browser, address: str, **context: object) -> None:
        self.context = browser.new_context(**({"viewport": DESKTOP} | context))
        self.page = self.context.new_page()
        self.asked: list[str] = []
        self.sent = 0
        self.page.on("request", lambda request: self.asked.append(request.url))
        self.page.on("websocket", self._listen)
        self.page.goto(address)
        self.page.get_by_label("Choose pictures").wait_for(state="attached", timeout=90_000)

    def _listen(self, socket: object) -> None:
        self.asked.append(socket.url)
        socket.on("framesent", lambda frame: self._count(frame))

    def _count(self, frame: str | bytes) -> None:
        self.sent += len(frame)

    def choose(self, *files: Path | dict) -> None:
        """Choose files in the file dialogue, and wait for the last answer."""
        self.page.get_by_label("Choose pictures").set_input_files(list(files))
        self.wait()

    def wait(self) -> None:
        expect(self.page.locator(".dz[data-idle=true]")).to_be_attached(timeout=60_000)

    def answers(self) -> list[str]:
        return self.page.locator(".dz-item").all_inner_texts()


@pytest.fixture
def desk(browser: Browser, app: Server) -> Iterator[Desk]:
    desk = Desk(browser, app.address)
    yield desk
    desk.context.close()


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


def test_five_pictures_are_answered_and_nothing_is_loaded_from_elsewhere(
    desk: Desk, app: Server, predictor: Predictor
) -> None:
    files = some_pictures()[:48:10]
    desk.choose(*files)
    for text, file, expected in zip(desk.answers(), files, predictor.predict(files), strict=True):
        assert says(text, file.name, expected), text
    expect(desk.page.get_by_text("5 pictures answered.", exact=True)).to_be_visible()
    expect(desk.page.locator(".dz-item img")).to_have_count(5)
    widths = desk.page.locator(".dz-item img").evaluate_all("all => all.map(i => i.naturalWidth)")
    assert min(widths) > 50
    title = desk.page.get_by_role("heading", level=1, name="What kind of bear is this?")
    expect(title).to_be_visible()
    assert desk.page.title() == "What kind of bear is this?"
    elsewhere = [u for u in desk.asked if f"//{app.url.split('//')[1]}/" not in u]
    assert all(url.startswith(("blob:", "data:")) for url in elsewhere), elsewhere
    assert len(desk.asked) > 20
    photo(desk.page, "app-desktop")


def test_bars_are_as_long_as_the_probabilities(desk: Desk, predictor: Predictor) -> None:
    file = some_pictures()[0]
    desk.choose(file)
    (expected,) = predictor.predict([file])
    shares = desk.page.locator(".dz-bar").evaluate_all(
        "bars => bars.map(b => b.offsetWidth / b.parentElement.clientWidth)"
    )
    assert shares == pytest.approx(list(expected.probabilities.values()), abs=0.02)
    best = desk.page.locator(".dz-best th")
    expect(best).to_have_text(expected.label)


DROP = """(zone, files) => {
    const data = new DataTransfer();
    for (const [name, content] of files) {
        const bytes = typeof content === "number" ? new Uint8Array(content)
            : Uint8Array.from(atob(content), (c) => c.charCodeAt(0));
        data.items.add(new File([bytes], name));
    }
    const event = { dataTransfer: data, bubbles: true, cancelable: true };
    for (const kind of ["dragenter", "dragover", "drop"])
        zone.dispatchEvent(new DragEvent(kind, event));
}"""


def drop(desk: Desk, files: dict[str, bytes | int]) -> None:
    """Drop files (a number: so many zero bytes) and wait for the last answer."""
    rows = [
        [name, content if isinstance(content, int) else base64.b64encode(content).decode()]
        for name, content in files.items()
    ]
    desk.page.locator(".dz-zone").evaluate(DROP, rows)
    desk.wait()


def test_every_bad_and_every_odd_file_gets_its_sentence(desk: Desk) -> None:
    files = odd_files() | {"50 MB.jpg": 50_000_000}
    drop(desk, files)
    for text, name in zip(desk.answers(), files, strict=True):
        assert (REFUSED | REMARKED)[name] in text
        assert name in text.splitlines()
    expect(desk.page.locator(".dz-item[data-outcome=refused]")).to_have_count(len(REFUSED))
    said = f"{len(REMARKED)} pictures answered, {len(REFUSED)} files refused."
    expect(desk.page.get_by_text(said, exact=True)).to_be_visible()
    assert desk.sent < 5_000_000  # what is too large was refused before it was sent
    photo(desk.page, "app-refused")


def test_what_is_none_of_them_is_said_to_be_so(desk: Desk, predictor: Predictor) -> None:
    noise = encoded(Image.effect_noise((300, 200), 120).convert("RGB"), "PNG")
    (expected,) = predictor.predict([noise])
    assert not expected.in_domain
    drop(desk, {"noise.png": noise})
    (text,) = desk.answers()
    assert "This does not look like a cat or a dog" in text
    assert "If it had to be one of these:" in text
    assert says(text, "noise.png", expected)
    photo(desk.page, "app-foreign")


def test_a_file_name_is_text(desk: Desk) -> None:
    drop(desk, {SECRET_NAME: some_pictures()[0].read_bytes(), SECRET_NAME[:-4]: b""})
    expect(desk.page.get_by_text(SECRET_NAME, exact=True)).to_be_visible()
    expect(desk.page.locator(".dz img")).to_have_count(1)
    assert desk.page.title() == "What kind of bear is this?"


def test_two_visitors_do_not_see_each_other(
    browser: Browser, app: Server, predictor: Predictor
) -> None:
    files = some_pictures()[::8]
    one, two = Desk(browser, app.address), Desk(browser, app.address, color_scheme="dark")
    one.page.get_by_label("Choose pictures").set_input_files(files[:3])
    two.page.get_by_label("Choose pictures").set_input_files(files[3:])
    for visitor, own in ((one, files[:3]), (two, files[3:])):
        visitor.wait()
        answers = visitor.answers()
        assert len(answers) == 3
        for text, file, expected in zip(answers, own, predictor.predict(own), strict=True):
            assert says(text, file.name, expected)
    photo(two.page, "app-dark")
    kernels = len(app.kernels())
    one.page.close(run_before_unload=True)  # as a visitor closes a tab
    deadline = time.monotonic() + 30
    while len(app.kernels()) >= kernels and time.monotonic() < deadline:
        time.sleep(0.2)
    assert len(app.kernels()) < kernels  # its process goes at once
    two.choose(files[0])
    assert len(two.answers()) == 4
    one.context.close()
    two.context.close()


def test_keyboard_alone(desk: Desk, predictor: Predictor) -> None:
    file = some_pictures()[20]
    button = desk.page.get_by_label("Choose pictures")
    desk.page.locator("body").press("Tab")
    tab_to(desk.page, button, most=5)
    photo(desk.page, "app-focus")
    with desk.page.expect_file_chooser() as chooser:
        desk.page.keyboard.press("Enter")
    assert chooser.value.is_multiple()
    chooser.value.set_files(file)
    desk.wait()
    (expected,) = predictor.predict([file])
    spoken = desk.page.get_by_role("status")
    expect(spoken.filter(has_text=file.name)).to_have_text(f"{file.name}: {expected.sentence}")
    expect(button).to_be_focused()
    table = desk.page.get_by_role("table")
    expect(table.get_by_role("rowheader")).to_have_text(predictor.vocab)
    expect(table.get_by_role("cell").filter(has_text="%")).to_have_count(len(predictor.vocab))


def test_on_a_phone_the_page_is_as_wide_as_the_screen(browser: Browser, app: Server) -> None:
    phone = Desk(browser, app.address, viewport=PHONE, has_touch=True, is_mobile=True)
    phone.choose(*some_pictures()[:48:20])
    drop(phone, {f"{'a long name ' * 12}.jpg": b"", "printed.jpg": odd_files()["printed.jpg"]})
    wide = phone.page.evaluate("document.documentElement.scrollWidth")
    assert wide <= PHONE["width"]
    inside = phone.page.locator(".dz-item, .dz-zone, .dz-bars, .dz img, .dz p").evaluate_all(
        "all => all.filter(e => e.textContent || e.src)"
        ".every(e => e.classList.contains('dz-spoken') || e.getBoundingClientRect().right <= 390)"
    )
    assert inside
    photo(phone.page, "app-phone")
    phone.context.close()


def test_the_exported_folder_opens_as_the_same_page(
    browser: Browser, predictor: Predictor, tmp_path: Path
) -> None:
    folder, programs = exported()
    command = [str(programs / "python"), "-m", "utils.app.server", NOTEBOOK.name]
    with running(command, tmp_path, cwd=folder, PYTHONPATH="") as server:
        visitor = Desk(browser, server.address)
        file = some_pictures()[30]
        visitor.choose(file)
        assert says(visitor.answers()[0], file.name, predictor.predict([file])[0])
        photo(visitor.page, "app-exported")
        visitor.context.close()


def test_the_notebook_works_in_jupyterlab(page: Page, lab: object, predictor: Predictor) -> None:
    shutil.copy(NOTEBOOK, lab.folder)
    shutil.copytree(small_model(), lab.home / "models" / "bears")
    open_notebook(page, lab, NOTEBOOK.name)
    page.get_by_role("menuitem", name="Run", exact=True).click()
    page.get_by_role("menuitem", name="Run All Cells", exact=True).click()
    zone = page.get_by_label("Choose pictures")
    zone.wait_for(state="attached", timeout=60_000)
    files = some_pictures()[:2]
    zone.set_input_files(files)
    expect(page.locator(".dz[data-idle=true]")).to_be_attached(timeout=60_000)
    answers = page.locator(".dz-item").all_inner_texts()
    for text, file, expected in zip(answers, files, predictor.predict(files), strict=True):
        assert says(text, file.name, expected)
    photo(page, "app-in-lab")
