"""How the judge does on answers marked by hand: `python -m tests.bench_answers FILE …`.

A file has a JSON object a line: `question` (or `id`), `answer`, `label` (or `want`), and who
answered, `learner`. Tuned on answers say little: `--learners` measures on some learners only, and
`--quiet` leaves out the answers themselves, so that nobody tunes on what is held back.
"""

import argparse
import json
import time
from collections import Counter
from collections.abc import Iterable
from pathlib import Path

from scipy.stats import binomtest

from utils.quiz import load_bank

# Of the 15 learners of learner_answers_2.jsonl: random.Random(1).sample(sorted(learners), 6).
HELD_BACK = ("af", "ah", "f", "o", "v", "x")
HAND = ("right", "partial", "wrong")
PROGRAM = ("right", "partial", "unmatched", "wrong")
Row = tuple[str, str, str, str]  # question, answer, by hand, by program


def judged(paths: Iterable[Path], learners: Iterable[str] = ()) -> list[Row]:
    """Every answer of the files (of these learners) with its mark and the program's."""
    bank, rows = load_bank(), list[Row]()
    for path in paths:
        for line in path.read_text(encoding="utf-8").splitlines():
            row = json.loads(line)
            if learners and row.get("learner") not in learners:
                continue
            question = bank[row.get("question") or row["id"]]
            outcome = question.check(row["answer"]).outcome
            by_program = "unmatched" if outcome == "blank" else outcome
            rows.append((question.id, row["answer"], row.get("label") or row["want"], by_program))
    return rows


def matrix(rows: list[Row]) -> str:
    """By hand in the rows, by the program in the columns."""
    counts = Counter((hand, program) for _, _, hand, program in rows)
    lines = [f"{'by hand':10}" + "".join(f"{program:>11}" for program in PROGRAM)]
    for hand in HAND:
        cells = "".join(f"{counts[hand, program]:11}" for program in PROGRAM)
        lines.append(f"{hand:10}{cells}{sum(r[2] == hand for r in rows):8}")
    return "\n".join(lines)


def shares(rows: list[Row]) -> str:
    """What the targets are about, each with its interval."""
    wanted: dict[str, list[tuple[str, ...]]] = {
        "right": [("right",), ("right", "partial"), ("wrong",), ("unmatched",)],
        "partial": [("right",), ("right", "partial"), ("wrong",), ("unmatched",)],
        "wrong": [("right",)],
    }
    lines = []
    for hand, targets in wanted.items():
        of = [row for row in rows if row[2] == hand]
        for target in targets:
            part = sum(row[3] in target for row in of)
            name = f"{hand} -> {' or '.join(target)}"
            if of:
                low, high = binomtest(part, len(of)).proportion_ci(method="wilson")
                share = f"{part / len(of):.3f}  [{low:.3f}, {high:.3f}]"
                lines.append(f"  {name:28} {share}  {part} of {len(of)}")
    return "\n".join(lines)


def by_question(rows: list[Row]) -> str:
    """The questions where most answers are judged otherwise than by hand."""
    off = Counter(row[0] for row in rows if row[2] != row[3])
    of = Counter(row[0] for row in rows)
    return "\n".join(f"  {id:14} {count} of {of[id]} otherwise" for id, count in off.most_common())


def main() -> None:
    """Print the matrices, and the disagreements unless `--quiet`."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("files", nargs="+", type=Path)
    parser.add_argument("--learners", help="a,b,c, or held, or tuned: all but those held back")
    parser.add_argument("--quiet", action="store_true", help="matrices only")
    options = parser.parse_args()
    everyone = {
        json.loads(line).get("learner")
        for path in options.files
        for line in path.read_text(encoding="utf-8").splitlines()
    }
    named = {"held": set(HELD_BACK), "tuned": everyone - set(HELD_BACK), None: set()}
    learners = named.get(options.learners) or set((options.learners or "").split(",")) - {""}
    started = time.process_time()
    rows = judged(options.files, learners)
    each = 1000 * (time.process_time() - started) / max(1, len(rows))
    print(f"{len(rows)} answers, {each:.1f} ms each\n\n{matrix(rows)}\n\n{shares(rows)}")
    for topic in sorted({row[0].rpartition("-")[0] for row in rows}):
        of = [row for row in rows if row[0].startswith(f"{topic}-")]
        print(f"\n{topic}\n{matrix(of)}\n{shares(of)}")
    if options.quiet:
        return
    print(f"\nby question\n{by_question(rows)}\n\ndisagreements (by hand, by program)")
    for id, answer, hand, program in sorted(rows):
        if hand != program:
            print(f"{id:14} {hand:8} {program:10} {' '.join(answer.split())}")


if __name__ == "__main__":
    main()
