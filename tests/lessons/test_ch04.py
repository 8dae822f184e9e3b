"""Chapter 04: the app's notebook."""

import nbformat

from utils.lessons import ch04


def test_the_app_is_made_of_what_was_run_last(tmp_path):
    asks = 'ch04.app_notebook("app.ipynb", In, ["def classify", "x ="])'
    ran = ["", "x = 1", "def classify(_): 1", asks, "def classify(_): 2", asks]
    ch04.app_notebook(str(tmp_path / "app.ipynb"), ran, ["def classify", "x ="])
    cells = nbformat.read(tmp_path / "app.ipynb", 4).cells
    assert [cell.source for cell in cells] == ["def classify(_): 2", "x = 1"]
