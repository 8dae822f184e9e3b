"""Many visitors at once: `python tests/load_app.py` has 20 of them send 20 pictures each.

A visitor here speaks what a browser speaks: it asks for the page, opens the page's kernel channel,
and sends pictures to the widget one after another, as `dropzone.js` does.
"""

import argparse
import asyncio
import json
import os
import re
import secrets
import shutil
import socket
import subprocess
import sys
import tempfile
import time
import uuid
from collections.abc import Coroutine, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import psutil
from jupyter_server.services.kernels.connection.base import (
    deserialize_msg_from_ws_v1,
    serialize_msg_to_ws_v1,
)
from tornado.httpclient import AsyncHTTPClient, HTTPRequest
from tornado.websocket import WebSocketClientConnection, websocket_connect

from utils.app import course_model
from utils.app.predictor import Prediction, Predictor
from utils.common import free_port
from utils.data import dataset
from utils.paths import path_with_course

PROTOCOL = "v1.kernel.websocket.jupyter.org"
KERNEL = re.compile(r'"kernelId": "([\w-]+)"')
WIDGET = re.compile(r'"application/vnd.jupyter.widget-view\+json": \{"model_id": "(\w+)"')
START = 300  # seconds a server may take to answer: it may train a model first
SAME = 1e-5  # between a probability from the app and the same one from a Predictor here


def in_own_loop(coroutine: Coroutine) -> object:
    """What `coroutine` returns, from a thread: Playwright keeps a loop running in this one."""
    with ThreadPoolExecutor(1) as pool:
        return pool.submit(asyncio.run, coroutine).result()


@dataclass
class Server:
    """A running app."""

    url: str
    token: str
    process: psutil.Process
    log: Path
    page: str = "/"

    @property
    def address(self) -> str:
        """What a visitor types."""
        return f"{self.url}{self.page}" + (f"?token={self.token}" if self.token else "")

    def kernels(self) -> list[psutil.Process]:
        """The visitors' processes."""
        return [child for child in self.process.children() if _is_kernel(child)]


def _is_kernel(process: psutil.Process) -> bool:
    try:
        return "ipykernel_launcher" in " ".join(process.cmdline())
    except psutil.Error:  # it has just ended
        return False


@contextmanager
def running(
    command: Sequence[str],
    folder: Path,
    token: str = "",
    cwd: Path | None = None,
    **environment: str,
) -> Iterator[Server]:
    """The app as `command` starts it, with a free port added; stopped at the end of the block.

    `folder` takes its log and what Jupyter writes; `cwd` is where the command runs.
    """
    port, log = free_port(), folder / "app.log"
    jupyter = folder / "jupyter"  # nothing of the user's own settings
    own = {f"JUPYTER_{name}_DIR": str(jupyter / name) for name in ("CONFIG", "DATA", "RUNTIME")}
    own |= {"IPYTHONDIR": str(folder / "ipython"), "JUPYTER_TOKEN": token}
    with log.open("w") as output:
        process = subprocess.Popen(
            [*command, "--port", str(port)],
            env=os.environ | own | environment,
            cwd=cwd,
            stdout=output,
            stderr=subprocess.STDOUT,
        )
    server = Server(f"http://127.0.0.1:{port}", token, psutil.Process(process.pid), log)
    try:
        _wait_until_it_listens(port, process, log)
        yield server
    finally:
        process.terminate()
        try:
            process.wait(timeout=30)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def _wait_until_it_listens(port: int, process: subprocess.Popen, log: Path) -> None:
    deadline = time.monotonic() + START
    while time.monotonic() < deadline and process.poll() is None:
        with socket.socket() as probe:
            if probe.connect_ex(("127.0.0.1", port)) == 0:
                return
        time.sleep(0.2)  # there is nothing to wait on before the port is open
    raise RuntimeError(f"The app did not start:\n{log.read_text()}")


@contextmanager
def course_app(model: Path, folder: Path) -> Iterator[Server]:
    """`course app` with `model` as the learner's own."""
    home = folder / "home"
    shutil.copytree(model, home / "models" / "bears")
    course = shutil.which("course", path=path_with_course())
    command = [course, "app", "--no-browser"]
    with running(command, folder, secrets.token_hex(16), COURSE_HOME=str(home)) as server:
        yield server


class Visitor:
    """One page of the app, without the browser."""

    def __init__(self, server: Server) -> None:
        """Nothing is asked of the server before `open`."""
        self._server = server
        self._asked = 0

    async def open(self) -> None:
        """Ask for the page, and join its kernel."""
        request = HTTPRequest(self._server.address, request_timeout=300)
        page = (await AsyncHTTPClient(max_clients=100).fetch(request)).body.decode()
        self.kernel = KERNEL.search(page)[1]
        self.widget = WIDGET.search(page)[1]
        self.channel = await self.connect()

    async def connect(self, protocol: str | None = PROTOCOL) -> WebSocketClientConnection:
        """A channel to the visitor's kernel, in Jupyter's binary protocol or its older JSON one."""
        url = self._server.url.replace("http", "ws")
        query = f"session_id={uuid.uuid4().hex}&token={self._server.token}"
        return await websocket_connect(
            f"{url}/api/kernels/{self.kernel}/channels?{query}",
            subprotocols=[protocol] if protocol else None,
            max_message_size=1 << 26,
        )

    def message(self, kind: str, content: dict) -> dict:
        """A message as Jupyter has them."""
        header = {"msg_id": uuid.uuid4().hex, "msg_type": kind, "username": "", "version": "5.4"}
        header |= {"session": "visitor", "date": "2026-01-01T00:00:00Z"}
        return {"header": header, "parent_header": {}, "metadata": {}, "content": content}

    async def send(self, message: dict, buffers: Sequence[bytes] = (), on: str = "shell") -> None:
        """Send a message in the binary protocol."""
        parts = [json.dumps(part).encode() for part in message.values()]
        await self.send_raw(serialize_msg_to_ws_v1([*parts, *buffers], on))

    async def send_raw(self, raw: bytes) -> None:
        """Send what is a message already, or is not."""
        await self.channel.write_message(raw, binary=True)

    async def receive(self) -> tuple[dict, dict, list[bytes]]:
        """The next message: its header, its content, its buffers."""
        raw = await self.channel.read_message()
        if raw is None:
            raise ConnectionError("the server closed the channel")
        _, (header, _, _, content, *buffers) = deserialize_msg_from_ws_v1(raw)
        return json.loads(header), json.loads(content), buffers

    async def ask(self, content: dict, buffers: Sequence[bytes] = ()) -> tuple[dict, list[bytes]]:
        """Say something to the widget, and wait for its reply to it."""
        self._asked += 1
        question = {"do": "take", "nr": self._asked, **content}
        data = {"method": "custom", "content": question}
        message = self.message("comm_msg", {"comm_id": self.widget, "data": data})
        await self.send(message, buffers)
        while True:
            header, said, found = await self.receive()
            if header["msg_type"] == "comm_msg" and said["comm_id"] == self.widget:
                reply = said["data"].get("content", {})
                if reply.get("nr") == self._asked:
                    return reply, found

    async def show(self, name: str, content: bytes) -> tuple[dict, list[bytes]]:
        """Send a picture as the page does, and return the answer."""
        return await self.ask({"name": name, "size": len(content)}, [content])

    async def leave(self) -> None:
        """Close the page's channel."""
        self.channel.close()


@dataclass
class Load:
    """What came of many visitors."""

    answers: dict[Path, dict] = field(default_factory=dict)
    seconds: list[float] = field(default_factory=list)  # each picture's, from sending to answer
    kernels: list[int] = field(default_factory=list)  # bytes each, with all of them at work


def visit(server: Server, pictures: Sequence[Sequence[Path]]) -> Load:
    """A visitor for each list of pictures, all at the same time."""
    load = Load()

    async def one(files: Sequence[Path]) -> Visitor:
        visitor = Visitor(server)
        await visitor.open()
        for file in files:
            begun = time.perf_counter()
            load.answers[file], _ = await visitor.show(file.name, file.read_bytes())
            load.seconds.append(time.perf_counter() - begun)
        return visitor

    async def all_of_them() -> None:
        visitors = await asyncio.gather(*map(one, pictures))
        load.kernels = [process.memory_full_info().uss for process in server.kernels()]
        for visitor in visitors:
            await visitor.leave()

    in_own_loop(all_of_them())
    return load


def compare(load: Load, expected: dict[Path, Prediction]) -> tuple[list[str], list[str]]:
    """The names of the pictures without an answer, and of those that got another answer."""
    lost, wrong = [], []
    for file, prediction in expected.items():
        bars = dict(load.answers.get(file, {}).get("bars", []))
        if list(bars) != list(prediction.probabilities):
            lost.append(file.name)
        elif max(abs(bars[label] - p) for label, p in prediction.probabilities.items()) > SAME:
            wrong.append(file.name)
    return lost, wrong


def distinct(expected: dict[Path, Prediction]) -> bool:
    """Whether no two of these answers are so alike that they could be exchanged unnoticed."""
    rows = np.array([list(p.probabilities.values()) for p in expected.values()])
    apart = np.abs(rows[:, None] - rows[None]).max(2) + np.eye(len(rows))
    return bool(apart.min() > 2 * SAME)


def choose(predictor: Predictor, count: int) -> dict[Path, Prediction]:
    """`count` pictures of the course that the model answers in as many different ways."""
    chosen: dict[Path, Prediction] = {}
    rows = np.empty((0, len(predictor.vocab)))
    for file in sorted((dataset("pets") / "images").glob("*.jpg")):
        (prediction,) = predictor.predict([file])
        row = np.array(list(prediction.probabilities.values()))
        if len(rows) == 0 or np.abs(rows - row).max(1).min() > 2 * SAME:
            rows = np.vstack([rows, row])
            chosen[file] = prediction
        if len(chosen) == count:
            return chosen
    raise ValueError(f"only {len(chosen)} pictures have different answers; {count} were asked for")


def share(pictures: Sequence[Path], visitors: int) -> list[list[Path]]:
    """As many for each visitor."""
    return [list(pictures[at::visitors]) for at in range(visitors)]


def main() -> None:
    """The load test at full size, on the learner's own model or on one given."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--visitors", type=int, default=20)
    parser.add_argument("--pictures", type=int, default=20, help="of each visitor")
    parser.add_argument("--model", type=Path, help="a saved model (default: your own)")
    options = parser.parse_args()
    model = options.model or course_model("bears")
    expected = choose(Predictor(model), options.visitors * options.pictures)
    with tempfile.TemporaryDirectory() as folder, course_app(model, Path(folder)) as server:
        load = visit(server, share(list(expected), options.visitors))
    lost, wrong = compare(load, expected)
    median, most, worst = np.percentile(load.seconds, [50, 95, 100])
    print(f"pictures answered  {len(load.answers)} of {len(expected)}")
    print(f"lost, crossed      {len(lost)}, {len(wrong)} {[*lost, *wrong] or ''}")
    print(f"each picture       median {median:.2f} s, 95% within {most:.2f} s, worst {worst:.2f} s")
    print(f"memory             at most {max(load.kernels) / 1e6:.0f} MB of a visitor's own")
    sys.exit(bool(lost or wrong))


if __name__ == "__main__":
    main()
