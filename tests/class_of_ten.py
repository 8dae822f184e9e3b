"""`make class`: ten learners on one JupyterHub answer at the same time. Is anything mixed or lost?

JupyterHub is started as deploy/jupyterhub says, but with its own SimpleLocalProcessSpawner (all as
one system user, each with a home of its own) and a log-in that takes any name. Each learner logs
in, has a server started, opens chapter 01's kernel and has five answers judged and kept.
"""

import argparse
import json
import os
import re
import subprocess
import sys
import time
import uuid
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from tempfile import TemporaryDirectory

import psutil
import requests
import websocket

from utils.common import free_port
from utils.paths import ROOT
from utils.quiz import load_bank
from utils.quiz.journal import Journal

SETTINGS = """
load_subconfig({config!r})
c.JupyterHub.bind_url = {address!r}
c.JupyterHub.hub_port = {hub}
c.ConfigurableHTTPProxy.api_url = "http://127.0.0.1:{proxy}"
c.JupyterHub.db_url = "sqlite:///{folder}/hub.sqlite"
c.JupyterHub.cookie_secret_file = "{folder}/secret"
c.JupyterHub.spawner_class = "simple"
c.SimpleLocalProcessSpawner.home_dir_template = "{folder}/homes/{{username}}"
c.JupyterHub.authenticator_class = "dummy"
c.Spawner.args = ["--allow-root"]
c.JupyterHub.log_level = "WARN"
"""
ANSWER = """
from utils.quiz import load_bank
from utils.quiz.widget import Quiz
questions = [q for q in load_bank().for_notebook("01_pet_classifier") if q.kind == "short"][:5]
quiz = Quiz("Class", questions)
for question in questions:
    quiz.respond({{"do": "check", "id": question.id, "answer": "{name} says " + question.answer}})
quiz.notice
"""


class Learner:
    """Somebody with a browser, as far as the hub can tell."""

    def __init__(self, hub: str, name: str) -> None:
        self.hub, self.name, self.session = hub, name, requests.Session()

    def headers(self) -> dict[str, str]:
        return {"X-XSRFToken": self.session.cookies.get("_xsrf", path=self.server) or ""}

    @property
    def server(self) -> str:
        return f"/user/{self.name}/"

    def log_in(self) -> None:
        """Log in and wait for a server of one's own."""
        page = self.session.get(f"{self.hub}/hub/login")
        token = re.search(r'name="_xsrf" value="([^"]+)"', page.text)[1]
        form = {"username": self.name, "password": "any", "_xsrf": token}
        self.session.post(f"{self.hub}/hub/login", data=form).raise_for_status()
        self.session.get(f"{self.hub}/hub/spawn").raise_for_status()
        for _ in range(240):
            page = self.session.get(f"{self.hub}{self.server}lab")  # by way of the hub's log-in
            if page.ok and page.url.startswith(f"{self.hub}{self.server}lab"):
                return
            time.sleep(0.5)
        raise TimeoutError(f"{self.name} got no server")

    def answer_five(self) -> str:
        """Open chapter 01's kernel, have five answers judged, and return what the cell says."""
        body = {"path": "01_pet_classifier.ipynb", "type": "notebook", "name": "",
                "kernel": {"name": "python3"}}  # fmt: skip
        made = self.session.post(
            f"{self.hub}{self.server}api/sessions", json=body, headers=self.headers()
        )
        made.raise_for_status()
        kernel = made.json()["kernel"]["id"]
        address = f"{self.hub}{self.server}api/kernels/{kernel}/channels".replace("http", "ws", 1)
        cookies = "; ".join(f"{cookie.name}={cookie.value}" for cookie in self.session.cookies)
        socket = websocket.create_connection(address, cookie=cookies, timeout=180)
        content = {"code": ANSWER.format(name=self.name), "silent": False, "store_history": False}
        header = {"msg_id": uuid.uuid4().hex, "msg_type": "execute_request", "version": "5.3",
                  "username": self.name, "session": uuid.uuid4().hex}  # fmt: skip
        socket.send(json.dumps({"header": header, "parent_header": {}, "metadata": {},
                                "content": content, "channel": "shell"}))  # fmt: skip
        while True:
            message = json.loads(socket.recv())
            if message["parent_header"].get("msg_id") != header["msg_id"]:
                continue
            if message["msg_type"] == "execute_reply":
                socket.close()
                return message["content"]["status"]


def wait_for(address: str) -> None:
    """Until the hub answers."""
    for _ in range(240):
        try:
            if requests.get(f"{address}/hub/login", timeout=5).ok:
                return
        except requests.ConnectionError:
            pass
        time.sleep(0.5)
    raise TimeoutError("the hub did not start")


def memory(folder: str) -> dict[str, float]:
    """GiB that each learner's processes hold, told apart by their home."""
    held: dict[str, float] = {}
    for process in psutil.process_iter():
        try:
            home = process.environ().get("HOME", "")
            if home.startswith(f"{folder}/homes/"):
                name = Path(home).name
                held[name] = held.get(name, 0) + process.memory_full_info().uss / 2**30
        except psutil.Error:
            continue
    return held


def main() -> int:
    """Print what became of every answer."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--learners", type=int, default=10)
    names = [f"learner{n:02}" for n in range(parser.parse_args().learners)]
    with TemporaryDirectory() as folder:
        ports = {"hub": free_port(), "proxy": free_port()}
        address = f"http://127.0.0.1:{free_port()}"
        config = ROOT / "deploy" / "jupyterhub" / "jupyterhub_config.py"
        settings = Path(folder, "settings.py")
        text = SETTINGS.format(config=str(config), address=address, folder=folder, **ports)
        settings.write_text(text)
        command = [sys.executable, "-m", "jupyterhub", f"--config={settings}"]
        environment = {**os.environ, "COURSE_ROOT": str(ROOT)}
        with subprocess.Popen(command, cwd=folder, env=environment) as hub:
            wait_for(address)
            learners = [Learner(address, name) for name in names]
            began = time.monotonic()
            with ThreadPoolExecutor(len(learners)) as pool:
                list(pool.map(Learner.log_in, learners))
                print(f"{len(names)} servers started after {time.monotonic() - began:.0f} s")
                began = time.monotonic()
                said = list(pool.map(Learner.answer_five, learners))
            print(f"five answers each after {time.monotonic() - began:.0f} s; cells: {said}")
            held = sorted(memory(folder).values())
            print(f"memory of each: {held[0]:.2f} to {held[-1]:.2f} GiB")
            hub.terminate()
        bank, lost, mixed = load_bank(), 0, 0
        for name in names:
            found = list(Path(folder, "homes", name).rglob("answers.sqlite3"))
            kept = Journal(found[0]).latest_all() if found else {}
            lost += 5 - len(kept)
            mixed += sum(not answer.answer.startswith(f"{name} says ") for answer in kept.values())
            assert all(id in bank for id in kept)
        print(f"{5 * len(names)} answers: {lost} lost, {mixed} in another's journal")
        return int(lost + mixed > 0 or set(said) != {"ok"})


if __name__ == "__main__":
    sys.exit(main())
