"""What Sphinx needs to know; `make site` puts the pages beside this file's copy (build.py)."""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))  # for anchors.py

project = "Whole Game"
author = "the Whole Game authors"
html_title = project
extensions = ["myst_nb", "sphinx.ext.githubpages"]
html_theme = "sphinx_book_theme"
html_theme_options = {
    "navbar_persistent": [],  # one search is enough
    "use_download_button": False,
    "use_fullscreen_button": False,
}
html_static_path = ["_static"]
html_css_files = ["course.css"]
html_js_files = [("course.js", {"defer": "defer"})]
nb_execution_mode = "off"  # the outputs are those that the chapters were stored with
nb_merge_streams = True
# of the outputs that cannot be shown (a live widget), its twin stands beside it
nb_mime_priority_overrides = [("html", "application/vnd.jupyter.widget-view+json", None)]
myst_enable_extensions = ["dollarmath", "amsmath"]
myst_heading_anchors = 4

myst_heading_slug_func = "anchors.as_in_jupyterlab"
