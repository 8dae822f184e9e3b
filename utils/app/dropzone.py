"""`DropZone`: a widget that takes pictures by click or by drop, and draws the answers to them.

The browser's half is `dropzone.js`. It sends one picture after another, each in pieces, so that
one visitor never has more than one picture in this process.
"""

from collections.abc import Callable, Sequence
from io import BytesIO
from pathlib import Path
from typing import Any

import traitlets
from PIL import Image

from utils.app.predictor import Prediction
from utils.images import ImageError, open_image, opened, remarks
from utils.widgets.base import Widget, joined

HERE = Path(__file__).parent
MAX_BYTES = 20_000_000  # of one picture: a photo of 50 megapixels is about as large
THUMBNAIL = 320  # pixels, the longer side
TOO_LARGE = (
    "This file is too large: {:,.1f} MB, and the limit is {:.0f} MB; make it smaller and try again."
)
INTERRUPTED = "This picture did not arrive whole: send it again."


class DropZone(Widget):
    """A place in the page for pictures; `answer` is called with each, opened, upright and RGB.

    A file that is no usable picture is refused with the sentence of its `ImageError`.
    """

    _esm = joined(HERE / "dropzone.js")
    _css = joined(HERE / "dropzone.css")
    fault = "The app has a fault, and cannot answer for this picture: tell whoever runs it."
    max_bytes = traitlets.Int(MAX_BYTES).tag(sync=True)

    def __init__(self, answer: Callable[[Image.Image], Prediction]) -> None:
        """Begin to listen."""
        super().__init__("Pictures")
        self._answer = answer
        self._sender = ""  # the view of this widget whose picture is arriving
        self._content = bytearray()

    def actions(self) -> dict[str, Callable[..., dict[str, Any] | None]]:
        """The page sends pictures, and that is all."""
        return {"take": self._take}

    def _take(
        self, view: str, name: str, size: int, start: int, buffers: Sequence[memoryview] = ()
    ) -> dict[str, Any]:
        """A piece of a picture, from the byte `start` on; with the last one comes the answer."""
        size = int(size)  # which raises before anything is kept
        if start == 0:
            self._sender, self._content = view, bytearray()
        in_order = (view, start) == (self._sender, len(self._content))
        for piece in buffers:
            self._content += piece
        arrived = len(self._content)
        if in_order and arrived < size <= MAX_BYTES:
            return {"more": True}
        content, self._content = bytes(self._content), bytearray()
        try:
            if max(size, arrived) > MAX_BYTES:
                sentence = TOO_LARGE.format(max(size, arrived) / 1e6, MAX_BYTES / 1e6)
                raise ImageError("oversized", sentence)
            if not in_order:
                raise ImageError("truncated", INTERRUPTED)
            picture = open_image(content)
            prediction = self._answer(picture)
            with opened(content) as image:
                notes = [sentence for _, sentence in remarks(image, Path(name).suffix)]
        except ImageError as error:
            return {"outcome": "refused", "sentence": str(error)}
        picture.thumbnail((THUMBNAIL, THUMBNAIL))  # no copy of it, which could take 300 MB
        thumbnail = BytesIO()
        picture.save(thumbnail, "JPEG", quality=85)
        answered = "sure" if prediction.sure else "unsure"
        return {
            "outcome": answered if prediction.in_domain else "foreign",
            "sentence": prediction.sentence,
            "remarks": notes,
            "bars": list(prediction.probabilities.items()),
            "buffers": [thumbnail.getvalue()],
        }
