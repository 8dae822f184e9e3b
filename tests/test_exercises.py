"""What is asked in the middle of a page: exercises, and guesses that come back in the recap."""

import pytest
import yaml

from utils.paths import DATA
from utils.quiz import load_bank, widget
from utils.quiz.journal import Journal


@pytest.fixture
def bank(tmp_path, monkeypatch):
    monkeypatch.setenv("COURSE_HOME", str(tmp_path / "home"))
    one = {
        "id": "try-01", "notebook": "01_pet_classifier", "section": "Loss and metric",
        "kind": "number", "text": "How many?", "answer": "Four.", "hints": ["Count."],
        "value": 4, "exercise": True,
    }  # fmt: skip
    rows = [one, one | {"id": "intro-01", "exercise": False}]
    (tmp_path / "mine.yaml").write_text(yaml.safe_dump(rows), encoding="utf-8")
    (tmp_path / "words.yaml").write_bytes((DATA / "questions" / "words.yaml").read_bytes())
    made = load_bank(tmp_path)
    monkeypatch.setattr(widget, "load_bank", lambda: made)
    return made


def test_an_exercise_is_judged_where_it_stands_and_not_asked_again_below(bank, monkeypatch):
    shown = []
    monkeypatch.setattr(widget, "show_widget", lambda card, *twin: shown.append(card))
    widget.your_turn("try-01")
    widget.quiz("01_pet_classifier")
    exercise, questionnaire = shown
    exercise.respond({"nr": 1, "do": "check", "id": "try-01", "answer": "5"})
    kept = Journal().latest_all()["try-01"]
    assert (exercise.cards[0]["outcome"], kept.outcome) == ("wrong", "wrong")
    assert [card["id"] for card in questionnaire.cards] == ["intro-01"]


def test_guesses_stand_beside_what_came_out(bank):
    Journal().record_answer("error", "0.5 <b>or so</b>", "guess")
    table = widget.guesses({"error": ("The error?", 0.02), "time": ("Seconds?", 30)})
    assert table["your guess"].to_dict() == {
        "The error?": "0.5 <b>or so</b>",
        "Seconds?": "no guess",
    }
    assert table["what came out"].to_dict() == {"The error?": "0.02", "Seconds?": "30"}
    assert "<b>" not in table._repr_html_()
