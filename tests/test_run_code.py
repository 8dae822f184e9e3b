"""Code answers are judged in a process of their own, away from the learner's kernel and files."""

import os
import socket
import sys
import tempfile
import time
from pathlib import Path

import pytest

from utils.quiz.run_code import run_code

LINUX = sys.platform == "linux"

# What Python puts for a message that cannot be had; 3.10 words it otherwise.
UNPRINTABLE = "<exception str() failed>"
if sys.version_info < (3, 11):
    UNPRINTABLE = "<unprintable E object>"


def one(source, check="True", **limits):
    """Run `source` with one check."""
    return run_code(source, [check], **limits)


def test_right_and_wrong_code():
    source = "doubled = [2 * n for n in range(10) if n % 2]\nprint('hello')\n20 + 22"
    checks = ["assert doubled == [2, 6, 10, 14, 18]", "assert 3 in doubled", "assert _ == 42"]
    result = run_code(source, checks)
    assert result.passed == [True, False, True]
    assert result.error is None


def test_a_check_says_what_it_says():
    assert one("x = 1", "assert x == 2, 'x should be two'").error == "x should be two"
    result = run_code("x = 1", ["assert y == 1", "assert x == 1"])
    assert result.passed == [False, True]
    assert result.error == "NameError: name 'y' is not defined"


@pytest.mark.parametrize(
    ("source", "told"),
    [
        ("x = 1\nx = (", "line 2: SyntaxError"),
        ("x = 1\n\nprint(y)", "line 3: NameError: name 'y' is not defined"),
        ("def f(n):\n    return 1 / n\nf(0)", "line 2: ZeroDivisionError: division by zero"),
        ("import no_such_module", "line 1: ModuleNotFoundError"),
        ("def f(n):\n    return f(n + 1)\nf(0)", "line 2: RecursionError: maximum recursion"),
        (
            "class E(Exception):\n  def __str__(self): 1 / 0\nraise E",
            f"line 3: E: {UNPRINTABLE}",
        ),
        ("raise ValueError('long' * 10000)", "line 1: ValueError: longlong"),
    ],
)
def test_errors_name_the_learners_line(source, told):
    result = one(source, "assert False")
    assert result.error.startswith("<your answer>, ") and told in result.error
    assert len(result.error) <= 500 and result.passed == [False]


@pytest.mark.parametrize("source", ["x = '\ud83d'", "x = 1\0", "", "   ", "# nothing"])
def test_strange_text_is_no_crash(source):
    assert one(source, "assert x == 1").passed == [False]


def test_endless_loops_are_stopped():
    started = time.monotonic()
    result = one("while True: pass", seconds=0.5)
    assert result.passed == [False] and "loop" in result.error
    assert time.monotonic() - started < 5
    result = run_code(
        "def f():\n  while True: pass", ["assert callable(f)", "f()", "True"], seconds=0.5
    )
    assert result.passed == [True, False, False] and "loop" in result.error


@pytest.mark.skipif(not LINUX, reason="RLIMIT_DATA")
def test_memory_bombs_are_refused():
    result = one("x = [0] * 10**9")
    assert result.passed == [True] and "MemoryError: your code took more memory" in result.error
    grows = one("x = []\nwhile True: x.append(bytearray(2**20))", megabytes=64)
    assert "line 2: MemoryError" in grows.error
    assert one("x = bytearray(40 * 2**20)", megabytes=64).error is None


@pytest.mark.skipif(not LINUX, reason="RLIMIT_DATA")
def test_memory_is_counted_without_the_library():
    source = "import numpy as np\nx = np.ones(({} << 20) // 8)"
    assert one(source.format(40), "assert x.sum() == len(x)", megabytes=64).passed == [True]
    assert "Error" in one(source.format(100), megabytes=64).error


@pytest.mark.parametrize(
    "source",
    [
        "import os\nwhile True: os.fork()",
        "import subprocess\nsubprocess.run(['echo', 'hello'])",
        "import os\nos.system('echo hello')",
        "import os\nos.execv('/bin/echo', ['echo', 'hello'])",
        "import multiprocessing as m\nm.get_context('spawn').Process(target=print).start()",
    ],
)
def test_other_processes_are_refused(source):
    assert "PermissionError" in one(source).error


@pytest.fixture
def mine(tmp_path):
    """A file of the learner's, which must stay as it is."""
    file = tmp_path / "answers.txt"
    file.write_text("my thesis")
    yield file
    assert file.read_text() == "my thesis" and list(tmp_path.iterdir()) == [file]


@pytest.mark.parametrize(
    "source",
    [
        "open({file!r}, 'w').write('gone')",
        "open({file!r}, 'a').write('gone')",
        "open({file!r}, 'r+').truncate(0)",
        "import os; os.remove({file!r})",
        "import os; os.rename({file!r}, 'here')",
        "import os; os.truncate({file!r}, 0)",
        "import os; os.symlink({file!r}, 'link'); open('link', 'w')",
        "import os; os.link({file!r}, 'link'); open('link', 'w')",
        "import shutil; shutil.rmtree({folder!r})",
        "import shutil, os; os.chdir({folder!r}); shutil.rmtree('.')",
        "import pathlib; pathlib.Path({folder!r}, 'new').touch()",
        "import sqlite3; sqlite3.connect({folder!r} + '/new').execute('create table t (c)')",
        "import numpy; numpy.zeros(9).tofile({file!r})",
    ],
)
def test_files_outside_stay_as_they_are(mine, source):
    result = one(source.format(file=str(mine), folder=str(mine.parent)))
    assert result.error and "Error" in result.error


def test_files_of_its_own_are_fine_at_home_and_vanish():
    source = (
        "import os, pathlib\npathlib.Path('a').mkdir()\nopen('a/b.txt', 'w').write('hi')\n"
        "x = open('a/b.txt').read()"
    )
    home = (
        "assert x == 'hi' and os.path.realpath(os.path.expanduser('~')) == os.getcwd(), os.getcwd()"
    )
    assert one(source, home).passed == [True]
    where = one(source, "assert False, os.getcwd()").error
    assert where.startswith(os.path.realpath(tempfile.gettempdir())) and not Path(where).exists()


def test_the_learners_kernel_cannot_be_killed():
    assert "PermissionError" in one("import os\nos.kill(os.getppid(), 9)").error
    assert "PermissionError" in one("import os\nos.killpg(1, 9)").error


def test_the_network_is_refused():
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
        source = f"import urllib.request\nurllib.request.urlopen('http://127.0.0.1:{port}')"
        assert "Error" in one(source, seconds=3).error
        server.settimeout(0)
        with pytest.raises(BlockingIOError):
            server.accept()


def test_foreign_libraries_are_refused(mine):
    source = f"import ctypes\nctypes.CDLL(None).truncate({os.fsencode(mine)!r}, 0)"
    assert "PermissionError" in one(source).error


@pytest.mark.parametrize(
    "source",
    [
        "print('passed'); print('[True]')",
        "print('[[true], null]')",
        "import os\nos.write(1, b'[[true], null]\\n')",
        "import sys\nsys.exit(0)",
        "raise SystemExit",
        "import os\nos._exit(0)",
        "import os\nprint('passed')\nos.abort()",
        "raise KeyboardInterrupt",
    ],
)
def test_nothing_passes_that_was_not_checked(source):
    result = one(source, "assert x == 1")
    assert result.passed == [False]
    assert result.error


def test_ending_python_is_explained():
    assert "line 2: SystemExit" in one("import sys\nsys.exit()").error
    assert "ended Python before it was checked" in one("import os\nos._exit(0)").error


@pytest.mark.skipif(os.name != "posix", reason="signals")
def test_a_crash_of_python_is_explained():
    assert "ended Python before it was checked" in one("import os\nos.abort()").error
    deep = one("import sys\nsys.setrecursionlimit(10**9)\ndef f(): return f()\nf()", seconds=2)
    assert deep.error


@pytest.mark.skipif(os.name != "posix", reason="RLIMIT_FSIZE")
def test_a_huge_file_is_refused():
    assert "OSError" in one("with open('big', 'wb') as f: f.write(bytes(32 << 20))").error


def test_reading_from_the_keyboard_ends_at_once():
    assert "EOFError" in one("input()").error


def test_threads_left_behind_do_not_hold_it_up():
    started = time.monotonic()
    assert one(
        "import threading, time\nthreading.Thread(target=time.sleep, args=(60,)).start()"
    ).passed
    assert time.monotonic() - started < 5


def test_torch_can_be_used():
    source = "import torch\nx = torch.ones(3, requires_grad=True)\n(x * x).sum().backward()"
    result = one(source, "assert x.grad.tolist() == [2, 2, 2]")
    assert result.passed == [True], result


def test_a_trivial_answer_is_quick():
    started = time.monotonic()
    assert one("x = 1", "assert x == 1").passed == [True]
    assert time.monotonic() - started < 2


def test_leaves_nothing_behind(tmp_path, monkeypatch):
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    one("open('a', 'w').write('hi')")
    one("open('a', 'w').write('hi')\nwhile True: pass", seconds=0.2)
    assert list(tmp_path.iterdir()) == []


def test_is_safe_from_a_module_of_the_learners_folder(tmp_path, monkeypatch):
    (tmp_path / "random.py").write_text("raise RuntimeError('the learner named a file random.py')")
    monkeypatch.chdir(tmp_path)
    assert one("import random", "assert random.Random(1).random() < 1").passed == [True]
