"""Where links inside a page lead; a module of its own, since Sphinx keeps its name."""


def as_in_jupyterlab(heading: str) -> str:
    """The anchor of a heading as JupyterLab makes it, so that the chapters' links hold here too."""
    return heading.replace(" ", "-")
