"""A small drawing engine: animals made of blended 3D parts, furred, lit and set in a scene.

`render(scene, seed)` draws a `Scene`; `breeds.BREEDS` is the table of animals it knows.
Needs numpy and Pillow only. The same scene and seed give the same pixels.
"""

from .breeds import BREEDS
from .render import Rendering, render
from .scene import CONDITIONS, Animal, Background, Light, Occluder, Pose, Scene

__all__ = [
    "BREEDS",
    "CONDITIONS",
    "Animal",
    "Background",
    "Light",
    "Occluder",
    "Pose",
    "Rendering",
    "Scene",
    "render",
]
