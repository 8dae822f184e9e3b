"""What is said of an item at each step on its way into a batch."""

import time
from pathlib import Path

import pytest
import torch
from fastai.torch_core import TensorCategory, TensorImage
from fastai.vision.core import PILImage
from fastcore.foundation import L
from PIL import Image

from utils.stages import Steps, describe, printed_by, timed


@pytest.mark.parametrize(
    ("item", "said"),
    [
        (Path("a/b/black/bear.jpg"), ("Path", "", "", "black/bear.jpg")),
        ("black", ("str", "", "", "black")),
        (
            PILImage(Image.new("RGB", (4, 3), (9, 0, 7))),
            ("PILImage", "4 wide, 3 high", "uint8", "0 to 9"),
        ),
        (Image.new("L", (4, 3), 5), ("Image", "4 wide, 3 high", "uint8", "5")),
        (
            TensorImage(torch.tensor([[0.0, 0.25]])),
            ("TensorImage", "(1, 2)", "float32", "0 to 0.25"),
        ),
        (TensorCategory(2), ("TensorCategory", "one number", "int64", "2")),
        (L(Path("x/1.jpg"), Path("x/2.jpg")), ("list of Path", "2 items", "", "x/1.jpg")),
        (
            (TensorImage(torch.zeros(2, 3)), TensorCategory(torch.tensor([0, 1]))),
            ("TensorImage, TensorCategory", "(2, 3), (2,)", "float32, int64", "0, 0 to 1"),
        ),
    ],
    ids=["path", "text", "picture", "grey", "tensor", "number", "list", "pair"],
)
def test_an_item_in_words(item, said):
    assert tuple(describe(item).values()) == said


def test_steps_answer_print_and_keep_what_came_out(capsys):
    step = Steps()
    assert step("double", lambda n: 2 * n, "ab") == "abab"
    assert step("length", len, "abab") == 4
    lines = capsys.readouterr().out.splitlines()
    assert lines[0].startswith("double: str · abab  (") and lines[0].endswith(" ms)")
    table = step.table()
    assert table.index.to_list() == ["double", "length"]
    assert table["values"].to_list() == ["abab", "4"]
    assert (table.ms >= 0).all()


def test_the_quickest_of_several_calls_counts():
    calls = []

    def slower_at_first():
        time.sleep(0.2 if not calls else 0)
        calls.append(1)
        return len(calls)

    result, seconds = timed(slower_at_first, times=3)
    assert result == len(calls) == 3
    assert seconds < 0.2


def test_what_is_printed_before_an_error_is_kept_and_the_folder_renamed(tmp_path):
    def action():
        print(f"looking in {tmp_path / 'black'}")
        raise ValueError(f"nothing in {tmp_path}")

    assert printed_by(action, tmp_path, "bears").splitlines() == [
        f"looking in {Path('bears') / 'black'}",
        "",
        "ValueError: nothing in bears",
    ]
