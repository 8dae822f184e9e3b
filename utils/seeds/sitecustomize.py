"""Moves every seed that is set by 1,000 · `COURSE_SEED_SHIFT`; `course run --seed-shift` says it.

Python imports this by its name when it starts, as long as this folder is on `PYTHONPATH`: so it
reaches the kernel and every process a chapter starts, and nobody without the option. Only the
functions at the bottom of each library are replaced; fastai, its splitters, scikit-learn's and
pandas's `random_state` all end in one of them. No seed stays no seed; a list of numbers stays too:
`utils.digits` splits its data by one, and data is the same in every run.
"""

import importlib.abc
import importlib.util
import os
import random
import sys
import threading
from collections.abc import Callable
from functools import wraps
from importlib.machinery import ModuleSpec
from numbers import Integral
from types import ModuleType
from typing import Any

SHIFT = 1000 * int(os.environ.get("COURSE_SEED_SHIFT") or 0)
# Its `now`: a moved function is calling another one, which must not move the seed again.
_inside = threading.local()


def moved(seed: Any) -> Any:
    """The seed this run uses in place of `seed`; what is neither a number nor a text stays."""
    if isinstance(seed, Integral):
        return (int(seed) + SHIFT) % 2**32
    if isinstance(seed, str):
        return f"{seed} + {SHIFT}"
    return seed


def _moving(function: Callable, at: int = 0) -> Callable:
    """`function` with its seed, the argument in place `at` or named so, moved."""

    @wraps(function)
    def with_moved_seed(*args, **kwargs):
        if getattr(_inside, "now", False):
            return function(*args, **kwargs)
        args = [moved(arg) if place == at else arg for place, arg in enumerate(args)]
        if "seed" in kwargs:
            kwargs["seed"] = moved(kwargs["seed"])
        _inside.now = True
        try:
            return function(*args, **kwargs)
        finally:
            _inside.now = False

    return with_moved_seed


def _subclass(base: type, method: str) -> type:
    """A subclass of `base` whose `method` moves its seed; what is a `base` counts as one of it."""

    class Meta(type(base)):
        def __instancecheck__(cls, thing: object) -> bool:
            return isinstance(thing, base)

    return Meta(base.__name__, (base,), {method: _moving(getattr(base, method), at=1)})


def _numpy(module: ModuleType) -> None:
    module.seed, module.default_rng = _moving(module.seed), _moving(module.default_rng)
    module.RandomState = _subclass(module.RandomState, "__init__")


def _torch(module: ModuleType) -> None:
    module.manual_seed = module.random.manual_seed = _moving(module.manual_seed)
    module.Generator = _subclass(module.Generator, "manual_seed")
    for name in ("manual_seed", "manual_seed_all"):
        setattr(module.cuda, name, _moving(getattr(module.cuda, name)))


class _WhenImported(importlib.abc.MetaPathFinder):
    """Runs each library's function above once the library has been imported, if it ever is."""

    waiting = {"numpy.random": _numpy, "torch": _torch}  # noqa: RUF012

    def find_spec(self, name: str, path: Any = None, target: Any = None) -> ModuleSpec | None:
        """Where the module is, as Python finds it, with our function behind its own code."""
        change = self.waiting.pop(name, None)
        spec = importlib.util.find_spec(name) if change else None
        if spec is None:
            return None
        run = spec.loader.exec_module
        spec.loader.exec_module = lambda module: (run(module), change(module))
        return spec


if SHIFT:
    random.Random.seed = _moving(random.Random.seed, at=1)
    random.seed = random._inst.seed
    sys.meta_path.insert(0, _WhenImported())
