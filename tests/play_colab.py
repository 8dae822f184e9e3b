"""`make colab`: does a chapter run on Colab, opened from its page alone, and is its PyTorch kept?

An environment with Colab's versions (colab.txt), an empty working folder, a home of its own, the
course's last commit served by git on this machine, and a plain ipykernel. `CHAPTERS=01,06` for
others than chapter 01; `PYTHON=python3.13` for another Python than Colab's 3.12.
"""

import json
import os
import shutil
import subprocess
import sys
import time
from pathlib import Path
from tempfile import TemporaryDirectory

import nbformat
from nbclient import NotebookClient
from nbclient.exceptions import CellExecutionError

from deploy.hosts import hosted
from utils.common import free_port
from utils.paths import ROOT, chapter

VERSIONS = Path(__file__).with_name("colab.txt")


def packages(python: Path) -> dict[str, str]:
    """What is installed, name and version."""
    command = [python, "-m", "pip", "list", "--format=json"]
    listed = json.loads(subprocess.run(command, capture_output=True, check=True).stdout)
    return {row["name"]: row["version"] for row in listed}


def environment(folder: Path) -> Path:
    """An interpreter among Colab's versions, in `folder`; wheels for NVIDIA come with them."""
    uv = [shutil.which("uv") or sys.exit("uv is not on the PATH: pip install uv")]
    version = os.environ.get("PYTHON", "python3.12")
    python = folder / "bin" / "python"
    subprocess.run([*uv, "venv", "--quiet", "--python", version, folder], check=True)
    command = [*uv, "pip", "install", "--quiet", "--python", python, "--requirements", VERSIONS]
    subprocess.run(command, check=True)
    return python


def run(page: Path, repository: str, folder: Path) -> None:
    """Run the page as Colab would, and say what came of it; raises at the cell that fails."""
    notebook = hosted(nbformat.read(page, as_version=4), repository)
    here, home = folder / "content", folder / "home"
    here.mkdir(exist_ok=True)
    home.mkdir(exist_ok=True)
    env = {name: value for name, value in os.environ.items() if not name.startswith("COURSE_")}
    for name in ("PYTHONPATH", "VIRTUAL_ENV"):
        env.pop(name, None)
    env |= {"HOME": str(home), "COLAB_RELEASE_TAG": "played", "COURSE_DEVICE": "cpu"}
    client = NotebookClient(
        notebook, timeout=1800, kernel_name="played", resources={"metadata": {"path": str(here)}}
    )
    began = time.monotonic()
    client.on_cell_executed = lambda cell_index, **_: (
        cell_index == 0
        and print(
            f"first cell: {time.monotonic() - began:.0f} s",
            *(output.get("text", "") for output in notebook.cells[0].outputs),
            sep="\n",
        )
    )
    client.execute(env=env)
    count = sum(cell.cell_type == "code" for cell in notebook.cells)
    print(f"{page.stem}: {count} cells in {time.monotonic() - began:.0f} s", flush=True)


def main() -> int:
    """Print cells, seconds, what was installed; 1 if a cell failed or a package was replaced."""
    with TemporaryDirectory(prefix="played-colab-") as name:
        folder = Path(name)
        python = environment(folder / "env")
        spec = folder / "jupyter" / "kernels" / "played" / "kernel.json"
        spec.parent.mkdir(parents=True)
        argv = [str(python), "-m", "ipykernel_launcher", "-f", "{connection_file}"]
        spec.write_text(json.dumps({"argv": argv, "display_name": "", "language": "python"}))
        os.environ["JUPYTER_PATH"] = str(folder / "jupyter")
        subprocess.run(
            ["git", "clone", "--quiet", "--bare", ROOT, folder / "git" / "course"], check=True
        )
        port, before, failed = free_port(), packages(python), False
        daemon = ["git", "daemon", "--export-all", "--reuseaddr", "--listen=127.0.0.1",
                  f"--port={port}", f"--base-path={folder / 'git'}"]  # fmt: skip
        with subprocess.Popen(daemon) as server:
            try:
                for number in os.environ.get("CHAPTERS", "01").split(","):
                    run(chapter(number), f"git://127.0.0.1:{port}/course", folder)
            except CellExecutionError as error:
                print(error)
                failed = True
            server.terminate()
        after = packages(python)
    replaced = [f"{name} {before[name]}" for name in before if after.get(name) != before[name]]
    added = [f"{name} {after[name]}" for name in sorted(after.keys() - before.keys())]
    print(f"torch {after['torch']}, torchvision {after['torchvision']}, numpy {after['numpy']}, "
          f"pandas {after['pandas']}; {len(before)} packages were there, replaced: "
          f"{', '.join(replaced) or 'none'}\n{len(added)} came: {', '.join(added)}")  # fmt: skip
    return int(failed or bool(replaced))


if __name__ == "__main__":
    sys.exit(main())
