"""`DropZone`: a widget that takes pictures by click or by drop, and draws the answers to them.

The browser's half is `dropzone.js`. It sends one picture after another, so that one visitor never
has more than one picture in this process.
"""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import traitlets
from PIL import Image

from utils.app.predictor import Prediction
from utils.images import ImageError, open_image, opened, remarks
from utils.widgets.base import Widget, joined

HERE = Path(__file__).parent
MEGABYTES = 10  # of one picture: Jupyter's servers take no message above 10 MiB
TOO_LARGE = (
    "This file is too large: {:.1f} MB, and the limit is {} MB; make it smaller and try again."
)


class DropZone(Widget):
    """A place in the page for pictures; `answer` is called with each, opened, upright and RGB.

    A file that is no usable picture is refused with the sentence of its `ImageError`.
    """

    _esm = joined(HERE / "dropzone.js")
    _css = joined(HERE / "dropzone.css")
    megabytes = traitlets.Int(MEGABYTES).tag(sync=True)
    fault = "The app has a fault, and cannot answer for this picture: tell whoever runs it."

    def __init__(self, answer: Callable[[Image.Image], Prediction]) -> None:
        """Begin to listen."""
        super().__init__("Pictures")
        self._answer = answer

    def actions(self) -> dict[str, Callable[..., dict[str, Any] | None]]:
        """The page sends pictures, and that is all."""
        return {"take": self._take}

    def _take(self, name: str, size: int, buffers: Sequence[memoryview] = ()) -> dict[str, Any]:
        """The answer to a picture; of one that is too large the page sends the size alone."""
        content = b"".join(buffers)
        megabytes = max(int(size), len(content)) / 1e6
        try:
            if megabytes > MEGABYTES:
                raise ImageError("oversized", TOO_LARGE.format(megabytes, MEGABYTES))
            prediction = self._answer(open_image(content))
            with opened(content) as image:
                notes = [sentence for _, sentence in remarks(image, Path(name).suffix)]
        except ImageError as error:
            return {"outcome": "refused", "sentence": str(error)}
        answered = "sure" if prediction.sure else "unsure"
        return {
            "outcome": answered if prediction.in_domain else "foreign",
            "sentence": prediction.sentence,
            "remarks": notes,
            "bars": list(prediction.probabilities.items()),
        }
