"""`expect` tells a learner, fails a test, and feeds a report."""

import json

import pytest

from utils.checks import ExpectationError, expect


@pytest.fixture
def as_learner(monkeypatch):
    monkeypatch.delenv("COURSE_STRICT", raising=False)


def test_inside_the_bounds(capsys):
    expect("error_rate", 0.04, at_least=0, at_most=0.08)
    assert capsys.readouterr().out == "error_rate = 0.0400  as expected (between 0 and 0.08)\n"


@pytest.mark.parametrize(
    ("value", "bounds"),
    [(0.2, {"at_most": 0.1}), (0.2, {"at_least": 0.3}), (float("nan"), {"at_most": 1})],
)
def test_outside_fails_a_test(value, bounds):
    with pytest.raises(ExpectationError, match="error_rate"):
        expect("error_rate", value, **bounds)


def test_outside_is_a_sentence_to_a_learner(as_learner, capsys):
    expect("error_rate", 0.2, at_most=0.1)
    text = capsys.readouterr().out
    assert "is not what was expected (at most 0.1)" in text
    assert "restart the kernel" in text


def test_own_data_is_reported_and_not_judged(monkeypatch, tmp_path, capsys):
    monkeypatch.setenv("COURSE_DATA", str(tmp_path))
    expect("error_rate", 0.5, at_most=0.1)
    assert "on your own data" in capsys.readouterr().out


def test_no_bounds_is_a_mistake_in_the_notebook():
    with pytest.raises(ValueError, match="at_least, at_most or both"):
        expect("error_rate", 0.5)


def test_the_report_has_a_line_for_every_figure(monkeypatch, tmp_path, as_learner):
    report = tmp_path / "report.jsonl"
    monkeypatch.setenv("COURSE_REPORT", str(report))
    expect("a", 1, at_least=0.5)
    expect("b", 1, at_most=0.5)
    rows = [json.loads(line) for line in report.read_text().splitlines()]
    assert rows == [
        {"name": "a", "value": 1.0, "at_least": 0.5, "at_most": None, "ok": True},
        {"name": "b", "value": 1.0, "at_least": None, "at_most": 0.5, "ok": False},
    ]
