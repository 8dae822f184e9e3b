"""`course new`: from a folder of pictures to a served app, without a cell edited."""

import hashlib
import os
import re
import shlex
import shutil
from pathlib import Path

import nbformat
import psutil
import pytest
from nbclient import NotebookClient
from PIL import Image

from tests.load_app import Server, Visitor, in_own_loop
from tests.typed import course
from utils import cli
from utils.app.export import export_app
from utils.app.predictor import Predictor
from utils.common import CourseError
from utils.data import DataError
from utils.paths import DATA
from utils.project import APP, NOTEBOOK, Project, new_project


def picture(path, colour=(200, 10, 10)):
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.new("RGB", (40, 30), colour).save(path)


@pytest.fixture
def birds(tmp_path):
    """Class folders, with one file that is no picture, one without a label, and a name twice."""
    root = tmp_path / "birds"
    for label in ("robin", "wren"):
        for n in range(4):
            picture(root / label / f"{n}.jpg", (n * 50, 100, 20))
    picture(root / "wren" / "nest" / "0.jpg", (9, 9, 9))
    picture(root / "stray.jpg")
    (root / "robin" / "broken.jpg").write_text("<html>not here</html>")
    return root


def fingerprint(root):
    files = sorted(file for file in root.rglob("*") if file.is_file())
    return {f.relative_to(root): hashlib.sha256(f.read_bytes()).hexdigest() for f in files}


def test_class_folders_are_copied_and_the_originals_left_alone(birds, tmp_path, capsys):
    before = fingerprint(birds)
    project = new_project("my-birds", birds, into=tmp_path / "p")
    said = capsys.readouterr().out
    assert project.counts() == {"robin": 4, "wren": 5}
    assert "robin/broken.jpg" in said
    assert "1 are in no class folder" in said
    assert fingerprint(birds) == before
    assert {file.name for file in project.folder.iterdir()} == {
        NOTEBOOK, APP, "README.md", "pictures",
    }  # fmt: skip
    assert (project.folder / "README.md").read_text().startswith("# my-birds\n")
    assert nbformat.read(project.folder / APP, 4).cells[0].source.startswith("# my-birds\n")
    assert Project.here(project.folder) == project


@pytest.mark.parametrize("folder", ["", "images", "images/train"])
@pytest.mark.parametrize(
    ("pets", "labels"), [(False, {"Maine_Coon": 2, "pug": 1}), (True, {"cat": 2, "dog": 1})]
)
def test_labels_from_file_names(tmp_path, pets, labels, folder):
    for name in ("Maine_Coon_1.jpg", "Maine_Coon_12.jpg", "pug_3.png"):
        picture(tmp_path / "data" / folder / name)
    if folder.endswith("train"):
        (tmp_path / "data" / "images" / "val").mkdir()
        for file in (tmp_path / "data" / folder).glob("*_12.*"):
            file.rename(tmp_path / "data" / "images" / "val" / file.name)
    project = new_project("pets", tmp_path / "data", tmp_path / "p", pets)
    assert project.counts() == labels
    assert sum(project.counts("valid").values()) == 1


@pytest.mark.parametrize(
    ("name", "data", "says"),
    [
        ("../up", "birds", "is no name for a folder"),
        ("", "birds", "is no name for a folder"),
        ("x" * 300, "birds", "use up to 60 letters"),
        ("é" * 61, "birds", "use up to 60 letters"),
        ("ok", "single", "add pictures, two of each kind"),
        ("ok", "elsewhere", "learn from a, c and be judged by b"),
        ("ok", "nowhere", "There is no folder"),
        ("ok", "birds/robin", "of one kind only"),
        ("ok", "empty", "no usable pictures"),
    ],
)
def test_what_cannot_be_a_project_gets_a_sentence_and_leaves_nothing(
    birds, tmp_path, name, data, says
):
    (tmp_path / "empty").mkdir()
    for place in ("single/a", "single/b", "elsewhere/train/a", "elsewhere/valid/b"):
        picture(tmp_path / place / "1.jpg")
    picture(tmp_path / "elsewhere" / "train" / "c" / "1.jpg")
    before = fingerprint(tmp_path)
    done = course("new", name, "--data", tmp_path / data, "--into", tmp_path / "p")
    assert done.status == 1 and says in done.errors
    assert fingerprint(tmp_path) == before


def test_a_project_is_never_overwritten(birds, tmp_path):
    project = new_project("birds", birds, into=tmp_path / "p")
    before = fingerprint(project.folder)
    with pytest.raises(CourseError, match="already"):
        new_project("birds", birds, into=tmp_path / "p")
    assert fingerprint(project.folder) == before


def test_what_a_killed_run_left_does_not_matter(birds, tmp_path):
    picture(tmp_path / "p" / ".birds.part" / "pictures" / "owl" / "0.jpg")
    assert new_project("birds", birds, into=tmp_path / "p").counts() == {"robin": 4, "wren": 5}
    assert [folder.name for folder in (tmp_path / "p").iterdir()] == ["birds"]


def test_a_place_where_nothing_can_be_written(birds, tmp_path):
    (tmp_path / "p").write_text("a file, no folder")
    said = course("new", "birds", "--data", birds, "--into", tmp_path / "p")
    assert said.status == 1
    assert said.errors == f"{tmp_path}/p cannot be read or written (File exists).\n"


@pytest.mark.parametrize("judge", ["valid", "Val", "test", "test_set"])
@pytest.mark.parametrize("around", ["", "images", "a/b"])
def test_a_split_of_ones_own_is_used(birds, tmp_path, capsys, judge, around):
    mine = tmp_path / "mine" / around
    mine.mkdir(parents=True)
    birds.rename(mine / "train")
    for label in ("robin", "wren"):
        (mine / judge / label).mkdir(parents=True)
        (mine / "train" / label / "0.jpg").rename(mine / judge / label / "0.jpg")
    project = new_project("birds", tmp_path / "mine", into=tmp_path / "p")
    assert project.counts("train") == {"robin": 3, "wren": 4}
    assert project.counts("valid") == {"robin": 1, "wren": 1}
    said = capsys.readouterr().out
    assert "Your own split is used: train to learn from" in said
    assert ("Looked for the labels inside" in said) == bool(around)


def test_what_cleaning_leaves_is_checked(birds, tmp_path, capsys):
    project = new_project("birds", birds, into=tmp_path / "p")
    project.check()
    assert "with 2 to judge by, a single picture moves the error rate by 50%" in (
        capsys.readouterr().out
    )
    for file in (project.pictures / "train" / "wren").iterdir():
        file.unlink()
    with pytest.raises(DataError, match="be judged by wren"):
        project.check()


def test_what_to_type_next(birds, tmp_path, monkeypatch):
    place = tmp_path / "my place"
    said = course("new", "my birds", "--data", birds, "--into", place)
    jupyter, lab, notebook = shlex.split(re.search(r"open it +(.*)", said.out)[1])
    assert Path(jupyter).exists() and lab == "lab"
    assert Path(notebook) == place / "my birds" / NOTEBOOK
    monkeypatch.setattr(cli, "NOTEBOOKS", place)
    said = course("new", "more birds", "--data", birds, "--into", place)
    assert "python start.py" in said.out and "jupyter" not in said.out


def test_a_folder_that_is_no_project(tmp_path):
    (tmp_path / "pictures").mkdir()  # many people have one
    with pytest.raises(CourseError, match="course new"):
        Project.here(tmp_path)


def test_an_app_before_its_model_says_what_to_run(birds, tmp_path):
    project = new_project("birds", birds, into=tmp_path / "p")
    done = course("app", "--project", project.folder, "--no-browser")
    assert "There is no manifest.json in model" in done.errors and "project.ipynb" in done.errors


@pytest.fixture
def few(tmp_path):
    """Two of a label, three of another and one of a third, which nothing can judge."""
    files = sorted((DATA / "pets" / "images").glob("*_1?.jpg"))
    for label, file in zip("aabbbc", files, strict=False):
        target = tmp_path / "data" / label / file.name
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(file, target)
    return tmp_path / "data"


async def _answer(server, file):
    visitor = Visitor(server)
    await visitor.open()
    reply, _ = await visitor.show(file.name, file.read_bytes())
    await visitor.leave()
    return reply


def test_from_the_command_to_an_app_that_answers(few, own_folders, tmp_path):
    """No cell is edited, and six pictures are enough to begin with."""
    assert course("new", "my few", "--data", few, "--into", tmp_path).status == 0
    project = Project.here(tmp_path / "my few")
    notebook = nbformat.read(project.folder / NOTEBOOK, as_version=4)
    place = {"metadata": {"path": str(project.folder)}}
    client = NotebookClient(notebook, timeout=900, kernel_name="python3", resources=place)
    with client.setup_kernel(env=os.environ | {"COURSE_DEVICE": "cpu"}):
        for number, cell in enumerate(notebook.cells):
            client.execute_cell(cell, number)
        said = str([cell.outputs for cell in notebook.cells if cell.cell_type == "code"])
        url, token = re.search(r"(http://\S+)/\?token=(\w+)", said).groups()
        file = next((project.pictures / "train" / "b").iterdir())
        reply = in_own_loop(_answer(Server(url, token, psutil.Process(), Path()), file))
    assert "there is no picture of c to judge by" in said
    assert re.search(r"[012] of 2 wrong: error [01]\.\d+, between 0\.\d+ and [01]\.\d+", said)
    (expected,) = Predictor(project.model).predict([file])
    assert [*expected.probabilities] == ["a", "b", "c"]
    assert dict(reply["bars"]) == pytest.approx(expected.probabilities, abs=1e-4)
    assert not project.pictures.with_name("pictures.cleaning").exists()  # nothing was chosen
    assert APP in export_app(tmp_path / "out", project.model, project.folder / APP)
    readme = (tmp_path / "out" / "README.md").read_text()
    assert "# my few" in readme and "bear" not in readme
