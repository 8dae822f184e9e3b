"""JupyterLab as a quiet room: the course's notebooks in the file list, and nothing that pops up."""

from pathlib import Path

c = get_config()  # noqa: F821 (Jupyter defines it when it reads this file)
here = Path(__file__).resolve().parent

c.ServerApp.root_dir = str(here.parent / "notebooks")
c.ServerApp.ip = "127.0.0.1"
c.LabApp.default_url = "/lab/tree/00_start_here.ipynb"
c.LabApp.app_settings_dir = str(here / "settings")
c.LabApp.news_url = None
c.LabApp.check_for_updates_class = "jupyterlab.NeverCheckForUpdate"
