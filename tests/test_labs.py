"""The exercises of chapter 06: unsolved, solved and plausibly wrong each get their own verdict."""

import inspect
import textwrap

import nbformat
import pytest
import torch
import torch.nn.functional as F
from torch import nn

from utils import labs
from utils.paths import chapter
from utils.quiz.journal import Journal

CELLS = [c.source for c in nbformat.read(chapter("06"), as_version=4).cells]


def cell(start):
    """The one cell of the chapter with a line that starts so."""
    (found,) = [c for c in CELLS if any(row.startswith(start) for row in c.splitlines())]
    return found


def run(source, name):
    """What `name` is after the source ran as a cell of the chapter."""
    names = {"torch": torch, "F": F, "nn": nn}
    names |= {"height": labs.height, "mnist_loss": labs.mnist_loss}
    exec(compile(source, f"<cell {name}>", "exec"), names)
    return names[name]


# --- the three labs

ZERO_A = ("losses.append", "v.grad.zero_(); d.grad.zero_()\n        losses.append")
REPAIRS = {
    "a": [
        ZERO_A,
        ("loss.backward()", "v.grad = d.grad = None\n        loss.backward()"),
    ],
    "b": [
        ("p = x @ w + b", "p = (x @ w + b).sigmoid()"),
        ("torch.where(y == 1, 1 - p, p).mean()", "mnist_loss(p, y)"),
        ("torch.where(y == 1, 1 - p, p).mean()", "F.binary_cross_entropy_with_logits(p, y)"),
    ],
    "c": [("3.0 *", "1.0 *"), ("3.0 *", "0.3 *"), ("3.0 *", "2.5 *")],
}
WRONG = {
    "a": [
        (("0.1 *", "0.001 *"), "left from the step before"),
        (("-=", "+="), "does not go down"),
        (("losses.append(loss.item())", "v.grad.zero_(); d.grad.zero_()"), "one loss for each"),
        (("h) ** 2", "h) * 2"), "first step"),
    ],
    "b": [
        (("0.5 *", "0.001 *"), "between 0 and 1"),
        (("p = x @ w + b", "p = (x @ w + b).clamp(0, 1)"), "step"),
        (("p = x @ w + b", "p = (x @ w + b).abs()"), "step"),
    ],
    "c": [
        (("3.0 *", "2.9 *"), "too long"),
        (("3.0 *", "30.0 *"), "too long"),
        (("3.0 *", "0.001 *"), "too slowly"),
        (("parameter -= 3.0", "parameter = parameter - 3.0"), "AttributeError"),
        (("parameter -= 3.0", "0 * 3.0"), "did not change"),
        (("loss.backward()", "los.backward()"), "NameError"),
    ],
}


@pytest.mark.parametrize("lab", "abc")
def test_the_cell_is_the_loop_whose_curve_was_shown(lab):
    train = run(cell(f"def train_{lab}"), f"train_{lab}")
    it = labs.LABS[lab]
    assert train(*it.start(), it.batches()) == labs.lab_losses(lab)
    hidden = inspect.getsource(it.loop).splitlines()[2:]
    shown = cell(f"def train_{lab}").splitlines()[2:]
    assert textwrap.dedent("\n".join(hidden)) == textwrap.dedent("\n".join(shown))


@pytest.mark.parametrize("lab", "abc")
def test_unrepaired_is_not_repaired(lab, capsys):
    verdict = labs.judge_repair(lab, run(cell(f"def train_{lab}"), f"train_{lab}"))
    assert not verdict.solved
    labs.check_repair(lab, labs.LABS[lab].loop)
    assert capsys.readouterr().out == f"not yet: {verdict.sentence}\n"


@pytest.mark.parametrize(
    ("lab", "change"), [(lab, change) for lab in "abc" for change in REPAIRS[lab]]
)
def test_every_good_repair_is_accepted(lab, change):
    source = cell(f"def train_{lab}")
    assert change[0] in source
    verdict = labs.judge_repair(lab, run(source.replace(*change), f"train_{lab}"))
    assert verdict.solved, verdict


@pytest.mark.parametrize(
    ("lab", "change", "says"), [(lab, *wrong) for lab in "abc" for wrong in WRONG[lab]]
)
def test_plausible_but_wrong_gets_its_own_sentence(lab, change, says):
    source = cell(f"def train_{lab}")
    assert change[0] in source
    verdict = labs.judge_repair(lab, run(source.replace(*change), f"train_{lab}"))
    assert not verdict.solved and says in verdict.sentence


def test_a_repair_that_is_no_function_is_told():
    assert "TypeError" in labs.judge_repair("a", None).sentence


def test_the_curves_show_what_is_wrong():
    swings, falls, grows = (torch.tensor(labs.lab_losses(lab)) for lab in "abc")
    turns = (swings.diff().sign().diff() != 0).sum()
    assert turns >= 5 and swings.max() < 10 and swings.min() < 1
    assert falls[-20:].mean() < -100
    assert (grows[2:].diff() > 0).all() and grows[-1] > 1000


@pytest.mark.parametrize("lab", "abc")
def test_each_diagnosis_has_feedback(lab, tmp_path, monkeypatch, capsys):
    monkeypatch.setenv("COURSE_HOME", str(tmp_path))
    panels = []
    monkeypatch.setattr("utils.quiz.widget.show_widget", lambda *args: panels.append(args[0]))
    labs.diagnose(lab)
    (panel,) = panels
    replies = []
    panel.send = lambda reply, buffers: replies.append(reply)
    right = list(labs.DIAGNOSES).index(labs.REASONS[lab][0])
    for number in range(4):
        id = panel.card["id"]
        panel.respond({"nr": 1, "do": "check", "id": id, "answer": "abcd"[number]})
        assert replies.pop() == {"nr": 1, "problem": ""}
        assert (panel.card["outcome"] == "right") == (number == right)
        told = panel.card["message"] + panel.card["result"]
        assert all(reason[:20] in told for reason in labs.REASONS[lab][2].values())
    assert Journal().latest(panel.card["id"]).answer


# --- your own Learner

LEARNER = """
class MyLearner:
    def __init__(self, dls, model, loss_func, metric):
        self.dls, self.model, self.loss_func, self.metric = dls, model, loss_func, metric
        self.history = []

    def train(self, lr):
        self.model.train()
        losses = []
        for x, y in self.dls.train:
            loss = self.loss_func(self.model(x), y)
            loss.backward()
            with torch.no_grad():
                for p in self.model.parameters():
                    p -= lr * p.grad
                    p.grad.zero_()
            losses.append(loss.item())
        return sum(losses) / len(losses)

    @torch.no_grad()
    def judge(self, function):
        self.model.eval()
        values = [function(self.model(x), y).item() for x, y in self.dls.valid]
        return sum(values) / len(values)

    def fit(self, epochs, lr):
        for _ in range(epochs):
            row = self.train(lr), self.judge(self.loss_func), self.judge(self.metric)
            self.history.append(row)
"""
WITH_OPTIMISER = """
class MyLearner:
    def __init__(self, dls, model, loss_func, metric):
        self.dls, self.model, self.loss_func, self.metric = dls, model, loss_func, metric
        self.history = []

    def fit(self, epochs, lr):
        optimiser = torch.optim.SGD(self.model.parameters(), lr=lr)
        for epoch in range(epochs):
            self.model.train()
            losses = []
            for x, y in self.dls.train:
                optimiser.zero_grad()
                loss = self.loss_func(self.model(x), y)
                loss.backward()
                optimiser.step()
                losses.append(loss.detach())
            self.model.eval()
            with torch.no_grad():
                pairs = [(self.model(x), y) for x, y in self.dls.valid]
                valid = torch.stack([self.loss_func(*pair) for pair in pairs]).mean()
                metric = torch.stack([self.metric(*pair) for pair in pairs]).mean()
            self.history.append([torch.stack(losses).mean(), valid, metric])
"""
WRONG_LEARNERS = [
    (("p.grad.zero_()", "pass"), "not set to zero"),
    (("p -= lr", "p -= 0.1"), "parameters are not those"),
    (("self.dls.train:", "[*self.dls.train, *self.dls.valid]:"), "validation batches"),
    (("range(epochs)", "range(1)"), "3 times"),
    (("self.model.eval()", "pass"), "eval mode"),
    (("self.model.train()", "pass"), "train mode"),
    (("self.judge(self.metric)", "0.0"), "metric"),
    (("self.train(lr), ", "self.train(lr), 0.0 * "), "validation loss"),
    (("sum(losses) / len(losses)", "losses[-1]"), "training loss"),
    (("self.history.append(row)", "pass"), "history"),
    (("self.history", "self.told"), "history"),
    (("lr):\n        for _", "rate):\n        for _"), "NameError"),
    (("metric):", "metric, more):"), "TypeError"),
    (("    def judge", "\n".join(f"    x{n} = {n}" for n in range(20)) + "\n    def judge"), ""),
]


def as_in_a_notebook(source, name="MyLearner"):
    """A class whose code can be found, as IPython arranges for what is typed into a cell."""
    import linecache

    file = f"<ipython-input-{abs(hash(source))}>"
    linecache.cache[file] = (len(source), None, source.splitlines(keepends=True), file)
    names = {"torch": torch}
    exec(compile(source, file, "exec"), names)
    return names[name]


def test_the_skeleton_of_the_learner_says_what_is_missing():
    verdict = labs.judge_learner(as_in_a_notebook(cell("class MyLearner")))
    assert not verdict.solved and "no parameter has changed" in verdict.sentence


@pytest.mark.parametrize("source", [LEARNER, WITH_OPTIMISER], ids=["by hand", "optimiser"])
def test_a_learner_that_passes(source):
    verdict = labs.judge_learner(as_in_a_notebook(source))
    assert verdict.solved, verdict
    lines = sum(bool(row.strip()) for row in source.splitlines())
    assert f"in {lines} lines" in verdict.sentence


@pytest.mark.parametrize(("change", "says"), WRONG_LEARNERS, ids=lambda v: str(v)[:40])
def test_a_learner_that_does_not(change, says):
    if not says:
        change, says = (
            ("    @torch.no_grad()", "    x = 0\n" * 20 + "    @torch.no_grad()"),
            "lines",
        )
    assert change[0] in LEARNER
    verdict = labs.judge_learner(as_in_a_notebook(LEARNER.replace(*change)))
    assert not verdict.solved and says in verdict.sentence, verdict


def test_something_else_than_a_learner():
    assert not labs.judge_learner(None).solved
    assert not labs.judge_learner(lambda *args: None).solved


# --- softmax and ten digits


def softmax(scores):
    powers = (scores - scores.max(1, keepdim=True).values).exp()
    return powers / powers.sum(1, keepdim=True)


def cross_entropy(scores, targets):
    return -softmax(scores)[range(len(targets)), targets].log().mean()


def unsafe(scores):
    return scores.exp() / scores.exp().sum(1, keepdim=True)


@pytest.mark.parametrize(
    ("probabilities", "loss", "says"),
    [
        (lambda s: None, cross_entropy, "shape"),
        (lambda s: s, cross_entropy, "negative"),
        (lambda s: s.exp(), cross_entropy, "sum to 1"),
        (lambda s: s.exp() / s.exp().sum(), cross_entropy, "sum to 1"),
        (lambda s: s.sigmoid() / s.sigmoid().sum(1, keepdim=True), cross_entropy, "exp(score)"),
        (unsafe, cross_entropy, "nan"),
        (softmax, lambda s, t: 1 / 0, "ZeroDivisionError"),
        (softmax, lambda s, t: softmax(s)[range(8), t].log().mean(), "minus the log"),
        (softmax, lambda s, t: -softmax(s)[range(8), t].log(), "minus the log"),
        (softmax, lambda s, t: None, "stopped"),
    ],
)
def test_softmax_that_is_not_right(probabilities, loss, says):
    verdict = labs.judge_softmax(probabilities, loss)
    assert not verdict.solved and says in verdict.sentence


def test_softmax_that_is_right():
    assert labs.judge_softmax(softmax, cross_entropy).solved


def test_the_skeleton_of_softmax_is_not():
    source = cell("def my_softmax")
    mine = run(source, "my_softmax"), run(source, "my_cross_entropy")
    assert not labs.judge_softmax(*mine).solved


def test_ten_digits():
    torch.manual_seed(0)
    y = torch.arange(10).repeat(10)
    x = F.one_hot(y, 784).float().view(-1, 1, 28, 28)  # a pixel for each digit
    right = nn.Sequential(nn.Flatten(), nn.Linear(784, 10, bias=False))
    skeleton = run(cell("my_model ="), "my_model")
    assert "accuracy" in labs.judge_ten(skeleton, x, y, 0.97, 20_000).sentence
    with torch.no_grad():
        right[1].weight.copy_(torch.eye(10, 784))
    assert labs.judge_ten(right, x, y, 0.97, 20_000).solved
    assert "at most 1,000" in labs.judge_ten(right, x, y, 0.97, 1_000).sentence
    assert "ten scores" in labs.judge_ten(nn.Flatten(), x, y, 0.97, 1_000).sentence
    assert "AttributeError" in labs.judge_ten(None, x, y, 0.97, 1_000).sentence
    assert "RuntimeError" in labs.judge_ten(nn.Linear(3, 10), x, y, 0.97, 1_000).sentence


def test_the_ten_digits_exercise_can_be_solved():
    """The reference solution, with the chapter's own cells: a smaller network on the sample."""
    names = {"torch_data": torch.utils.data}
    exec("from fastai.vision.all import *\nfrom utils.data import dataset", names)
    names["ten"] = names["dataset"]("mnist", "sample")
    for start in ("def load(", "def load_ten", "ten_x, ten_y", "def jitter", "class Jitter"):
        exec(cell(start), names)
    exec("\n".join((cell("def loaders"), cell("def conv"), SMALLER)), names)
    source = cell("labs.check_ten(").replace("labs.check_ten", "verdict = labs.judge_ten")
    exec(source, names | {"labs": labs}, names)
    assert names["verdict"].solved, names["verdict"]


SMALLER = """
set_seed(0)
layers = conv(1, 12, 5), conv(12, 24), conv(24, 36)
my_model = nn.Sequential(*layers, nn.Flatten(), nn.Linear(36 * 4 * 4, 10))
my_learn = Learner(loaders(), my_model, loss_func=F.cross_entropy, cbs=Jitter)
with my_learn.no_bar(), my_learn.no_logging():
    my_learn.fit_one_cycle(12, 1e-2)
"""
