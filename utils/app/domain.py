"""Does a picture resemble those a model learned from? Asked of a network that never saw them.

The features are those of the pretrained body as it comes. After training on a few hundred pictures
of three classes they no longer serve: the network has learned to see those classes in everything.
On the course's bears (limit for 97 of 100 exam pictures) the trained body's features stop 54 % of
the pictures of no bear, and the untrained body's all of them.
"""

from collections.abc import Iterator

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from utils.models import efficientnet_lite0

NETWORK = efficientnet_lite0
BODY = -3  # its last three layers pool, drop and classify
NEIGHBOURS = 10  # more than there are strangers among the pictures learned from, in most sets
PASSES = 0.97  # share of the validation pictures that are let through
BATCH = 8


class Domain(nn.Module):
    """How far pictures are from the nearest of those learned from: 0 in the same direction, to 1.

    The distance is one less the cosine between features, averaged over the nearest neighbours:
    Sun et al. 2022, "Out-of-Distribution Detection with Deep Nearest Neighbors" (arXiv
    2204.06507), with the mean of k neighbours in place of the k-th.
    """

    def __init__(self, pixels: list[np.ndarray]) -> None:
        """`pixels`: the pictures learned from, `(height, width, 3)` bytes each."""
        super().__init__()
        self.body = nn.Sequential(*list(NETWORK().children())[:BODY]).eval()
        self.neighbours = min(NEIGHBOURS, len(pixels))
        with torch.no_grad():
            known = torch.cat([self.features(x) for x in _batches(pixels)])
        self.register_buffer("known", known)

    def features(self, x: Tensor) -> Tensor:
        """`(n, 3, height, width)` floats from 0 to 1 → `(n, f)` features of length 1."""
        return F.normalize(self.body(2 * x - 1).mean((2, 3)), dim=1)

    def forward(self, x: Tensor) -> Tensor:
        """`(n, 3, height, width)` floats from 0 to 1 → `(n,)` distances."""
        cosines = self.features(x) @ self.known.T
        return 1 - cosines.topk(self.neighbours, dim=1).values.mean(1)

    def described(self) -> dict[str, object]:
        """What the manifest says of it; `limit` is still to be measured."""
        return {"network": f"{NETWORK.__name__}, pretrained, not trained further",
                "pictures_known": len(self.known), "neighbours": self.neighbours,
                "passes": PASSES, "limit": 1.0}  # fmt: skip


def _batches(pixels: list[np.ndarray]) -> Iterator[Tensor]:
    for start in range(0, len(pixels), BATCH):
        batch = torch.from_numpy(np.stack(pixels[start : start + BATCH]))
        yield batch.permute(0, 3, 1, 2).float() / 255
