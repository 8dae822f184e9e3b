"""`make bench`: a pretrained transformer frozen and fine-tuned, and counting words, on one table.

`--texts FILE` takes another table with the columns label, text and is_valid, such as the public
film reviews; `--first 256` reads more of each text; `--epochs 0` leaves the fine-tuning out.
"""

import argparse
import time
from pathlib import Path

import numpy as np
import pandas as pd
import torch
from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from torch import nn

from utils.lessons.ch08 import pretrained
from utils.paths import DATA

SIZES, DRAWS, BATCH = (20, 50, 100, 200, 400), 6, 16


class Classifier(nn.Module):
    """The transformer, the mean of its rows, and a linear head: what fine-tuning trains."""

    def __init__(self, body: nn.Module, classes: int) -> None:
        """A new head on `body`."""
        super().__init__()
        self.body, self.head = body, nn.Linear(body.config.hidden_size, classes)

    def vectors(self, batch: dict) -> torch.Tensor:
        """A row for each text."""
        rows, real = self.body(**batch).last_hidden_state, batch["attention_mask"][..., None]
        return (rows * real).sum(1) / real.sum(1)


class Bench:
    """One table of texts, cut after `first` tokens."""

    def __init__(self, path: Path, first: int) -> None:
        """Read the table and the transformer."""
        self.texts, self.first = pd.read_csv(path), first
        self.train = np.flatnonzero(~self.texts.is_valid)
        self.valid = np.flatnonzero(self.texts.is_valid)
        self.labels, self.names = pd.factorize(self.texts.label, sort=True)
        self.tokenizer, body = pretrained()
        self.model = Classifier(body, len(self.names)).to(body.device)

    def batch(self, rows: np.ndarray) -> dict:
        """These texts as the transformer takes them."""
        texts = list(self.texts.text.iloc[rows])
        options = {"padding": True, "truncation": True, "return_tensors": "pt"}
        made = self.tokenizer(texts, max_length=self.first, **options)
        return dict(made.to(self.model.head.weight.device))

    def frozen(self) -> np.ndarray:
        """The rows of all texts."""
        order = np.argsort(self.texts.text.str.len().to_numpy(), kind="stable")
        parts = np.array_split(order, len(order) // BATCH)
        with torch.no_grad():
            found = [self.model.vectors(self.batch(part)).cpu().numpy() for part in parts]
        return np.concatenate(found)[np.argsort(order)]

    def table(self, features: np.ndarray) -> pd.DataFrame:
        """The mean share right of both models for each number of labels."""
        texts, rows = self.texts.text.to_numpy(), []
        train = self.texts.iloc[self.train]
        most = 2 * train.label.value_counts().min()
        for n in [*[n for n in SIZES if n < most], most]:
            for seed in range(DRAWS if n < most else 1):
                drawn = train.groupby("label").sample(n // 2, random_state=seed).index
                counting = TfidfVectorizer(sublinear_tf=True, min_df=2)
                bag = make_pipeline(counting, LogisticRegression(C=10, max_iter=1000))
                head = LogisticRegression(max_iter=1000)
                for name, model, x in (("words", bag, texts), ("transformer", head, features)):
                    model.fit(x[drawn], self.labels[drawn])
                    rows.append((name, n, model.score(x[self.valid], self.labels[self.valid])))
        return pd.DataFrame(rows, columns=["model", "labels", "right"]).pivot_table(
            "right", "model", "labels"
        )

    def fine_tune(self, epochs: int, lr: float = 5e-5) -> None:
        """Train all of it on all labels; print what each epoch takes and gives."""
        torch.manual_seed(0)
        self.model.requires_grad_(True).train()
        opt = torch.optim.AdamW(self.model.parameters(), lr)
        labels = torch.as_tensor(self.labels, device=self.model.head.weight.device)
        for epoch in range(epochs):
            began = time.perf_counter()
            for rows in np.array_split(
                np.random.default_rng(epoch).permutation(self.train), len(self.train) // BATCH
            ):
                scores = self.model.head(self.model.vectors(self.batch(rows)))
                loss = nn.functional.cross_entropy(scores, labels[rows])
                loss.backward()
                opt.step()
                opt.zero_grad()
            seconds = time.perf_counter() - began
            print(f"fine-tuned, epoch {epoch + 1}: {seconds:.0f} s, {self.right():.3f}", flush=True)

    def right(self) -> float:
        """The share right of the model as it is."""
        self.model.eval()
        right = 0
        with torch.no_grad():
            for rows in np.array_split(self.valid, len(self.valid) // BATCH):
                guessed = self.model.head(self.model.vectors(self.batch(rows))).argmax(1).cpu()
                right += int((guessed.numpy() == self.labels[rows]).sum())
        self.model.train()
        return right / len(self.valid)


def main() -> None:
    """Print the table, then the fine-tuning."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--texts", type=Path, default=DATA / "imdb" / "texts.csv")
    parser.add_argument("--first", type=int, default=128, help="tokens read of each text")
    parser.add_argument("--epochs", type=int, default=1)
    args = parser.parse_args()
    bench = Bench(args.texts, args.first)
    began = time.perf_counter()
    features = bench.frozen()
    print(f"frozen: {time.perf_counter() - began:.0f} s for {len(features)} texts, once")
    print(bench.table(features).round(3).to_string(), flush=True)
    bench.fine_tune(args.epochs)


if __name__ == "__main__":
    main()
