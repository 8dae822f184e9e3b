"""`DropZone`: a widget that takes pictures by click or by drop, and draws the answers to them.

The browser's half is `dropzone.js`. It sends one picture after another, each in pieces, so that
one visitor never has more than one picture in this process.
"""

import sys
import traceback
from collections.abc import Callable
from io import BytesIO
from pathlib import Path

import anywidget
import traitlets
from PIL import Image

from utils.app.predictor import Prediction
from utils.images import ImageError, open_image, opened, remarks

HERE = Path(__file__).parent
MAX_BYTES = 20_000_000  # of one picture: a photo of 50 megapixels is about as large
THUMBNAIL = 320  # pixels, the longer side
FAULT = "The app has a fault, and cannot answer for this picture: tell whoever runs it."
INTERRUPTED = "This picture did not arrive whole: send it again."


class DropZone(anywidget.AnyWidget):
    """A place in the page for pictures; `answer` is called with each, opened, upright and RGB.

    A file that is no usable picture is refused with the sentence of its `ImageError`.
    """

    _esm = HERE / "dropzone.js"
    _css = HERE / "dropzone.css"
    max_bytes = traitlets.Int(MAX_BYTES).tag(sync=True)

    def __init__(self, answer: Callable[[Image.Image], Prediction]) -> None:
        """Begin to listen."""
        super().__init__()
        self._answer = answer
        self._sender: object = None  # whose picture is arriving
        self._content = bytearray()
        self.on_msg(self._heard)

    def _heard(self, _widget: object, message: dict, buffers: list[memoryview]) -> None:
        """A piece of a picture. Whatever is in it, it gets a reply: no page must wait in vain."""
        try:
            reply, pictures = self._reply(message, buffers)
        except ImageError as error:
            reply, pictures = _refused(error), []
        except Exception:
            traceback.print_exc(file=sys.__stderr__)  # to the server's log, not to the visitor
            reply, pictures = _refused(FAULT), []
        if not reply.get("more"):
            self._content = bytearray()
        self.send({"view": message.get("view"), "nr": message.get("nr"), **reply}, pictures)

    def _reply(self, message: dict, buffers: list[memoryview]) -> tuple[dict, list[bytes]]:
        size, start = int(message["size"]), int(message["start"])
        if start == 0:
            self._sender, self._content = message["view"], bytearray()
        _refuse_too_large(max(size, len(self._content) + sum(map(len, buffers))))
        if message["view"] != self._sender or start != len(self._content):
            return _refused(INTERRUPTED), []
        for buffer in buffers:
            self._content += buffer
        if len(self._content) < size:
            return {"more": True}, []
        return self._answered(str(message["name"]), bytes(self._content))

    def _answered(self, name: str, content: bytes) -> tuple[dict, list[bytes]]:
        picture = open_image(content)
        said = self._answer(picture)
        outcome = "foreign" if not said.in_domain else "sure" if said.sure else "unsure"
        reply = {
            "outcome": outcome,
            "sentence": said.sentence,
            "remarks": _remarks(content, name),
            "bars": list(said.probabilities.items()),
        }
        return reply, [_thumbnail(picture)]


def _refused(sentence: object) -> dict:
    return {"outcome": "refused", "sentence": str(sentence)}


def _remarks(content: bytes, name: str) -> list[str]:
    with opened(content) as image:
        return [sentence for _, sentence in remarks(image, Path(name).suffix)]


def _refuse_too_large(size: int) -> None:
    if size > MAX_BYTES:
        raise ImageError(
            "oversized",
            f"This file is too large: {size / 1e6:,.1f} MB, and the limit is "
            f"{MAX_BYTES / 1e6:.0f} MB; make it smaller and try again.",
        )


def _thumbnail(picture: Image.Image) -> bytes:
    """A small JPEG of `picture`, which is made small itself: a copy could take 300 MB more."""
    picture.thumbnail((THUMBNAIL, THUMBNAIL))
    buffer = BytesIO()
    picture.save(buffer, "JPEG", quality=85)
    return buffer.getvalue()
