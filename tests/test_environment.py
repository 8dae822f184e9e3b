"""The lists of dependencies agree with each other and with what is installed."""

from importlib.metadata import requires, version

import pins
import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name


def pinned() -> dict[str, set[str]]:
    """Package → the versions that requirements.txt names for it (one for each range of Pythons)."""
    found = {}
    for line in pins.REQUIREMENTS.read_text(encoding="utf-8").splitlines():
        if not line.startswith("#"):
            requirement = Requirement(line)
            (specifier,) = requirement.specifier
            found.setdefault(canonicalize_name(requirement.name), set()).add(specifier.version)
    return found


def test_requirements_come_from_this_list():
    first = pins.REQUIREMENTS.read_text(encoding="utf-8").splitlines()[0]
    assert first == pins.header(), "dependencies changed in pyproject.toml: type `make pins`"


def test_environment_yml_is_what_would_be_generated():
    assert pins.ENVIRONMENT.read_text(encoding="utf-8") == pins.environment(), "type `make pins`"


@pytest.mark.parametrize("line", pins.project()["dependencies"])
def test_every_dependency_is_pinned_within_its_range(line):
    requirement = Requirement(line)
    versions = pinned()[canonicalize_name(requirement.name)]
    assert all(requirement.specifier.contains(v, prereleases=True) for v in versions)


def test_no_addresses_in_requirements():
    text = pins.REQUIREMENTS.read_text(encoding="utf-8")
    assert "://" not in text
    assert not any(line.startswith("-") for line in text.splitlines())


def test_torch_and_torchvision_are_a_pair():
    wanted = [Requirement(r) for r in requires("torchvision") if Requirement(r).name == "torch"]
    (torch_specifier,) = [r.specifier for r in wanted]
    (torch_version,) = pinned()["torch"]
    assert torch_specifier.contains(torch_version)


@pytest.mark.parametrize("name", ["torch", "torchvision", "fastai", "jupyterlab", "ipywidgets"])
def test_what_is_installed_is_what_is_pinned(name):
    assert version(name).split("+")[0] in pinned()[name]
