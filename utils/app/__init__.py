"""A trained model as files that run no code when they are read, and the app that serves it.

`save` writes the model's folder and needs PyTorch; `manifest` checks it, `predictor` answers from
it, `dropzone` takes a visitor's pictures, `server` serves the notebook that holds both, `export`
writes all that as a folder of its own. None of these five needs PyTorch.
"""

from pathlib import Path

from utils.app.manifest import MANIFEST, DeployError


def app_model(name: str) -> Path:
    """The folder `model` beside the app, as an exported app has it, or else the course's own.

    Raises `DeployError` when there is neither.
    """
    beside = Path("model")
    return beside if (beside / MANIFEST).exists() else course_model(name)


def course_model(name: str) -> Path:
    """The learner's own model of this name; raises `DeployError` when there is none yet."""
    from utils.paths import model_folder  # not part of an exported app

    folder = model_folder(name)
    if not (folder / MANIFEST).exists():
        raise DeployError(
            f"There is no {name.removesuffix('s')} model on this computer yet: run chapter 04 down "
            "to A safer export, or type `course app`, which trains one."
        )
    return folder
