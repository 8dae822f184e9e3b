"""`course update`: what learners change in a clone, and what the course changes meanwhile."""

import subprocess

import nbformat
import pytest
from nbformat.v4 import new_code_cell, new_markdown_cell, new_notebook

from tests.typed import course as type_course
from utils import cli
from utils import update as module
from utils.common import CourseError
from utils.update import update

PAGE = "notebooks/01_pets.ipynb"
CELLS = {"title": "# Pets", "train": "train(1)", "table": "table()", "end": "done()"}


def git(folder, *words):
    settings = ("user.name=test", "user.email=test@localhost", "init.defaultBranch=main")
    command = ["git", *(word for setting in settings for word in ("-c", setting)), *words]
    done = subprocess.run(command, cwd=folder, check=True, capture_output=True, text=True)
    return done.stdout.strip()


def write_page(folder, output="1", **cells):
    (folder / "notebooks").mkdir(exist_ok=True)
    page = new_notebook(cells=[new_markdown_cell(CELLS["title"], id="title")])
    for id, source in (CELLS | cells).items():
        if id != "title" and source:
            cell = new_code_cell(source, id=id)
            cell.outputs = [nbformat.v4.new_output("stream", text=output)]
            page.cells.append(cell)
    nbformat.write(page, folder / PAGE)


def cells(folder, page=PAGE):
    return {cell.id: cell.source for cell in nbformat.read(folder / page, as_version=4).cells}


@pytest.fixture
def course(tmp_path):
    """The course as published, with a first version."""
    folder = tmp_path / "published"
    folder.mkdir()
    git(folder, "init", "--quiet")
    write_page(folder)
    for name in ("README.md", "old.py", "tool.py"):
        (folder / name).write_text(f"{name}, first version\n")
    publish(folder)
    return folder


def publish(folder):
    git(folder, "add", "--all")
    git(folder, "commit", "--quiet", "--message", "a version")


@pytest.fixture
def mine(course, tmp_path):
    """A learner's clone of it."""
    git(tmp_path, "clone", "--quiet", str(course), "mine")
    return tmp_path / "mine"


def new_version(course, **changed):
    write_page(course, output="2", **(changed or {"table": "table(2)"}))
    (course / "tool.py").write_text("tool.py, second version\n")
    (course / "old.py").unlink(missing_ok=True)
    (course / "new.py").write_text("new\n")
    publish(course)


def test_a_notebook_that_was_only_run_is_the_new_one(course, mine):
    write_page(mine, output="mine")
    new_version(course)
    update(mine)
    assert (mine / PAGE).read_bytes() == (course / PAGE).read_bytes()
    assert git(mine, "status", "--porcelain") == ""


def test_a_changed_cell_is_kept_where_the_course_left_it_alone(course, mine):
    write_page(mine, train="train(5)")
    new_version(course)
    said = "\n".join(update(mine))
    assert cells(mine) == CELLS | {"train": "train(5)", "table": "table(2)"}
    assert f"{PAGE}: your cells are in the new version" in said


def test_added_cells_stand_where_they_were_added(course, mine):
    page = nbformat.read(mine / PAGE, as_version=4)
    page.cells[2:2] = [new_code_cell("a = 1", id="mine-1"), new_code_cell("a", id="mine-2")]
    page.cells.insert(0, new_markdown_cell("My notes", id="mine-0"))
    nbformat.write(page, mine / PAGE)
    new_version(course, plot="plot()")
    update(mine)
    expected = ["mine-0", "title", "train", "mine-1", "mine-2", "table", "end", "plot"]
    assert list(cells(mine)) == expected


def test_a_cell_that_both_changed_is_the_courses_and_mine_lies_beside(course, mine):
    write_page(mine, train="train(5)", end="mine()")
    new_version(course, train="train(2)")
    said = "\n".join(update(mine))
    assert cells(mine) == CELLS | {"train": "train(2)", "end": "mine()"}
    assert cells(mine, "notebooks/01_pets.yours-1.ipynb")["train"] == "train(5)"
    assert "yours as 01_pets.yours-1.ipynb" in said


def test_a_changed_cell_that_the_course_dropped_lies_beside(course, mine):
    write_page(mine, end="mine()")
    new_version(course, end="")
    update(mine)
    assert "end" not in cells(mine)
    assert cells(mine, "notebooks/01_pets.yours-1.ipynb")["end"] == "mine()"


def test_no_notebook_any_more_lies_beside_as_it_is(course, mine):
    (mine / PAGE).write_text("not JSON {")
    new_version(course)
    update(mine)
    assert (mine / PAGE).read_bytes() == (course / PAGE).read_bytes()
    assert (mine / "notebooks/01_pets.yours-1.ipynb").read_text() == "not JSON {"


def test_a_page_that_the_course_did_not_change_stays_to_the_byte(course, mine):
    write_page(mine, output="mine", train="train(5)")
    before = (mine / PAGE).read_bytes()
    new_version(course, train=CELLS["train"])
    write_page(course)
    publish(course)
    update(mine)
    assert (mine / PAGE).read_bytes() == before


def test_other_files_deleted_dropped_and_in_the_way(course, mine):
    (mine / "tool.py").write_text("mine\n")
    (mine / "old.py").write_text("mine too\n")
    (mine / "new.py").write_text("I was here first\n")
    (mine / "README.md").unlink()
    (mine / "notes.txt").write_text("private\n")
    new_version(course)
    said = "\n".join(update(mine))
    text = {file.name: file.read_text() for file in mine.iterdir() if file.is_file()}
    assert text["tool.py"] == "tool.py, second version\n"
    assert text["tool.yours-1.py"] == "mine\n"
    assert text["old.py"] == "mine too\n"
    assert text["new.yours-1.py"] == "I was here first\n"
    assert text["README.md"] == "README.md, first version\n"
    assert text["notes.txt"] == "private\n"
    assert "README.md: deleted by you: comes back" in said and "notes.txt" not in said


def test_commits_of_my_own_stay_on_a_branch(course, mine):
    write_page(mine, train="train(5)")
    publish(mine)
    head = git(mine, "rev-parse", "HEAD")
    new_version(course)
    assert f"yours-{head[:8]}" in update(mine)[-2]
    assert cells(mine) == CELLS | {"train": "train(5)", "table": "table(2)"}
    assert git(mine, "rev-parse", f"yours-{head[:8]}") == head


def test_a_dry_run_does_nothing_and_says_all(course, mine):
    write_page(mine, train="train(5)")
    new_version(course)
    before = git(mine, "status", "--porcelain"), git(mine, "rev-parse", "HEAD")
    said = update(mine, dry_run=True)
    assert said == [f"{PAGE}: your cells are in the new version",
                    "4 files would change. Nothing was done."]  # fmt: skip
    assert before == (git(mine, "status", "--porcelain"), git(mine, "rev-parse", "HEAD"))


def test_nothing_new_and_no_network(course, mine):
    assert update(mine) == ["This is the newest version already."]
    write_page(mine, train="train(5)")
    course.rename(course.with_name("gone"))
    with pytest.raises(CourseError, match="git fetch did not work"):
        update(mine)
    assert cells(mine)["train"] == "train(5)"


def test_as_a_person_types_it(course, mine, monkeypatch):
    monkeypatch.setattr(cli, "ROOT", mine)
    (mine / "requirements.txt").write_text("torch==1\n")
    publish(mine)
    (course / "requirements.txt").write_text("torch==2\n")
    write_page(mine, train="train(5)")
    new_version(course)
    dry = type_course("update", "--dry-run")
    assert dry.status == 0 and "Nothing was done." in dry.out
    done = type_course("update", is_terminal=True)
    assert f"{PAGE}: your cells are in the new version" in done.out
    assert "`python start.py` renews the environment" in done.out
    assert type_course("update").out == "This is the newest version already.\n"
    course.rename(course.with_name("gone"))
    gone = type_course("update")
    assert gone.status == 1 and "git fetch did not work" in gone.errors


class Killed(BaseException):
    """As a kill is: no handler of errors hears it."""


@pytest.mark.parametrize(
    "moment", ["before reset", "within reset", "after reset", "1 file", "2 files", "3 files"]
)
def test_killed_and_called_again(course, mine, monkeypatch, moment):
    write_page(mine, train="train(5)")
    (mine / "tool.py").write_text("mine\n")
    new_version(course)
    written = []

    def stopped_git(root, *words):
        if words[0] != "reset" or moment.endswith(("file", "files")):
            return real_git(root, *words)
        if moment == "within reset":
            real_git(root, "checkout", words[-1], "--", PAGE)
            (root / ".git" / "index.lock").touch()
        if moment == "after reset":
            real_git(root, *words)
        raise Killed

    def stopped_write(path, content):
        if len(written) == int(moment[0]) - 1:
            raise Killed
        written.append(path)
        real_write(path, content)

    real_git, real_write = module.git, module.write_whole
    with monkeypatch.context() as patch:
        patch.setattr(module, "git", stopped_git)
        if moment.endswith(("file", "files")):
            patch.setattr(module, "write_whole", stopped_write)
        with pytest.raises(Killed):
            update(mine)
    update(mine)
    assert cells(mine) == CELLS | {"train": "train(5)", "table": "table(2)"}
    assert (mine / "tool.py").read_text() == "tool.py, second version\n"
    assert (mine / "tool.yours-1.py").read_text() == "mine\n"
    assert not (mine / "tool.yours-2.py").exists() and not (mine / ".git" / module.SAVED).exists()
    assert update(mine) == ["This is the newest version already."]
