"""The map of `utils` is that of the code, and modules use nothing that is another's own."""

import ast

import parts
import pytest

UTILS = parts.README.parent
MODULES = sorted(UTILS.rglob("*.py"))


def test_the_readme_shows_the_parts_as_they_are():
    text = parts.README.read_text(encoding="utf-8")
    assert parts.readme(text) == text, "the parts or their imports changed: type `make map`"


@pytest.mark.parametrize("module", MODULES, ids=lambda file: file.relative_to(UTILS).as_posix())
def test_no_private_name_is_imported_from_another_module(module):
    for node in ast.walk(ast.parse(module.read_text(encoding="utf-8"))):
        if isinstance(node, ast.ImportFrom) and (node.module or "").startswith("utils"):
            assert not [name.name for name in node.names if name.name.startswith("_")]
