"""Fixtures that several test files use."""

import pytest
from fastai.data.external import fastai_cfg


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
