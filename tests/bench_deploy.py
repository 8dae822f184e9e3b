"""`make bench`, second table: `learn.predict` from a pickle against the app's `Predictor`.

Size of what must be installed, time until a fresh process has answered, time per picture. Both
sides answer the same pictures from the same files in turn; the ratios are what counts.
"""

import argparse
import json
import re
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterable
from importlib.metadata import PackageNotFoundError, distribution
from pathlib import Path

from fastai.learner import Learner, load_learner
from fastai.vision.core import PILImage
from packaging.requirements import Requirement

from utils.app.predictor import Predictor
from utils.app.save import save_model
from utils.bears import bear_learner
from utils.device import use_device
from utils.paths import ROOT

APP = ("onnxruntime", "pillow", "numpy")
COURSE = ("whole-game",)
BATCHES = (1, 8, 32)

# What each side runs in a fresh process: the model's file or folder, then a picture.
FRESH = {
    "learn.predict": """
import sys
from fastai.learner import load_learner
from fastai.vision.core import PILImage
learn = load_learner(sys.argv[1])
with learn.no_bar(), learn.no_logging():
    print(learn.predict(PILImage.create(sys.argv[2]))[0])
""",
    "Predictor": """
import sys
from utils.app.predictor import Predictor
print(Predictor(sys.argv[1]).predict([sys.argv[2]])[0].label)
""",
}
# Not the peak that `resource` tells: a new process inherits that of the one it was started from.
MEMORY = "\nimport psutil; print(psutil.Process().memory_info().rss // 1024)"


def needed(names: Iterable[str]) -> set[str]:
    """These packages and all that they need, as installed here."""
    found, waiting = set(), {name.lower() for name in names}
    while waiting:
        name = waiting.pop()
        try:
            requires = distribution(name).requires or []
        except PackageNotFoundError:  # a need of another platform
            continue
        found.add(name)
        rows = [Requirement(row) for row in requires]
        rows = [r for r in rows if r.marker is None or r.marker.evaluate({"extra": ""})]
        waiting |= {re.sub(r"[-_.]+", "-", r.name).lower() for r in rows} - found
    return found


def megabytes(packages: Iterable[str]) -> float:
    """What the files of these packages take on the disk."""
    files = [file.locate() for name in packages for file in distribution(name).files or []]
    return sum(file.stat().st_size for file in files if file.is_file()) / 1e6


def fresh(code: str, model: Path, picture: Path) -> tuple[float, float]:
    """Seconds a new Python needs to answer for one picture, and the memory it took (MB)."""
    command = [sys.executable, "-W", "ignore", "-c", code + MEMORY, str(model), str(picture)]
    began = time.perf_counter()
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True)
    return time.perf_counter() - began, int(done.stdout.split()[-1]) / 1024


def in_batches(files: list[Path], size: int) -> Iterable[list[Path]]:
    """`files`, so many at a time."""
    return (files[at : at + size] for at in range(0, len(files), size))


def ask_learner(learn: Learner, files: list[Path]) -> None:
    """One picture with `predict`, several with `get_preds`."""
    if len(files) == 1:
        learn.predict(PILImage.create(files[0]))
    else:
        learn.get_preds(dl=learn.dls.test_dl(files, bs=len(files), num_workers=0))


def per_picture(ask: Callable[[list[Path]], object], files: list[Path], size: int) -> float:
    """Milliseconds per picture, asked `size` at a time, opening the files included."""
    began = time.perf_counter()
    for batch in in_batches(files, size):
        ask(batch)
    return (time.perf_counter() - began) / len(files) * 1000


def main() -> None:
    """Print the tables."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=3, help="how often each is measured")
    parser.add_argument("--json", action="store_true", help="print the figures as JSON")
    options = parser.parse_args()
    use_device()
    learn = bear_learner()  # what it answers does not matter here, so it is not trained
    files = list(learn.dls.valid_ds.items)[:64]
    with tempfile.TemporaryDirectory() as scratch:
        pickled, folder = Path(scratch, "bears.pkl"), Path(scratch, "bears")
        learn.export(pickled)
        save_model(learn, folder)
        figures = measure(pickled, folder, files, options.rounds)
    print(json.dumps(figures, indent=1)) if options.json else report(figures)


def measure(pickled: Path, folder: Path, files: list[Path], rounds: int) -> dict:
    """Every figure of the two sides: sizes in MB, seconds, milliseconds."""
    learn, predictor = load_learner(pickled), Predictor(folder)
    asks = {
        "learn.predict": lambda batch: ask_learner(learn, batch),
        "Predictor": predictor.predict,
    }
    models = {"learn.predict": pickled, "Predictor": folder}
    figures = {name: {"fresh": [], **{size: [] for size in BATCHES}} for name in asks}
    with learn.no_bar(), learn.no_logging():
        for number in range(rounds + 1):
            for name, ask in asks.items():
                row = {"fresh": fresh(FRESH[name], models[name], files[0])}
                row |= {size: per_picture(ask, files, size) for size in BATCHES}
                for key, value in row.items() if number else ():  # the first round warms up
                    figures[name][key].append(value)
    for name, packages in (("learn.predict", needed(COURSE)), ("Predictor", needed(APP))):
        figures[name]["packages"] = len(packages)
        figures[name]["megabytes"] = megabytes(packages)
    return figures


def report(figures: dict) -> None:
    """One line for each thing measured: both sides, and how many times less the app needs."""
    rows = [("installed, MB", [f["megabytes"] for f in figures.values()])]
    rows += [("packages installed", [f["packages"] for f in figures.values()])]
    fresh_of = [list(zip(*f["fresh"], strict=True)) for f in figures.values()]
    rows += [("first answer of a new process, s", [statistics.median(f[0]) for f in fresh_of])]
    rows += [("memory of that process, MB", [statistics.median(f[1]) for f in fresh_of])]
    for size in BATCHES:
        what = "one picture at a time" if size == 1 else f"{size} pictures at a time"
        medians = [statistics.median(f[size]) for f in figures.values()]
        rows.append((f"{what}, ms per picture", medians))
    print(f"{'':38}{'learn.predict':>14}{'Predictor':>11}{'times less':>12}")
    for what, (theirs, ours) in rows:
        print(f"{what:38}{theirs:14,.1f}{ours:11,.1f}{theirs / ours:12.1f}")


if __name__ == "__main__":
    main()
