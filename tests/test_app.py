"""The bear app: what it answers, what it refuses, who can do what, and the folder it exports."""

import asyncio
import hashlib
import io
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
from PIL import Image
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
from tests.odd_files import REFUSED, REMARKED, odd_files
from tests.small_model import small_model, some_pictures
from utils import cli
from utils.app import server as app_server
from utils.app.dropzone import FAULT, INTERRUPTED, MAX_BYTES, DropZone
from utils.app.export import MARKER, NOTEBOOK, ExportError, export_app
from utils.app.manifest import DeployError
from utils.app.predictor import Predictor
from utils.device import DeviceError
from utils.images import open_image
from utils.paths import path_with_course

COURSE = shutil.which("course", path=path_with_course())


@pytest.fixture(scope="module")
def predictor():
    return Predictor(small_model())


@pytest.fixture(scope="module")
def server(tmp_path_factory):
    with course_app(small_model(), tmp_path_factory.mktemp("app")) as running_server:
        yield running_server


@pytest.fixture
def home(tmp_path):
    """A learner's home with a model in it."""
    shutil.copytree(small_model(), tmp_path / "home" / "models" / "bears")
    return tmp_path / "home"


def course(home, *words):
    env = os.environ | {"COURSE_HOME": str(home), "COLUMNS": "120"}
    return subprocess.run([COURSE, *words], capture_output=True, text=True, env=env, check=False)


# --- the widget -----------------------------------------------------------------------------


class Sender:
    """The page's half of a `DropZone`, without a page."""

    def __init__(self, answer):
        self.zone = DropZone(answer)
        self.zone.send = lambda content, buffers=None: self.replies.append((content, buffers))
        self.replies = []

    def piece(self, name, size, start, *buffers, view="v"):
        request = {"view": view, "nr": len(self.replies), "name": name, "size": size}
        self.zone._heard(self.zone, request | {"start": start}, list(map(memoryview, buffers)))
        return self.replies[-1]

    def show(self, name, content):
        return self.piece(name, len(content), 0, content)


@pytest.fixture
def sender(predictor):
    return Sender(lambda picture: predictor.predict([picture])[0])


def test_answers_as_the_predictor_does(sender, predictor):
    file = some_pictures()[0]
    reply, (thumbnail,) = sender.show(file.name, file.read_bytes())
    (expected,) = predictor.predict([file])
    assert dict(reply["bars"]) == expected.probabilities
    assert reply["sentence"] == expected.sentence
    assert (reply["view"], reply["nr"], reply["remarks"]) == ("v", 0, [])
    assert max(Image.open(io.BytesIO(thumbnail)).size) <= 320


@pytest.mark.parametrize("name", REFUSED)
def test_a_file_that_is_no_usable_picture_gets_a_sentence(sender, name):
    reply, pictures = sender.show(name, odd_files()[name])
    assert reply["outcome"] == "refused"
    assert REFUSED[name] in reply["sentence"]
    assert pictures == []


@pytest.mark.parametrize("name", REMARKED)
def test_an_odd_picture_is_answered_with_a_remark(sender, predictor, name):
    content = odd_files()[name]
    reply, (thumbnail,) = sender.show(name, content)
    (expected,) = predictor.predict([content])
    assert dict(reply["bars"]) == expected.probabilities
    assert REMARKED[name] in reply["remarks"][0]
    # the thumbnail is what the model saw: upright, and the first frame
    first = open_image(some_pictures()[0]).resize((8, 8)).getdata()
    seen = Image.open(io.BytesIO(thumbnail)).resize((8, 8)).getdata()
    far = max(
        abs(a - b) for p, q in zip(first, seen, strict=True) for a, b in zip(p, q, strict=True)
    )
    assert far < 60


def test_a_large_picture_arrives_in_pieces(sender, predictor):
    stream = io.BytesIO()
    Image.effect_noise((1200, 1200), 90).convert("RGB").save(stream, "PNG")
    content = stream.getvalue()
    cuts = range(0, len(content), 1 << 20)
    assert len(cuts) > 2
    replies = [
        sender.piece("large.png", len(content), at, content[at : at + (1 << 20)])[0] for at in cuts
    ]
    assert all(reply["more"] for reply in replies[:-1])
    assert dict(replies[-1]["bars"]) == predictor.predict([content])[0].probabilities
    assert len(sender.zone._content) == 0  # nothing of it is kept


def test_what_is_too_large_is_refused_whatever_its_sender_says(sender):
    too_large, _ = sender.piece("big.jpg", MAX_BYTES + 1, 0)
    assert "This file is too large: 20.0 MB" in too_large["sentence"]
    piece, at = bytes(3 << 20), 0
    while sender.piece("liar.jpg", MAX_BYTES, at, piece)[0].get("more"):
        at += len(piece)
    assert "This file is too large" in sender.replies[-1][0]["sentence"]
    assert at + len(piece) > MAX_BYTES
    assert len(sender.zone._content) == 0


def test_pieces_that_do_not_belong_together_are_refused(sender):
    assert sender.piece("a.jpg", 100, 50, b"x")[0]["sentence"] == INTERRUPTED
    assert sender.piece("a.jpg", 100, 0, b"x" * 50)[0]["more"]
    other, _ = sender.piece("b.jpg", 100, 50, b"y" * 50, view="w")
    assert other["sentence"] == INTERRUPTED


def test_garbage_gets_a_reply_that_tells_nothing(sender):
    sender.zone._heard(sender.zone, {"nr": 7, "size": "many"}, [])
    assert sender.replies[-1][0] == {
        "view": None,
        "nr": 7,
        "outcome": "refused",
        "sentence": FAULT,
    }


def test_a_fault_of_the_app_is_said_and_explained_to_the_server_only(capfd):
    def answer(picture):
        raise RuntimeError("a secret path")

    sender = Sender(answer)
    file = some_pictures()[0]
    reply, _ = sender.show(file.name, file.read_bytes())
    assert reply["sentence"] == FAULT
    assert "secret" not in str(sender.replies)


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
    """Messages by which Jupyter's clients run code or look into a kernel, and disguises of them."""
    code = f"open({str(canary)!r}, 'w').write('ran')"
    run = {"code": code, "silent": False, "store_history": False, "user_expressions": {"x": code},
           "allow_stdin": False, "stop_on_error": True}  # fmt: skip
    yield "execute_request", "shell", run
    yield "execute_request", "control", run
    yield "execute_request", "stdin", run
    yield "inspect_request", "shell", {"code": "predictor", "cursor_pos": 3, "detail_level": 1}
    yield "complete_request", "shell", {"code": "predictor.", "cursor_pos": 10}
    yield (
        "history_request",
        "shell",
        {"hist_access_type": "tail", "n": 9, "output": True, "raw": True},
    )
    yield "is_complete_request", "shell", {"code": code}
    yield "input_reply", "stdin", {"value": code}
    evaluate = {"seq": 1, "type": "request", "command": "evaluate"}
    yield "debug_request", "control", evaluate | {"arguments": {"expression": code}}
    yield "create_subshell_request", "control", {}


async def try_to_run(server, canary):
    """Send all of them in both of Jupyter's protocols; return the kinds of messages that came."""
    visitor = Visitor(server)
    await visitor.open()
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


WITHOUT_THE_RULE = """
import voila.app
made = voila.app.voila_kernel_manager_factory
def factory(*args, **options):
    class Trusting(made(*args, **options)):
        def __init__(self, allowed_message_types, **options):
            super().__init__(**options)
    return Trusting
voila.app.voila_kernel_manager_factory = factory
import utils.app.server as server
server.main()
"""


def test_the_same_attempts_run_code_where_voila_does_not_filter_messages(home, tmp_path):
    canary = tmp_path / "canary"
    command = [sys.executable, "-c", WITHOUT_THE_RULE, str(NOTEBOOK)]
    with running(command, tmp_path, COURSE_HOME=str(home)) as unsafe:
        kinds = in_own_loop(try_to_run(unsafe, canary))
    assert canary.exists()
    assert {"execute_reply", "inspect_reply", "complete_reply", "debug_reply"} <= kinds


def test_a_message_of_any_size_does_not_reach_the_kernel(server):
    async def send():
        visitor = Visitor(server)
        await visitor.open()
        huge = [bytes(app_server.MESSAGE_BYTES + 1)]
        with pytest.raises((ConnectionError, WebSocketClosedError)):
            await visitor.ask({"name": "a.jpg", "size": len(huge[0]), "start": 0}, huge)

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
    "/api/contents",
    "/api/contents/bear_classifier.ipynb",
    "/api/terminals",
    "/api/kernels",
    "/api/sessions",
    "/api/kernelspecs",
    "/api/config/x",
    "/api/status",
    "/files/bear_classifier.ipynb",
    "/terminals/1",
    "/lab",
    "/tree",
    "/voila/tree",
    "/voila/render/bear_classifier.ipynb",
    "/voila/api/contents",
    "/bear_classifier.ipynb",
    "/voila/execution/00000000-0000-0000-0000-000000000000",
    "/../../README.md",
    "/README.md",
    "/voila/files/bear_classifier.ipynb",
    "/voila/files/../../../README.md",
    "/voila/files/%2e%2e/%2e%2e/README.md",
    "/voila/static//etc/passwd",
    "/voila/static/../../../../../../../../../../etc/passwd",
    "/voila/templates/course/static/../page.css",
    "/voila/templates/../static/x",
    "/voila/labextensions/../../../etc/passwd",
    "/voila/api/themes/../../../../etc/passwd",
]


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
    code, headers, _ = status(server, "/", token=False)
    assert code == 302
    code, _, text = status(server, headers["Location"], token=False)
    assert code == 403 and app_server.NO_TOKEN in text
    assert status(server, "/login", "POST", token=False)[0] in (403, 405)
    assert status(server, "/", Host="evil.example")[0] == 403
    assert len(server.kernels()) == before


def test_the_page_may_load_nothing_from_elsewhere(server):
    code, headers, page = status(server, "/")
    assert code == 200
    assert "default-src 'self'" in headers["Content-Security-Policy"]
    assert "frame-ancestors 'self'" in headers["Content-Security-Policy"]
    assert not [part for part in page.split('"') if part.startswith(("http:", "https:", "//"))]
    assert str(Path.home()) not in page


@pytest.fixture
def impatient(home, tmp_path):
    """The app with room for one visitor, who is forgotten ten seconds after the page is gone."""
    hurry = (
        "import utils.app.server as s; "
        "s.MAX_VISITORS, s.CULL_AFTER, s.CULL_EVERY = 1, 10, 1; s.main()"
    )
    command = [sys.executable, "-c", hurry, str(NOTEBOOK)]
    with running(command, tmp_path, COURSE_HOME=str(home)) as running_server:
        yield running_server


def test_a_full_app_says_so_and_has_room_again_when_a_page_is_gone(impatient):
    async def come_and_go():
        visitor = Visitor(impatient)
        await visitor.open()
        code, _, text = await asyncio.to_thread(status, impatient, "/", token=False)
        await visitor.leave()  # as when a phone loses its network: nobody says goodbye
        return code, text, len(impatient.kernels())

    code, text, kernels = in_own_loop(come_and_go())
    assert (code, kernels) == (503, 1)
    assert app_server.FULL in text
    deadline = time.monotonic() + 120
    while status(impatient, "/", token=False)[0] == 503 and time.monotonic() < deadline:
        time.sleep(0.5)
    assert len(impatient.kernels()) == 1  # of the second visitor
    assert status(impatient, "/", token=False)[0] == 503


def test_a_port_that_is_taken_is_a_sentence(home):
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = str(taken.getsockname()[1])
        done = course(home, "app", "--no-browser", "--port", port)
    assert done.returncode == 1
    assert done.stderr == (
        f"Port {port} is taken, perhaps by an app still running: choose another with --port.\n"
    )


def test_a_model_that_was_changed_is_not_served(home):
    model = home / "models" / "bears" / "model.onnx"
    model.write_bytes(model.read_bytes()[:-1] + b"\0")
    done = course(home, "app", "--no-browser", "--port", str(load_app.free_port()))
    assert done.returncode == 1
    assert "model.onnx is not the file that was saved" in done.stderr
    assert done.stderr.count("\n") == 1


@pytest.mark.skipif(torch.cuda.is_available(), reason="this machine has a CUDA card")
def test_training_on_a_card_that_is_not_there_is_an_error(tmp_path, monkeypatch):
    monkeypatch.setenv("COURSE_HOME", str(tmp_path))
    monkeypatch.setenv("COURSE_DEVICE", "CUDA")
    with pytest.raises(DeviceError, match="finds no CUDA card"):
        cli.bear_model()


def test_training_uses_the_device_that_was_asked_for(tmp_path, monkeypatch):
    monkeypatch.setenv("COURSE_HOME", str(tmp_path))
    monkeypatch.setenv("COURSE_DEVICE", "cpu")
    monkeypatch.setattr(defaults, "use_cuda", None)  # what a fresh process has: a card, if any
    monkeypatch.setattr("utils.bears.train_bears", lambda: defaults.use_cuda)
    monkeypatch.setattr("utils.app.save.save_model", lambda learn, folder, subject: learn)
    assert cli.bear_model() is False


def test_without_a_model_one_is_trained_first(tmp_path):
    for number, file in enumerate(some_pictures()[::3]):
        label = ("black", "grizzly", "teddy")[number % 3]
        folder = tmp_path / "photos" / "bears" / label
        folder.mkdir(parents=True, exist_ok=True)
        shutil.copy(file, folder)
    own = {"COURSE_DATA": str(tmp_path / "photos"), "COURSE_HOME": str(tmp_path / "home")}
    with running([COURSE, "app", "--no-browser"], tmp_path, "t", **own) as server:
        assert "There is no bear model on this computer yet. Training one" in server.log.read_text()
        assert Predictor(tmp_path / "home/models/bears").vocab == ["black", "grizzly", "teddy"]
        assert status(server, "/")[0] == 200


# --- course predict -------------------------------------------------------------------------


def test_predict_answers_every_file_and_fails_when_one_is_no_picture(home, tmp_path, predictor):
    good = some_pictures()[0]
    (tmp_path / "note.jpg").write_text("A note.")
    done = course(home, "predict", str(good), str(tmp_path / "note.jpg"), "nowhere.jpg", str(good))
    assert done.returncode == 1
    first, second, third, fourth = done.stdout.splitlines()
    (expected,) = predictor.predict([good])
    assert first == fourth
    assert f"{good}: {expected.sentence}" in first
    assert all(f"{label} {p:.3f}" in first for label, p in expected.probabilities.items())
    assert second == f"{tmp_path}/note.jpg: This is a text file, not a picture: choose a photo."
    assert third == "nowhere.jpg: This file cannot be read (No such file or directory)."
    assert done.stderr == ""


def test_predict_for_a_program(home, predictor):
    files = some_pictures()[:3]
    done = course(home, "predict", "--json", *map(str, files))
    assert done.returncode == 0
    rows = json.loads(done.stdout)
    for row, file, expected in zip(rows, files, predictor.predict(files), strict=True):
        assert row["file"] == str(file)
        assert row["probabilities"] == pytest.approx(expected.probabilities, abs=1e-6)
        assert (row["label"], row["sentence"]) == (expected.label, expected.sentence)


def test_predict_needs_no_pytorch(home):
    script = (
        "import sys; from utils.cli import app\n"
        "try: app()\n"
        "finally: print(sorted({'torch', 'fastai'} & set(sys.modules)))"
    )
    done = subprocess.run(
        [sys.executable, "-c", script, "predict", str(some_pictures()[0])],
        capture_output=True, text=True, env=os.environ | {"COURSE_HOME": str(home)}, check=True,
    )  # fmt: skip
    assert done.stdout.splitlines()[-1] == "[]"


def test_predict_without_a_model_says_what_to_do(tmp_path):
    done = course(tmp_path, "predict", str(some_pictures()[0]))
    assert done.returncode == 1
    assert done.stderr.startswith("There is no bear model on this computer yet: run chapter 04")


def test_a_file_name_cannot_steer_the_terminal(home, tmp_path):
    file = tmp_path / "red\x1b[31m.jpg"
    shutil.copy(some_pictures()[0], file)
    assert "\x1b" not in course(home, "predict", str(file)).stdout


# --- the notebook ---------------------------------------------------------------------------


def test_the_notebook_is_short_and_stored_without_outputs():
    cells = nbformat.read(NOTEBOOK, 4).cells
    assert len(cells) <= 4
    assert all(not cell.get("outputs") for cell in cells)


def test_the_notebook_says_what_to_do_without_a_model(monkeypatch, tmp_path, own_folders):
    monkeypatch.chdir(tmp_path)
    code = next(
        cell.source for cell in nbformat.read(NOTEBOOK, 4).cells if "app_model" in cell.source
    )
    with pytest.raises(DeployError, match="There is no bear model on this computer yet"):
        exec(code, {})


# --- the exported folder --------------------------------------------------------------------


@pytest.fixture
def export(tmp_path):
    folder = tmp_path / "app"
    export_app(folder, small_model())
    return folder


def test_the_folder_has_what_the_app_needs_and_nothing_else(export):
    modules = {file.relative_to(export).as_posix() for file in export.rglob("*.py")}
    assert modules == {
        "utils/__init__.py",
        "utils/images.py",
        "utils/app/__init__.py",
        "utils/app/dropzone.py",
        "utils/app/server.py",
        "utils/app/manifest.py",
        "utils/app/predictor.py",
    }
    assert {file.name for file in (export / "model").iterdir()} == {"manifest.json", "model.onnx"}
    assert os.access(export / "binder" / "start", os.X_OK)


def test_its_requirements_are_the_courses_versions_and_few(export):
    lines = (export / "requirements.txt").read_text().splitlines()
    names = {line.split("==")[0] for line in lines}
    assert not names & {"torch", "fastai", "torchvision", "timm", "onnx", "jupyterlab", "pandas"}
    assert {"voila", "onnxruntime", "ipykernel", "anywidget", "pillow", "numpy"} <= names
    assert f"voila=={version('voila')}" in lines
    assert len(names) < 110
    assert (export / "binder" / "requirements.txt").read_text().splitlines() == lines


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


def test_an_earlier_export_is_replaced_and_files_beside_it_are_kept(export):
    before = {file: file.read_bytes() for file in export.rglob("*") if file.is_file()}
    (export / ".git").mkdir()
    (export / ".git" / "HEAD").write_text("mine")
    export_app(export, small_model())
    assert {file: file.read_bytes() for file in before} == before
    assert (export / ".git" / "HEAD").read_text() == "mine"


def test_nothing_of_yours_is_overwritten(export, tmp_path):
    (export / "README.md").write_text("my own words")
    with pytest.raises(ExportError, match=r"README\.md in .* would be overwritten"):
        export_app(export, small_model())
    assert (export / "README.md").read_text() == "my own words"
    other = tmp_path / "other"
    other.mkdir()
    (other / "thesis.txt").write_text("years")
    with pytest.raises(ExportError, match="no earlier export"):
        export_app(other, small_model())
    assert [file.name for file in other.iterdir()] == ["thesis.txt"]
    with pytest.raises(ExportError, match="is a file"):
        export_app(other / "thesis.txt", small_model())


def test_a_list_of_files_that_points_outside_deletes_nothing_there(export, tmp_path):
    outside = tmp_path / "precious.txt"
    outside.write_text("keep")
    listed = json.loads((export / MARKER).read_text())
    listed["../precious.txt"] = hashlib.sha256(b"keep").hexdigest()
    (export / MARKER).write_text(json.dumps(listed))
    export_app(export, small_model())
    assert outside.read_text() == "keep"


def test_export_says_what_to_do_next(home, tmp_path):
    done = course(home, "app", "export", str(tmp_path / "out"))
    assert done.returncode == 0, done.stderr
    for word in ("docker build", "Hugging Face", "Binder", "README.md"):
        assert word in done.stdout
    again = course(home, "app", "export", str(tmp_path))
    assert again.returncode == 1
    assert "choose a new or an empty folder" in again.stderr


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
        assert "The app is getting ready" in status(server, page)[2]  # the course's own page
        assert {p.exe() for p in server.kernels()} == {str((programs / "python").resolve())}
        assert all(str(programs) in p.cmdline()[0] for p in server.kernels())
    assert len(load.answers) == 4
    assert compare(load, expected) == ([], [])
