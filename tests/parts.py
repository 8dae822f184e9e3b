"""The parts of `utils` and which imports which, as utils/README.md shows them.

Worked out from the import contract in pyproject.toml, the modules' first lines and their imports:
`python tests/parts.py --write` writes it there, and test_parts.py fails when it has drifted.
"""

import argparse
import ast
import re
from collections.abc import Iterator
from itertools import permutations
from pathlib import Path

import grimp
from pins import PYPROJECT, ROOT, tomllib

README = ROOT / "utils" / "README.md"
BEGIN, END = "<!-- made by `make map` -->\n", "<!-- end -->\n"


def layers() -> list[list[str]]:
    """The parts in each layer of the contract, from the top down."""
    (order,) = (
        contract
        for contract in tomllib.loads(PYPROJECT.read_text())["tool"]["importlinter"]["contracts"]
        if contract["type"] == "layers"
    )
    return [re.findall(r"\w+", layer) for layer in order["layers"]]


def table() -> Iterator[str]:
    """What each part is for, in the words of its own first line."""
    yield from ("| part | does |", "|---|---|")
    for part in (part for layer in layers() for part in layer):
        folder = ROOT / "utils" / part
        file = folder / "__init__.py" if folder.is_dir() else folder.with_suffix(".py")
        yield f"| `{part}{'/' * folder.is_dir()}` | {first_line(file)} |"


def first_line(file: Path) -> str:
    return ast.get_docstring(ast.parse(file.read_text(encoding="utf-8"))).splitlines()[0]


def picture() -> Iterator[str]:
    """An arrow for each import between parts, where no longer way leads there too."""
    graph, parts = grimp.build_graph("utils"), [part for layer in layers() for part in layer]
    imports = {
        pair
        for pair in permutations(parts, 2)
        if graph.find_shortest_chains(*(f"utils.{part}" for part in pair), as_packages=True)
    }
    yield from ("```mermaid", "flowchart TD")
    for importer, imported in sorted(imports, key=lambda pair: [*map(parts.index, pair)]):
        if not any({(importer, part), (part, imported)} <= imports for part in parts):
            yield f"    {importer} --> {imported}"
    yield "```"


def drawn() -> str:
    """The lines between BEGIN and END."""
    return "\n".join([*table(), "", *picture(), ""])


def readme(text: str) -> str:
    """The text of the README with these lines in it."""
    before, _, rest = text.partition(BEGIN)
    return f"{before}{BEGIN}\n{drawn()}\n{END}{rest.partition(END)[2]}"


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--write", action="store_true", required=True, help="write utils/README.md")
    parser.parse_args()
    README.write_text(readme(README.read_text(encoding="utf-8")), encoding="utf-8")
