"""The Python half of every widget of the course; the browser's half is `base.js`.

The page asks (`ask({do: "check", …})`), the action of that name does it, and the page always gets
a reply: one that waits in vain looks dead.
"""

import sys
import traceback
from collections.abc import Callable, Sequence
from html import escape
from pathlib import Path
from typing import Any

import anywidget
import traitlets
from IPython.display import display
from ipywidgets import DOMWidget

from utils import WIDGET_VIEW
from utils.common import CourseError

HERE = Path(__file__).parent


def joined(own: Path) -> str:
    """The base's script or style with a widget's `own` below it: anywidget takes one of each."""
    base = HERE / f"base{own.suffix}"
    return base.read_text(encoding="utf-8") + own.read_text(encoding="utf-8")


class Widget(anywidget.AnyWidget):
    """A widget whose page asks; subclasses have `_esm` and `_css`, made by `joined`, and `actions`.

    `fault` is what the page shows after an error that nobody foresaw.
    """

    fault = "The course has a fault here ({error})."
    name = traitlets.Unicode().tag(sync=True)  # what a screen reader calls it
    notice = traitlets.Unicode().tag(sync=True)  # what went wrong before anything was asked

    def __init__(self, name: str) -> None:
        """Begin to listen."""
        super().__init__(name=name)
        self.on_msg(lambda _, message, buffers: self.respond(message, buffers))

    def actions(self) -> dict[str, Callable[..., dict[str, Any] | None]]:
        """What the page may ask for; what an action returns is sent, its "buffers" as bytes."""
        raise NotImplementedError

    def respond(self, message: dict[str, Any], buffers: Sequence[memoryview] = ()) -> None:
        """Do what the page asks for, and reply, whatever it was and however it went."""
        request = message | ({"buffers": buffers} if buffers else {})
        number = request.pop("nr", None)
        reply = self.attempt(lambda: self.actions()[request.pop("do")](**request))
        binary = reply.pop("buffers", [])
        self.send({**reply, "nr": number}, binary)

    def attempt(self, action: Callable[[], dict[str, Any] | None]) -> dict[str, Any]:
        """What `action` returns, with "problem": "", or else a sentence on why it failed."""
        try:
            return {"problem": "", **(action() or {})}
        except CourseError as error:
            return {"problem": str(error)}
        except Exception as error:
            traceback.print_exc(file=sys.__stderr__)  # the server's log, for whoever repairs it
            return {"problem": self.fault.format(error=f"{type(error).__name__}: {error}")}


def show_widget(widget: DOMWidget, text: str, page: str = "") -> None:
    """Show `widget`; where no kernel runs (a stored notebook, a page), `page` (HTML) or `text`."""
    page = f'<div class="wg-static">{page or f"<p>{escape(text)}</p>"}</div>'
    data = {"version_major": 2, "version_minor": 0, "model_id": widget.model_id}
    metadata: dict[str, Any] = {}
    # anywidget tells Colab how to show it; ipywidgets of version 7, which Colab has, has no bundle
    if isinstance(widget, Widget) and (bundle := widget._repr_mimebundle_()):
        data, metadata = bundle[0][WIDGET_VIEW], bundle[1]
    view, twin = {WIDGET_VIEW: data}, {"text/html": page, "text/plain": text}
    if isinstance(widget, Widget):
        # Two outputs, so that the twin is still there when a notebook is opened again and its
        # widgets are gone; base.css hides it beside one that is live.
        display(twin, raw=True)
        display(view, metadata=metadata, raw=True)
    else:
        display(view | twin, metadata=metadata, raw=True)
