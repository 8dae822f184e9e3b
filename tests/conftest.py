"""Fixtures that several test files use."""

import os
import shutil
import subprocess
import sys

import pytest
from fastai.data.external import fastai_cfg
from fastai.torch_core import default_device


@pytest.fixture(scope="session", autouse=True)
def device():
    """Tests compute where `--device` says, as kernels do: on the processor, or on a card."""
    default_device(use=os.environ["COURSE_DEVICE"] == "cuda")


@pytest.fixture
def own_folders(tmp_path, monkeypatch):
    """Everything the course and fastai write goes below tmp_path."""
    for variable in ("FASTAI_HOME", "COURSE_HOME", "COURSE_CACHE"):
        monkeypatch.setenv(variable, str(tmp_path / variable.lower()))
    monkeypatch.delenv("COURSE_DATA", raising=False)
    monkeypatch.delenv("COURSE_MIRROR", raising=False)
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    fastai_cfg.cache_clear()
    yield
    fastai_cfg.cache_clear()


# What a program meets on a disk without file locks: every call for one is refused, or, where the
# variable NO_LOCKS_BELOW names a folder, for those of files in it.
NO_LOCKS = r"""
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
static int refused(int file) {
  char link[64], name[4096] = "", *below = getenv("NO_LOCKS_BELOW");
  snprintf(link, sizeof link, "/proc/self/fd/%d", file);
  if (below && readlink(link, name, sizeof name - 1) < 0) return 0;
  return !below || !strncmp(name, below, strlen(below));
}
int flock(int file, int what) {
  if (refused(file)) { errno = ENOSYS; return -1; }
  return ((int (*)(int, int))dlsym(RTLD_NEXT, "flock"))(file, what); }
#define REFUSE(NAME) int NAME(int file, int what, ...) { \
  va_list rest; va_start(rest, what); void *with = va_arg(rest, void *); va_end(rest); \
  if ((what == F_GETLK || what == F_SETLK || what == F_SETLKW) && refused(file)) { \
    errno = ENOLCK; return -1; } \
  return ((int (*)(int, int, ...))dlsym(RTLD_NEXT, #NAME))(file, what, with); }
REFUSE(fcntl)
REFUSE(fcntl64)
"""


@pytest.fixture(scope="session")
def no_locks(tmp_path_factory):
    """An environment in which files cannot be locked, as on some network disks."""
    if sys.platform != "linux" or not shutil.which("cc"):
        pytest.skip("no C compiler to play such a disk with")
    library = tmp_path_factory.mktemp("no_locks") / "no_locks.so"
    command = ["cc", "-shared", "-fPIC", "-x", "c", "-"]
    subprocess.run([*command, "-o", library, "-ldl"], input=NO_LOCKS, text=True, check=True)
    return {"LD_PRELOAD": str(library)}
