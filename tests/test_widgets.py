"""The base of the widgets: every question of a page gets a reply, every widget has its twin."""

import pytest
from ipywidgets import VBox

from utils import WIDGET_VIEW
from utils.common import CourseError
from utils.widgets.base import HERE, Widget, joined, show_widget


class Echo(Widget):
    _esm = joined(HERE / "base.js")
    _css = joined(HERE / "base.css")

    def actions(self):
        return {"say": lambda text: {"text": text}, "send": self.send_back, "fail": self.fail}

    def send_back(self, name, buffers):
        return {"size": len(buffers[0]), "buffers": [b"back"]}

    def fail(self, error):
        raise {"ours": CourseError("Choose another name."), "any": ValueError("no")}[error]


@pytest.fixture
def ask():
    echo, replies = Echo("An echo"), []
    echo.send = lambda *reply: replies.append(reply)

    def ask(message, buffers=()):
        echo.respond(message, buffers)
        return replies.pop()

    return ask


def test_a_page_gets_its_reply(ask):
    assert ask({"nr": 1, "do": "say", "text": "hello"}) == (
        {"nr": 1, "problem": "", "text": "hello"},
        [],
    )
    reply = ask({"nr": 2, "do": "send", "name": "a"}, [memoryview(b"123")])
    assert reply == ({"nr": 2, "problem": "", "size": 3}, [b"back"])


def test_an_error_is_a_sentence(ask, capsys):
    assert ask({"nr": 1, "do": "fail", "error": "ours"})[0]["problem"] == "Choose another name."
    fault = "The course has a fault here (ValueError: no)."
    assert ask({"nr": 2, "do": "fail", "error": "any"}) == ({"nr": 2, "problem": fault}, [])


@pytest.mark.parametrize("message", [{}, {"nr": 1, "do": "eval"}, {"nr": 1, "do": "say", "a": 1}])
def test_nonsense_gets_a_reply_too(ask, message):
    reply, _ = ask(message)
    assert reply["nr"] == message.get("nr") and "fault" in reply["problem"]


@pytest.fixture
def shown(monkeypatch):
    outputs = []
    monkeypatch.setattr(
        "utils.widgets.base.display", lambda data, raw, metadata=None: outputs.append(data)
    )
    return outputs


def test_the_twin_of_a_widget_is_an_output_of_its_own(shown):
    echo = Echo("An echo")
    show_widget(echo, "Run < this")
    show_widget(echo, "Run this", "<p><b>Run</b> this</p>")
    twin, view, other, _ = shown
    page = '<div class="wg-static"><p>Run &lt; this</p></div>'
    assert twin == {"text/html": page, "text/plain": "Run < this"}
    assert list(view) == [WIDGET_VIEW] and view[WIDGET_VIEW]["model_id"] == echo.model_id
    assert other["text/html"] == '<div class="wg-static"><p><b>Run</b> this</p></div>'


def test_a_plain_widget_has_its_twin_within(shown):
    show_widget(VBox(), "Run this")
    (output,) = shown
    assert set(output) == {WIDGET_VIEW, "text/html", "text/plain"}
