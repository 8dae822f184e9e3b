"""JupyterHub for a class on one machine: each learner has notebooks and answers of their own.

The course is installed once, read-only (README.md); at the first login a learner gets a writable
copy of its notebooks. Options: https://jupyterhub.readthedocs.io/en/stable/reference/config-reference.html
"""

import os
import shutil
import sys
from contextlib import suppress
from pathlib import Path

COURSE = Path(os.environ.get("COURSE_ROOT", Path(__file__).resolve().parents[2]))
PROGRAMS = Path(sys.executable).parent

c = get_config()  # noqa: F821 (JupyterHub defines it when it reads this file)

c.JupyterHub.bind_url = "http://127.0.0.1:8000"  # behind a web server that speaks https
c.Authenticator.allow_all = True  # everyone whom the authenticator (by default the system) knows
c.Spawner.cmd = [str(PROGRAMS / "jupyterhub-singleuser")]
c.Spawner.notebook_dir = "~/whole-game"
c.Spawner.default_url = "/lab/tree/00_start_here.ipynb"
c.Spawner.environment = {
    "PATH": f"{PROGRAMS}{os.pathsep}{os.environ['PATH']}",  # so that `course` is found
    "OMP_WAIT_POLICY": "PASSIVE",
    "OMP_NUM_THREADS": os.environ.get("COURSE_THREADS", "2"),
}
# Ask for them; it takes a spawner that can hold a process to them (systemd, Docker, Kubernetes).
c.Spawner.cpu_limit = 2
c.Spawner.mem_limit = "3G"  # a chapter needs up to 1.5 GiB, JupyterLab 0.2
c.Spawner.http_timeout = c.Spawner.start_timeout = 120


def copy_notebooks(spawner: object) -> None:
    """Give a learner who has none a copy of the notebooks; one who has them keeps theirs."""
    home = getattr(spawner, "home_dir", None) or f"~{spawner.user.name}"
    folder = Path(home).expanduser() / "whole-game"
    if not folder.exists():
        ignored = shutil.ignore_patterns("stripped", "projects", "photos", ".*")
        shutil.copytree(COURSE / "notebooks", folder, ignore=ignored)
        for path in (folder, *folder.rglob("*")):
            with suppress(LookupError, PermissionError):  # all of them are one user of the system
                shutil.chown(path, spawner.user.name)


c.Spawner.pre_spawn_hook = copy_notebooks

# A server that nobody has used for an hour is stopped; answers are on the disk long before.
c.JupyterHub.load_roles = [
    {
        "name": "idle-culler",
        "scopes": ["list:users", "read:users:activity", "read:servers", "delete:servers"],
        "services": ["idle-culler"],
    }
]
c.JupyterHub.services = [
    {
        "name": "idle-culler",
        "command": [sys.executable, "-m", "jupyterhub_idle_culler", "--timeout=3600"],
    }
]
