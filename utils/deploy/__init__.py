"""A trained model as files that run no code when they are read, and the answers of such a model.

`export` writes the folder and needs PyTorch; `predictor` answers from it and does not.
"""

from utils.deploy.manifest import DeployError, set_threshold

__all__ = ["DeployError", "set_threshold"]
