"""Our pictures for the `draw` questions; the bank names these functions, each returns a Figure."""

from math import cos, exp, log10, pi

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


def sigmoid() -> Figure:
    """The sigmoid from -6 to 6: a smooth S between 0 and 1, through a half at 0."""
    figure, axes = _plot((-6, 6), (-0.1, 1.1))
    x = [step / 10 for step in range(-60, 61)]
    axes.plot(x, [1 / (1 + exp(-value)) for value in x], color=ORANGE, lw=2.5)
    for limit in (0, 1):
        axes.axhline(limit, color=SKY, lw=1.2, ls="--")
    axes.plot(0, 0.5, "o", color="black", ms=5)
    axes.annotate("a half at 0", (0, 0.5), (0.5, 0.42), fontsize=11)
    axes.text(-5.9, 0.91, "never quite 1", fontsize=11)
    axes.text(5.9, 0.04, "never quite 0", fontsize=11, ha="right")
    axes.set(xticks=[-6, -4, -2, 0, 2, 4, 6], yticks=[0, 0.5, 1])
    return figure


def relu() -> Figure:
    """ReLU from -2 to 2: flat at 0, then a straight line upwards."""
    figure, axes = _plot((-2, 2), (-0.3, 2.2))
    axes.plot([-2, 0, 2], [0, 0, 2], color=ORANGE, lw=2.5)
    axes.plot(0, 0, "o", color="black", ms=5)
    axes.text(-1, 0.1, "negative: 0", fontsize=11, ha="center")
    axes.text(0.75, 1.15, "positive: unchanged", fontsize=11, ha="right")
    axes.set(xticks=[-2, -1, 0, 1, 2], yticks=[0, 1, 2])
    return figure


def rating_curve() -> Figure:
    """A sigmoid stretched to run from 0 to 5.5: what y_range=(0, 5.5) does to a sum."""
    figure, axes = _plot((-6, 6), (-0.5, 6))
    x = [step / 10 for step in range(-60, 61)]
    axes.plot(x, [5.5 / (1 + exp(-value)) for value in x], color=ORANGE, lw=2.5)
    for limit in (0, 5.5):
        axes.axhline(limit, color=SKY, lw=1.2, ls="--")
    reached = -log10(5.5 / 5 - 1) / log10(exp(1))  # where the curve is at 5
    axes.plot(reached, 5, "o", color="black", ms=5)
    axes.annotate(f"5 is reached at {reached:.1f}", (reached, 5), (reached - 0.1, 4.2), fontsize=11)
    axes.text(-5.9, 5.57, "never quite 5.5", fontsize=11)
    axes.set(xlabel="dot product and biases", ylabel="rating", yticks=range(6))
    return figure


def range_test() -> Figure:
    """What lr_find plots: the loss flat, falling, then exploding, and where to take the rate."""
    figure, axes = _plot((-7, 0.2), (0, 3))
    x = [-7 + step / 50 for step in range(347)]
    axes.plot(x, [_range_loss(value) for value in x], color=ORANGE, lw=2.5)
    lowest = min(x, key=_range_loss)
    axes.plot(lowest, _range_loss(lowest), "s", color="black", ms=6)
    axes.text(lowest - 0.1, _range_loss(lowest) - 0.3, "lowest", fontsize=11, ha="center")
    axes.plot(lowest - 1, _range_loss(lowest - 1), "o", color="black", ms=6)
    axes.text(lowest - 1.15, _range_loss(lowest - 1) - 0.15, "take this", fontsize=11, ha="right")
    axes.set(xlabel="learning rate", ylabel="loss", xticks=range(-7, 1), yticks=[])
    axes.set_xticklabels([f"1e{power}" if power else "1" for power in range(-7, 1)])
    return figure


def one_cycle() -> Figure:
    """The learning rate of fit_one_cycle with its defaults: up in a quarter, then down to 0."""
    figure, axes = _plot((0, 1), (0, 1.15))
    x = [step / 200 for step in range(201)]
    axes.plot(x, [_cycle(value) for value in x], color=ORANGE, lw=2.5)
    axes.plot(0.25, 1, "o", color="black", ms=5)
    axes.annotate("lr_max, after a quarter", (0.25, 1), (0.29, 1.02), fontsize=11)
    axes.text(0.09, 0.03, "begins at lr_max / 25", fontsize=11)
    axes.text(0.99, 0.12, "almost 0", fontsize=11, ha="right")
    axes.set(xlabel="share of the batches done", ylabel="learning rate")
    axes.set(xticks=[0, 0.25, 0.5, 0.75, 1], yticks=[])
    return figure


def _range_loss(power: float) -> float:
    """A loss as range tests give it, for a learning rate of 10 to this power."""
    return 1 + 1.3 / (1 + exp(3.2 * (power + 3.1))) + exp(4 * (power + 0.75))


def _cycle(done: float) -> float:
    """The learning rate of fit_one_cycle with its defaults, in units of its maximum."""
    start, end, part = (1 / 25, 1, done / 0.25) if done < 0.25 else (1, 1e-5, (done - 0.25) / 0.75)
    return end + (start - end) * (1 + cos(pi * part)) / 2


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


def _plot(across: tuple[float, float], up: tuple[float, float]) -> tuple[Figure, Axes]:
    """A figure with one plot of these limits: what goes in to the right, what comes out upwards."""
    figure = Figure(figsize=(5.4, 3), layout="constrained")
    axes = figure.add_subplot()
    axes.set(xlim=across, ylim=up, xlabel="in", ylabel="out")
    axes.spines[["top", "right"]].set_visible(False)
    axes.axvline(0, color="0.8", lw=0.8, zorder=0)
    return figure, axes


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
sigmoid.alt = (
    "A smooth curve like a stretched S. At -6 it is just above 0, it rises all the way, passes "
    "through a half at 0, where it is steepest, and at 6 is just below 1. Two dashed lines at 0 "
    "and at 1 are never reached."
)
relu.alt = (
    "Two straight pieces with a corner at 0. From -2 to 0 the line lies flat on 0; from there it "
    "rises as steeply as it goes to the right, through 1 at 1, and reaches 2 at 2."
)
rating_curve.alt = (
    "A smooth curve like a stretched S between two dashed lines at 0 and at 5.5. It is flat on the "
    "left just above 0, steepest in the middle, and flat on the right just below 5.5, which it "
    "never reaches. A dot shows that it passes 5 when the sum is 2.3."
)
range_test.alt = (
    "The loss against the learning rate, which grows tenfold from mark to mark. From 1e-7 on the "
    "curve is flat, between 1e-4 and 1e-2 it falls, a square marks its lowest point, and to the "
    "right of that it shoots up. A dot on the falling part, at a tenth of the rate of the square, "
    "says: take this."
)
one_cycle.alt = (
    "The learning rate over one cycle. It begins at a twenty-fifth of its maximum, rises in a "
    "smooth curve to the maximum, reached after a quarter of the batches, and falls more slowly, "
    "again in a smooth curve, to almost 0 at the end."
)
