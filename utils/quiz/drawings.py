"""Our pictures for the `draw` questions; the bank names these functions, each returns a Figure."""

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import FancyBboxPatch

# Two of the colours that Okabe and Ito chose so that everybody can tell them apart; what they
# mean is also said by the words in the boxes.
SKY, ORANGE, WHITE = "#56B4E9", "#E69F00", "white"
WIDTH, HEIGHT = 1.7, 0.8  # of a box
LINE = {"arrowstyle": "-|>", "color": "black", "lw": 1.4}

Place = tuple[float, float]
Boxes = dict[str, tuple[float, float, str]]  # name → centre and colour


def samuel_loop() -> Figure:
    """Samuel's view of a machine that learns: five boxes, and the arrow back to the weights."""
    boxes = {
        "inputs": (0, 0.9, SKY),
        "weights": (0, -0.5, ORANGE),
        "model": (2.5, 0.2, WHITE),
        "results": (4.7, 0.2, WHITE),
        "performance": (6.9, 0.2, WHITE),
    }
    arrows = [("inputs", "model"), ("weights", "model"), ("model", "results")]
    return _loop(boxes, [*arrows, ("results", "performance")], back=("performance", "weights"))


def training_loop() -> Figure:
    """The same in today's words: labels join in, and the loss says how to update."""
    boxes = {
        "inputs": (0, 0.9, SKY),
        "parameters": (0, -0.5, ORANGE),
        "architecture": (2.5, 0.2, WHITE),
        "predictions": (4.7, -0.3, WHITE),
        "labels": (4.7, 0.9, SKY),
        "loss": (6.9, 0.2, WHITE),
    }
    arrows = [("inputs", "architecture"), ("parameters", "architecture")]
    arrows += [("architecture", "predictions"), ("predictions", "loss"), ("labels", "loss")]
    return _loop(boxes, arrows, back=("loss", "parameters"))


def _loop(boxes: Boxes, arrows: list[tuple[str, str]], back: tuple[str, str]) -> Figure:
    """Boxes joined by arrows from left to right, and one way back below them, called update."""
    figure = Figure(figsize=(7.2, 2.6), layout="constrained")
    axes = figure.add_subplot()
    axes.set(xlim=(-1.1, 7.9), ylim=(-1.7, 1.55), aspect="equal")
    axes.axis("off")
    for name, (x, y, colour) in boxes.items():
        corner = (x - WIDTH / 2, y - HEIGHT / 2)
        style = "round,pad=0,rounding_size=0.12"
        axes.add_patch(FancyBboxPatch(corner, WIDTH, HEIGHT, boxstyle=style, fc=colour, ec="black"))
        axes.text(x, y, name, ha="center", va="center", fontsize=11)
    for start, end in arrows:
        _arrow(axes, boxes[start][:2], boxes[end][:2])
    _way_back(axes, boxes[back[0]][:2], boxes[back[1]][:2])
    return figure


def _arrow(axes: Axes, start: Place, end: Place) -> None:
    """From the right edge of one box to the left edge of another, a little towards its height."""
    lean = 0.2 * (start[1] - end[1])
    tip = (end[0] - WIDTH / 2, end[1] + lean)
    axes.annotate("", tip, (start[0] + WIDTH / 2, start[1]), arrowprops=LINE)


def _way_back(axes: Axes, start: Place, end: Place) -> None:
    """From one box, below everything, up to another."""
    (right, top), (left, bottom) = start, end
    axes.plot([right, right, left], [top - HEIGHT / 2, -1.4, -1.4], color="black", lw=1.4)
    axes.annotate("", (left, bottom - HEIGHT / 2), (left, -1.41), arrowprops=LINE | {"shrinkA": 0})
    axes.text(3.5, -1.32, "update", ha="center", va="bottom", fontsize=11)


# What each picture shows, for those who cannot see it.
samuel_loop.alt = (
    "Two boxes on the left, inputs and weights, each with an arrow to the box model. From model an "
    "arrow leads to results, from results to performance, and from performance back to weights; "
    "that last arrow says update."
)
training_loop.alt = (
    "Two boxes on the left, inputs and parameters, each with an arrow to the box architecture. "
    "From architecture an arrow leads to predictions. Predictions and labels both lead to loss, "
    "and from loss an arrow that says update leads back to parameters."
)
