"""`course new`: from a folder of pictures to a served app, without a cell edited."""

import hashlib
import os
import re
import subprocess
import sys
import tarfile
from pathlib import Path

import nbformat
import psutil
import pytest
from hypothesis import given
from hypothesis import strategies as st
from nbclient import NotebookClient
from PIL import Image

from tests.load_app import Server, Visitor, in_own_loop
from utils.app.export import export_app
from utils.deploy.predictor import Predictor
from utils.paths import DATA, ROOT
from utils.project import (
    APP,
    CHECKLIST,
    NOTEBOOK,
    SETTINGS,
    Project,
    ProjectError,
    held_out,
    new_project,
    projects,
    worries,
)

PHOTOS = ROOT.parent / "shared" / "data" / "oxford-iiit-pet.tgz"


def course(*words, **options):
    command = [str(Path(sys.executable).parent / "course"), *map(str, words)]
    return subprocess.run(
        command, capture_output=True, text=True, check=False, timeout=300, **options
    )


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
        NOTEBOOK, APP, CHECKLIST, SETTINGS, "pictures",
    }  # fmt: skip
    assert (project.folder / CHECKLIST).read_text().startswith("# my-birds\n")
    assert nbformat.read(project.folder / APP, 4).cells[0].source.startswith("# my-birds\n")
    assert Project.here(project.folder) == project
    assert projects(tmp_path / "p") == [project.folder / NOTEBOOK]


@pytest.mark.parametrize(
    ("chapter", "labels"),
    [("02", {"Maine_Coon": 2, "pug": 1}), ("01", {"cat": 2, "dog": 1})],
)
def test_labels_from_file_names(tmp_path, chapter, labels):
    for name in ("Maine_Coon_1.jpg", "Maine_Coon_12.jpg", "pug_3.png"):
        picture(tmp_path / "data" / "images" / name)
    project = new_project("pets", tmp_path / "data", chapter, tmp_path / "p")
    assert project.counts() == labels


@pytest.mark.parametrize(
    ("name", "data", "says"),
    [
        ("../up", "birds", "is no name for a folder"),
        ("", "birds", "is no name for a folder"),
        ("ok", "nowhere", "There is no folder"),
        ("ok", "birds/robin", "of one kind only"),
        ("ok", "empty", "no usable pictures"),
    ],
)
def test_what_cannot_be_a_project_gets_a_sentence_and_leaves_nothing(
    birds, tmp_path, name, data, says
):
    (tmp_path / "empty").mkdir()
    before = fingerprint(tmp_path)
    with pytest.raises(ProjectError, match=says):
        new_project(name, tmp_path / data, into=tmp_path / "p")
    assert fingerprint(tmp_path) == before


def test_the_command_says_so_too(tmp_path):
    done = course("new", "ok", "--data", tmp_path / "nowhere", "--into", tmp_path / "p")
    assert done.returncode == 1
    assert done.stderr.startswith("There is no folder")


def test_a_project_is_never_overwritten(birds, tmp_path):
    project = new_project("birds", birds, into=tmp_path / "p")
    before = fingerprint(project.folder)
    with pytest.raises(ProjectError, match="already"):
        new_project("birds", birds, into=tmp_path / "p")
    assert fingerprint(project.folder) == before


def test_what_a_killed_run_left_does_not_matter(birds, tmp_path):
    picture(tmp_path / "p" / ".birds.part" / "pictures" / "owl" / "0.jpg")
    assert new_project("birds", birds, into=tmp_path / "p").counts() == {"robin": 4, "wren": 5}
    assert projects(tmp_path / "p") == [tmp_path / "p" / "birds" / NOTEBOOK]


def test_a_place_where_nothing_can_be_written(birds, tmp_path):
    (tmp_path / "p").write_text("a file, no folder")
    with pytest.raises(ProjectError, match="could not be written"):
        new_project("birds", birds, into=tmp_path / "p")


@given(st.lists(st.integers(1, 12), min_size=2, max_size=12))
def test_a_fifth_is_held_out_and_every_label_can_be_learned(counts):
    labels = {Path(f"{n}_{i}.jpg"): str(n) for n, count in enumerate(counts) for i in range(count)}
    judged = held_out(labels)
    assert judged == held_out(dict(reversed(labels.items())))
    assert {labels[file] for file in labels.keys() - judged} == set(labels.values())
    assert abs(len(judged) - sum(counts) / 5) <= 1 + counts.count(1)
    for label, count in enumerate(counts):
        held = sum(labels[file] == str(label) for file in judged)
        assert count // 5 <= held + (count == 1) and held <= -(-count // 5)


def test_worries():
    assert worries({"a": 20, "b": 30}) == []
    (few,) = worries({"a": 9, "b": 30})
    assert "fewer than 10 pictures of a:" in few
    (uneven,) = worries({"a": 10, "b": 51})
    assert "51 pictures of b and 10 of a" in uneven


def test_a_folder_that_is_no_project(tmp_path):
    with pytest.raises(ProjectError, match="course new"):
        Project.here(tmp_path)
    (tmp_path / SETTINGS).write_text("{")
    with pytest.raises(ProjectError, match="damaged"):
        Project.here(tmp_path)


def test_an_app_before_its_model_says_what_to_run(birds, tmp_path):
    project = new_project("birds", birds, into=tmp_path / "p")
    done = course("app", "--project", project.folder, "--no-browser")
    assert done.returncode == 1
    assert "run its project.ipynb" in done.stderr


def photos(folder):
    """Real photos where there are some beside the course, else some that it drew."""
    if PHOTOS.exists():
        with tarfile.open(PHOTOS) as archive:
            archive.extractall(folder, filter="data")
        return folder / "oxford-iiit-pet"
    for file in sorted((DATA / "pets" / "images").glob("*_1?.jpg")):
        target = folder / "images" / file.name
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_bytes(file.read_bytes())
    return folder


async def _answer(server, file):
    visitor = Visitor(server)
    await visitor.open()
    reply, _ = await visitor.show(file.name, file.read_bytes())
    await visitor.leave()
    return reply


def test_from_the_command_to_an_app_that_answers(own_folders, tmp_path):
    made = course("new", "pets", "--from", "01", "--data", photos(tmp_path / "data"),
                  "--into", tmp_path / "p")  # fmt: skip
    assert made.returncode == 0, made.stderr
    project = Project.here(tmp_path / "p" / "pets")
    notebook = nbformat.read(project.folder / NOTEBOOK, as_version=4)
    place = {"metadata": {"path": str(project.folder)}}
    client = NotebookClient(notebook, timeout=900, kernel_name="python3", resources=place)
    with client.setup_kernel(env=os.environ | {"COURSE_DEVICE": "cpu"}):
        for number, cell in enumerate(notebook.cells):
            client.execute_cell(cell, number)
        url, token = re.search(r"(http://\S+)/\?token=(\w+)", str(cell.outputs)).groups()
        file = next((project.pictures / "train" / "cat").iterdir())
        reply = in_own_loop(_answer(Server(url, token, psutil.Process(), Path()), file))
    (expected,) = Predictor(project.model).predict([file])
    assert dict(reply["bars"]) == pytest.approx(expected.probabilities, abs=1e-4)
    assert project.pictures.with_name("pictures.cleaning").exists() is False  # nothing was chosen
    files = export_app(tmp_path / "out", project.model, project.folder / APP)
    assert APP in files
    assert "# pets" in (tmp_path / "out" / "README.md").read_text()
