"""Does a picture resemble those a model learned from? Asked of a network that never saw them.

The features are those of the pretrained body as it comes. After training on a few hundred pictures
of three classes they no longer serve: the network has learned to see those classes in everything.
On the course's bears (limit for 97 of 100 exam pictures) the trained body's features stop 54 % of
the pictures of no bear, and the untrained body's all of them.
"""

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from utils.models import efficientnet_lite0

BODY = -3  # its last three layers pool, drop and classify
NEIGHBOURS = 10  # more than there are strangers among the pictures learned from, in most sets
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
        self.body = nn.Sequential(*list(efficientnet_lite0().children())[:BODY]).eval()
        self.neighbours = min(NEIGHBOURS, len(pixels))
        with torch.no_grad():
            batches = torch.from_numpy(np.stack(pixels)).permute(0, 3, 1, 2).split(BATCH)
            self.known = torch.cat([self.features(batch.float() / 255) for batch in batches])

    def features(self, x: Tensor) -> Tensor:
        """`(n, 3, height, width)` floats from 0 to 1 → `(n, f)` features of length 1."""
        return F.normalize(self.body(2 * x - 1).mean((2, 3)), dim=1)

    def forward(self, x: Tensor) -> Tensor:
        """`(n, 3, height, width)` floats from 0 to 1 → `(n,)` distances."""
        cosines = self.features(x) @ self.known.T
        return 1 - cosines.topk(self.neighbours, dim=1).values.mean(1)
