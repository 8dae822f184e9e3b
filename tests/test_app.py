"""The bear app: who can do what on its server, what its commands say, the folder it exports."""

import asyncio
import json
import os
import re
import shutil
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from importlib.metadata import version
from pathlib import Path

import nbformat
import pytest
import torch
from fastai.torch_core import defaults
from jupyter_server.services.kernels.connection.base import (
    deserialize_msg_from_ws_v1,
    serialize_msg_to_ws_v1,
)
from tornado.httpclient import HTTPClientError
from tornado.websocket import WebSocketClosedError

from tests import load_app
from tests.exported_app import exported, run
from tests.load_app import (
    Visitor,
    choose,
    compare,
    course_app,
    distinct,
    in_own_loop,
    running,
    share,
    visit,
)
from tests.pins import EXPORTED_HEADER
from tests.small_model import small_model, some_pictures
from tests.typed import course
from utils.app import server as app_server
from utils.app.export import MARKER, NOTEBOOK, export_app
from utils.app.manifest import DeployError
from utils.app.predictor import Predictor
from utils.common import CourseError, free_port
from utils.paths import ROOT


@pytest.fixture(scope="module")
def predictor():
    return Predictor(small_model())


@pytest.fixture(scope="module")
def server(tmp_path_factory):
    with course_app(small_model(), tmp_path_factory.mktemp("app")) as running_server:
        yield running_server


@pytest.fixture
def home(tmp_path, monkeypatch):
    """A learner's home with a model in it."""
    shutil.copytree(small_model(), tmp_path / "home" / "models" / "bears")
    monkeypatch.setenv("COURSE_HOME", str(tmp_path / "home"))
    return tmp_path / "home"


# --- the server -----------------------------------------------------------------------------


def test_visitors_at_once_get_their_own_answers(server, predictor):
    expected = choose(predictor, 20)
    assert distinct(expected)
    load = visit(server, share(list(expected), 4))
    assert len(load.answers) == 20
    assert compare(load, expected) == ([], [])
    assert len(load.kernels) >= 4  # a process each


def test_compare_notices_a_lost_and_a_crossed_answer(predictor):
    expected = choose(predictor, 4)
    a, b, c, d = expected
    bars = {file: list(expected[file].probabilities.items()) for file in expected}
    load = load_app.Load(answers={a: {"bars": bars[b]}, b: {"bars": bars[a]}, c: {"bars": bars[c]}})
    assert compare(load, expected) == ([d.name], [a.name, b.name])


def requests_to_run(canary):
    """Messages by which Jupyter's clients run code or look into a kernel."""
    code = f"open({str(canary)!r}, 'w').write('ran')"
    run = {"code": code, "silent": False, "store_history": False, "user_expressions": {"x": code},
           "allow_stdin": False, "stop_on_error": True}  # fmt: skip
    past = {"hist_access_type": "tail", "n": 9, "output": True, "raw": True}
    evaluate = {"seq": 1, "type": "request", "command": "evaluate"}
    return [
        *(("execute_request", channel, run) for channel in ("shell", "control", "stdin")),
        ("inspect_request", "shell", {"code": "predictor", "cursor_pos": 3, "detail_level": 1}),
        ("complete_request", "shell", {"code": "predictor.", "cursor_pos": 10}),
        ("history_request", "shell", past),
        ("is_complete_request", "shell", {"code": code}),
        ("input_reply", "stdin", {"value": code}),
        ("debug_request", "control", evaluate | {"arguments": {"expression": code}}),
        ("create_subshell_request", "control", {}),
    ]


async def admitted(server):
    """A visitor who is let in. That a kernel has ended, the server hears later than psutil."""
    deadline = time.monotonic() + 60
    while True:
        visitor = Visitor(server)
        try:
            await visitor.open()
        except HTTPClientError as error:
            if error.code != 503 or time.monotonic() > deadline:
                raise
            await asyncio.sleep(0.5)
        else:
            return visitor


async def try_to_run(server, canary):
    """Send all of them in both of Jupyter's protocols; return the kinds of messages that came."""
    visitor = await admitted(server)
    for kind, channel, content in requests_to_run(canary):
        await visitor.send(visitor.message(kind, content), on=channel)
        # a header that says two things: which of them is believed?
        parts = [json.dumps(part).encode() for part in visitor.message(kind, content).values()]
        parts[0] = parts[0].replace(b'"msg_type"', b'"msg_type": "comm_info_request", "msg_type"')
        await visitor.send_raw(serialize_msg_to_ws_v1(parts, channel))
    kinds = await heard(visitor)
    visitor.channel = await visitor.connect(protocol=None)
    for kind, channel, content in requests_to_run(canary):
        message = visitor.message(kind, content) | {"channel": channel, "buffers": []}
        await visitor.channel.write_message(json.dumps(message))
        disguised = visitor.message("comm_info_request", content)
        disguised |= {"channel": channel, "buffers": [], "msg_type": kind}
        await visitor.channel.write_message(json.dumps(disguised))
    return kinds | await heard(visitor, older=True)


async def heard(visitor, older=False):
    """The kinds of messages that come up to the answers to two last, harmless questions.

    With these the kernel proves that it has been through all that was sent before.
    """
    waiting, kinds = set(), set()
    for channel in ("shell", "control"):
        question = visitor.message("kernel_info_request", {})
        waiting.add(question["header"]["msg_id"])
        if older:
            await visitor.channel.write_message(json.dumps(question | {"channel": channel}))
        else:
            await visitor.send(question, on=channel)
    while waiting:
        raw = await visitor.channel.read_message()
        if older:
            message = json.loads(raw)
            header, parent = message["header"], message["parent_header"]
        else:
            header, parent, *_ = map(json.loads, deserialize_msg_from_ws_v1(raw)[1][:4])
        kinds.add(header["msg_type"])
        if header["msg_type"] == "kernel_info_reply":
            waiting.discard(parent["msg_id"])
    return kinds


def test_a_visitor_can_run_no_code(server, tmp_path):
    canary = tmp_path / "canary"
    kinds = in_own_loop(try_to_run(server, canary))
    assert not canary.exists()
    assert kinds <= {"kernel_info_reply", "status", "comm_info_reply"}


# One visitor at a time, forgotten seconds after the page is gone; and Voilà without its rule.
UNSAFE = """
import voila.app
made = voila.app.voila_kernel_manager_factory
def factory(*args, **options):
    class Trusting(made(*args, **options)):
        def __init__(self, allowed_message_types, **options):
            super().__init__(**options)
    return Trusting
voila.app.voila_kernel_manager_factory = factory
import utils.app.server as server
server.MAX_VISITORS, server.CULL_AFTER, server.CULL_EVERY = 1, 5, 1
server.main()
"""


@pytest.fixture(scope="module")
def unsafe(tmp_path_factory):
    folder = tmp_path_factory.mktemp("unsafe")
    shutil.copytree(small_model(), folder / "model")
    shutil.copy(NOTEBOOK, folder)
    command = [sys.executable, "-c", UNSAFE, NOTEBOOK.name]
    with running(command, folder, cwd=folder) as running_server:
        yield running_server


def test_a_full_app_says_so_and_has_room_again_when_a_page_is_gone(unsafe):
    async def come_and_go():
        visitor = Visitor(unsafe)
        await visitor.open()
        code, _, text = await asyncio.to_thread(status, unsafe, "/")
        await visitor.leave()  # as when a phone loses its network: nobody says goodbye
        return code, text, len(unsafe.kernels())

    code, text, kernels = in_own_loop(come_and_go())
    assert (code, kernels) == (503, 1)
    assert app_server.FULL in text
    deadline = time.monotonic() + 120
    while unsafe.kernels() and time.monotonic() < deadline:
        time.sleep(0.5)
    assert not unsafe.kernels()


def test_the_same_attempts_run_code_where_voila_does_not_filter_messages(unsafe, tmp_path):
    canary = tmp_path / "canary"
    kinds = in_own_loop(try_to_run(unsafe, canary))
    assert canary.exists()
    assert {"execute_reply", "inspect_reply", "complete_reply", "debug_reply"} <= kinds


def test_a_message_of_any_size_does_not_reach_the_kernel(server):
    async def send():
        visitor = Visitor(server)
        await visitor.open()
        huge = [bytes((10 << 20) + 1)]
        with pytest.raises((ConnectionError, WebSocketClosedError)):
            await visitor.ask({"name": "a.jpg", "size": 1}, huge)

    in_own_loop(send())


class NoRedirect(urllib.request.HTTPRedirectHandler):
    def redirect_request(self, *_):
        return None


def status(server, path, method="GET", token=True, **headers):
    """What the server says to a request."""
    if token:
        headers |= {"Authorization": f"token {server.token}"}
    request = urllib.request.Request(server.url + path, method=method, headers=headers)
    opener = urllib.request.build_opener(NoRedirect)
    try:
        with opener.open(request, timeout=30) as answer:
            return answer.status, answer.headers, answer.read().decode()
    except urllib.error.HTTPError as error:
        return error.code, error.headers, error.read().decode()


PATHS = [
    "/api/contents", "/api/contents/bear_classifier.ipynb", "/api/terminals", "/api/kernels",
    "/login", "/logout", "/api/sessions", "/api/kernelspecs", "/api/config/x", "/api/status",
    "/files/bear_classifier.ipynb", "/terminals/1", "/lab", "/tree", "/voila/tree",
    "/voila/render/bear_classifier.ipynb", "/voila/api/contents", "/bear_classifier.ipynb",
    "/voila/execution/00000000-0000-0000-0000-000000000000", "/../../README.md", "/README.md",
    "/voila/files/bear_classifier.ipynb", "/voila/files/../../../README.md",
    "/voila/files/%2e%2e/%2e%2e/README.md", "/voila/static//etc/passwd",
    "/voila/static/../../../../../../../../../../etc/passwd",
    "/voila/templates/course/static/../page.css", "/voila/templates/../static/x",
    "/voila/labextensions/../../../etc/passwd", "/voila/api/themes/../../../../etc/passwd",
]  # fmt: skip


def test_nothing_but_the_page_is_served(server):
    before = len(server.kernels())
    for path in PATHS:
        for method in ("GET", "POST"):
            code, headers, text = status(server, path, method)
            elsewhere = code == 302 and status(server, headers["Location"])[0]
            assert (elsewhere or code) >= 400, (path, method, code)
            assert "root:" not in text and "nbformat" not in text
    assert len(server.kernels()) == before


def test_only_who_has_the_address_gets_in(server):
    before = len(server.kernels())
    code, _, text = status(server, "/", token=False)
    assert code == 403 and app_server.NO_TOKEN in text
    assert status(server, "/login", "POST", token=False)[0] in (403, 404, 405)
    assert status(server, "/", Host="evil.example")[0] == 403
    assert len(server.kernels()) == before


def test_the_page_may_load_nothing_from_elsewhere(server):
    code, headers, page = status(server, "/")
    assert code == 200
    assert "default-src 'self'" in headers["Content-Security-Policy"]
    assert headers["Content-Security-Policy"].endswith("; frame-ancestors 'self'")
    assert not [part for part in page.split('"') if part.startswith(("http:", "https:", "//"))]
    assert str(Path.home()) not in page


# --- the commands ---------------------------------------------------------------------------


def test_a_port_that_is_taken_is_a_sentence(home):
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = str(taken.getsockname()[1])
        said = course("app", "--no-browser", "--port", port)
    assert (said.status, said.errors) == (
        1,
        f"Port {port} is taken, perhaps by an app still running: choose another with --port.\n",
    )


def test_a_model_that_was_changed_is_not_served(home):
    model = home / "models" / "bears" / "model.onnx"
    model.write_bytes(model.read_bytes()[:-1] + b"\0")
    said = course("app", "--no-browser", "--port", free_port())
    assert said.status == 1 and said.errors.count("\n") == 1
    assert "model.onnx is not the file that was saved" in said.errors


def test_without_a_model_one_is_trained_first_on_the_device_that_was_asked_for(
    own_folders, monkeypatch
):
    served, trained_on = [], []
    monkeypatch.setattr("utils.bears.train_bears", lambda: trained_on.append(defaults.use_cuda))
    monkeypatch.setattr(
        "utils.app.save.save_model",
        lambda learn, folder, subject: shutil.copytree(small_model(), folder),
    )
    monkeypatch.setattr(app_server, "serve", lambda *args, **more: served.append((args, more)))
    monkeypatch.setattr(defaults, "use_cuda", None)  # what a fresh process has: a card, if any
    if not torch.cuda.is_available():
        monkeypatch.setenv("COURSE_DEVICE", "CUDA")
        assert "finds no CUDA card" in course("app", "--port", free_port()).errors
    monkeypatch.setenv("COURSE_DEVICE", "cpu")
    port = free_port()
    for times in ("first", "second"):
        said = course("app", "--port", port)
        assert ("no bear model on this computer yet. Training" in said.out) == (times == "first")
    assert trained_on == [False]
    assert served == 2 * [((NOTEBOOK, port), {"browser": True})]


def test_predict_answers_every_file_and_fails_when_one_is_no_picture(home, tmp_path, predictor):
    good, red = some_pictures()[0], tmp_path / "red\x1b[31m.jpg"
    shutil.copy(good, red)
    (tmp_path / "note.jpg").write_text("A note.")
    said = course("predict", good, tmp_path / "note.jpg", "nowhere.jpg", red, is_terminal=True)
    assert (said.status, said.errors) == (1, "")
    first, second, third, fourth = said.out.splitlines()
    (expected,) = predictor.predict([good])
    assert f"{good}: {expected.sentence}" in first
    assert all(f"{label} {p:.3f}" in first for label, p in expected.probabilities.items())
    assert second == f"{tmp_path}/note.jpg: This is a text file, not a picture: choose a photo."
    assert third == "nowhere.jpg: This file cannot be read (No such file or directory)."
    assert fourth.startswith(f"{tmp_path}/red?[31m.jpg: ")  # it cannot steer the terminal


def test_predict_needs_no_pytorch(home):
    script = (
        "import sys; from utils.cli import app\n"
        "try: app()\n"
        "finally: print(sorted({'torch', 'fastai'} & set(sys.modules)))"
    )
    done = subprocess.run(
        [sys.executable, "-c", script, "predict", str(some_pictures()[0])],
        capture_output=True, text=True, check=True,
    )  # fmt: skip
    assert done.stdout.splitlines()[-1] == "[]"


def test_without_a_model_it_is_said_what_to_do(monkeypatch, tmp_path, own_folders):
    cells = nbformat.read(NOTEBOOK, 4).cells
    assert len(cells) <= 4 and not any(cell.get("outputs") for cell in cells)
    monkeypatch.chdir(tmp_path)
    sentence = "There is no bear model on this computer yet: run chapter 04"
    assert course("predict", some_pictures()[0]).errors.startswith(sentence)
    with pytest.raises(DeployError, match=sentence):
        exec(cells[1].source, {})


# --- the exported folder --------------------------------------------------------------------


@pytest.fixture
def export(tmp_path):
    folder = tmp_path / "app"
    export_app(folder, small_model())
    return folder


def test_its_requirements_are_the_courses_versions_and_few(export):
    first, *lines = (export / "requirements.txt").read_text().splitlines()
    names = {line.split("==")[0] for line in lines}
    assert not names & {"torch", "fastai", "torchvision", "timm", "onnx", "jupyterlab", "pandas"}
    assert {"voila", "onnxruntime", "ipykernel", "anywidget", "pillow", "numpy"} <= names
    assert f"voila=={version('voila')}" in lines
    assert first == EXPORTED_HEADER
    ours = (ROOT / "requirements.txt").read_text().splitlines()
    assert {line.split(" ;")[0] for line in lines} < {line.split(" ;")[0] for line in ours}
    assert len(names) < 120
    assert (export / "binder" / "requirements.txt").read_text().splitlines() == [first, *lines]


def test_hosting_files_agree_with_each_other(export):
    docker = (export / "Dockerfile").read_text()
    readme = (export / "README.md").read_text()
    python = "{}.{}".format(*sys.version_info)
    assert f"FROM python:{python}-slim" in docker
    assert (export / "binder" / "runtime.txt").read_text() == f"python-{python}\n"
    assert "ENV PORT=7860" in docker and "\napp_port: 7860\n" in readme.split("---")[1]
    assert "\nsdk: docker\n" in readme.split("---")[1]
    assert "{" not in readme + docker.replace('["', "").replace("${", "")
    assert "bear_classifier.ipynb" in docker and (export / "bear_classifier.ipynb").exists()
    assert {file.name for file in (export / "model").iterdir()} == {"manifest.json", "model.onnx"}
    assert os.access(export / "binder" / "start", os.X_OK)


def test_only_what_was_exported_and_left_as_it_was_is_overwritten(export, tmp_path):
    before = {file: file.read_bytes() for file in export.rglob("*") if file.is_file()}
    (export / ".git").mkdir()
    (export / ".git" / "HEAD").write_text("mine")
    export_app(export, small_model())
    assert {file: file.read_bytes() for file in before} == before
    assert (export / ".git" / "HEAD").read_text() == "mine"
    (export / "README.md").write_text("my own words")
    with pytest.raises(CourseError, match=r"README\.md in .* would be overwritten"):
        export_app(export, small_model())
    assert (export / "README.md").read_text() == "my own words"
    (export / "README.md").unlink()
    (export / MARKER).write_text('{"README.md"')
    with pytest.raises(CourseError, match="would be overwritten"):
        export_app(export, small_model())
    other = tmp_path / "other"
    other.mkdir()
    (other / "README.md").write_text("years")
    with pytest.raises(CourseError, match=r"README\.md in .* would be overwritten"):
        export_app(other, small_model())
    assert [file.name for file in other.iterdir()] == ["README.md"]


def test_export_says_what_to_do_next(home, tmp_path):
    said = course("app", "export", tmp_path / "out")
    assert said.status == 0, said.errors
    assert "Not a directory" in course("app", "export", tmp_path / "out" / "README.md").errors
    for word in ("docker build", "Hugging Face", "Binder", "README.md"):
        assert word in said.out
    model = home / "models" / "bears" / "model.onnx"
    model.write_bytes(b"changed")
    assert "is not the file that was saved" in course("app", "export", tmp_path / "out").errors


ASK = """
import json, sys, utils
from utils.app.predictor import Predictor
rows = [p.probabilities for p in Predictor("model").predict(sys.argv[1:])]
print(json.dumps([utils.__file__, "torch" in sys.modules, rows]))
"""


def test_the_folder_installed_fresh_answers_the_same(predictor):
    folder, programs = exported()
    files = some_pictures()[::4]
    done = run(str(programs / "python"), "-c", ASK, *map(str, files), cwd=folder)
    assert done.returncode == 0, done.stderr
    where, torch, rows = json.loads(done.stdout)
    assert Path(where).parent == folder / "utils" and not torch
    expected = [p.probabilities for p in predictor.predict(files)]
    for found, wanted in zip(rows, expected, strict=True):
        assert found == pytest.approx(wanted, abs=1e-6)
    assert run(str(programs / "python"), "-c", "import torch").returncode != 0


@pytest.mark.parametrize("place", ["container", "binder"])
def test_the_folder_installed_fresh_serves_the_app(place, predictor, tmp_path):
    folder, programs = exported()
    own = {"PATH": f"{programs}:{os.defpath}", "PYTHONPATH": ""}
    if place == "container":  # what the Dockerfile runs, on this computer's own address
        (last,) = re.findall(r"^CMD (.*)$", (folder / "Dockerfile").read_text(), re.M)
        command, page = json.loads(last.replace("0.0.0.0", "127.0.0.1")), "/"
    else:  # what Binder runs
        command = ["bash", "binder/start", "jupyter", "server", "--no-browser", "--allow-root"]
        page = "/voila/render/bear_classifier.ipynb"
    expected = choose(predictor, 4)
    with running(command, tmp_path, "binder", folder, **own) as server:
        server.page = page
        server.token = "binder" if place == "binder" else ""
        load = visit(server, share(list(expected), 2))
        _, headers, text = status(server, page)
        assert "The app is getting ready" in text  # the course's own page
        policy = headers["Content-Security-Policy"]
        assert place == "binder" or policy.endswith("frame-ancestors 'self' https://huggingface.co")
        assert {p.exe() for p in server.kernels()} == {str((programs / "python").resolve())}
        assert all(str(programs) in p.cmdline()[0] for p in server.kernels())
    assert len(load.answers) == 4
    assert compare(load, expected) == ([], [])
