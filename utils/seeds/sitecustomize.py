"""Moves every seed that is set by 1,000 · `COURSE_SEED_SHIFT`; `course run --seed-shift` says it.

Python imports this by its name when it starts, as long as this folder is on `PYTHONPATH`: so it
reaches the kernel and every process a chapter starts, and nobody without the option. Only the
functions at the bottom of each library are replaced; fastai, its splitters, scikit-learn's and
pandas's `random_state` all end in one of them. No seed stays no seed; a text stays, and a list of
numbers: `utils.digits` splits its data by one, and data is the same in every run.
"""

import os
import random
from collections.abc import Callable
from numbers import Integral
from threading import local
from typing import Any

import wrapt

SHIFT = 1000 * int(os.environ.get("COURSE_SEED_SHIFT") or 0)
outer = local()  # its `call`: a function that shifts its seed may call another, which must not


def shifted(seed: Any) -> Any:
    """The seed this run uses in place of `seed`; what is no whole number stays."""
    return (int(seed) + SHIFT) % 2**32 if isinstance(seed, Integral) else seed


@wrapt.decorator
def shift_seed(function: Callable, instance: object, args: tuple, kwargs: dict) -> Any:
    """`function` with its seed, the first argument or the one named so, moved."""
    if getattr(outer, "call", False):
        return function(*args, **kwargs)
    outer.call = True
    try:
        named = {name: shifted(seed) for name, seed in kwargs.items() if name == "seed"}
        return function(*map(shifted, args[:1]), *args[1:], **kwargs | named)
    finally:
        outer.call = False


def replace(module: Any, *names: str) -> None:
    """Replace what is called so in `module`; what was one of its instances still is one."""
    for name in names:
        setattr(module, name, shift_seed(getattr(module, name)))


def replace_in_torch(torch: Any) -> None:
    """Replace PyTorch's seeds; a generator is made without one, and given it by a method."""
    replace(torch, "manual_seed")
    torch.random.manual_seed = torch.manual_seed
    replace(torch.cuda, "manual_seed", "manual_seed_all")
    method = {"manual_seed": shift_seed(torch.Generator.manual_seed)}
    generator = type("Generator", (torch.Generator,), method)
    torch.Generator = wrapt.FunctionWrapper(
        torch.Generator, lambda _, instance, args, kwargs: generator(*args, **kwargs)
    )


if SHIFT:
    replace(random.Random, "seed")
    random.seed = random._inst.seed
    wrapt.register_post_import_hook(
        lambda module: replace(module, "seed", "default_rng", "RandomState"), "numpy.random"
    )
    wrapt.register_post_import_hook(replace_in_torch, "torch")
