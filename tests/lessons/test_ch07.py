"""Chapter 07: which table it gets."""

from utils.lessons.ch07 import ADULT, PENGUINS, open_table


def test_the_sample_table_is_penguins_and_another_source_is_adult(tmp_path, monkeypatch, capsys):
    rows, names = open_table()
    assert names == PENGUINS and len(rows) == 344
    assert {names.target, *names.categories, *names.numbers} <= set(rows.columns)
    monkeypatch.setenv("COURSE_DATA", str(tmp_path))
    assert open_table()[1] == PENGUINS
    assert "Your folder has no adult" in capsys.readouterr().out
    header = [ADULT.target, *ADULT.categories, *ADULT.numbers]
    (tmp_path / "adult").mkdir()
    text = ",".join(header) + "\n>=50k, Private, x, x, x, x, x, 1, 2, 3\n"
    (tmp_path / "adult" / "adult.csv").write_text(text)
    rows, names = open_table()
    assert names == ADULT and rows.workclass[0] == "Private"
