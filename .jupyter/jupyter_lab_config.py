"""JupyterLab as a quiet room: the course's notebooks in the file list, and nothing that pops up."""

import os
from pathlib import Path

from utils.paths import NOTEBOOKS, path_with_course

c = get_config()  # noqa: F821 (Jupyter defines it when it reads this file)
os.environ["PATH"] = path_with_course()  # so that kernels and terminals find `course`

c.ServerApp.root_dir = str(NOTEBOOKS)
c.ServerApp.ip = "127.0.0.1"
c.LabApp.default_url = "/lab/tree/00_start_here.ipynb"
c.LabApp.app_settings_dir = str(Path(__file__).resolve().parent / "settings")
c.LabApp.news_url = None
c.LabApp.check_for_updates_class = "jupyterlab.NeverCheckForUpdate"
c.LabApp.extension_manager = "readonly"  # installing extensions needs a network, and is not needed
# Photos of more than 10 MB, tornado's default, would be dropped without a word on upload.
c.ServerApp.tornado_settings = {"websocket_max_message_size": 128 * 2**20}
