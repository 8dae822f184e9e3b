"""Our pictures for the `draw` questions; the bank names these functions, each returns a Figure."""

from matplotlib.figure import Figure
from matplotlib.patches import FancyBboxPatch

# Two of the colours that Okabe and Ito chose so that everybody can tell them apart; what they
# mean is also said by the words in the boxes.
SKY, ORANGE = "#56B4E9", "#E69F00"
BOX = (1.7, 0.8)


def samuel_loop() -> Figure:
    """Samuel's view of a machine that learns: five boxes, and the arrow back to the weights."""
    figure = Figure(figsize=(7.2, 2.6), layout="constrained")
    axes = figure.add_subplot()
    axes.set(xlim=(-1.1, 7.9), ylim=(-1.7, 1.55), aspect="equal")
    axes.axis("off")
    boxes = {
        "inputs": (0, 0.9, SKY),
        "weights": (0, -0.5, ORANGE),
        "model": (2.5, 0.2, "white"),
        "results": (4.7, 0.2, "white"),
        "performance": (6.9, 0.2, "white"),
    }
    for name, (x, y, colour) in boxes.items():
        corner = (x - BOX[0] / 2, y - BOX[1] / 2)
        style = "round,pad=0,rounding_size=0.12"
        axes.add_patch(FancyBboxPatch(corner, *BOX, boxstyle=style, fc=colour, ec="black"))
        axes.text(x, y, name, ha="center", va="center", fontsize=11)
    for start, end in (
        ((0.85, 0.9), (1.65, 0.35)),
        ((0.85, -0.5), (1.65, 0.05)),
        ((3.35, 0.2), (3.85, 0.2)),
        ((5.55, 0.2), (6.05, 0.2)),
    ):
        axes.annotate("", end, start, arrowprops={"arrowstyle": "-|>", "color": "black", "lw": 1.4})
    _way_back(axes)
    return figure


def _way_back(axes) -> None:  # noqa: ANN001 (matplotlib's Axes)
    """From performance, below everything, back to the weights."""
    axes.plot([6.9, 6.9, 0], [-0.2, -1.4, -1.4], color="black", lw=1.4)
    arrow = {"arrowstyle": "-|>", "color": "black", "lw": 1.4, "shrinkA": 0}
    axes.annotate("", (0, -0.9), (0, -1.41), arrowprops=arrow)
    axes.text(3.5, -1.32, "update", ha="center", va="bottom", fontsize=11)


# What the picture shows, for those who cannot see it.
samuel_loop.alt = (
    "Two boxes on the left, inputs and weights, each with an arrow to the box model. From model an "
    "arrow leads to results, from results to performance, and from performance back to weights; "
    "that last arrow says update."
)
