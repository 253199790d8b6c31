"""Sphinx: `sphinx-build -W docs docs/_build` makes the pages, without a network."""

from __future__ import annotations

import re

from sphinx.application import Sphinx

import monai_aggrgan

project = "monai-aggrgan"
author = "the authors of monai-aggrgan"
release = version = monai_aggrgan.__version__

extensions = ["myst_parser", "sphinx.ext.autodoc", "sphinx.ext.napoleon"]
exclude_patterns = ["_build"]
html_theme = "furo"
html_title = f"{project} {release}"
html_copy_source = False

default_role = "literal"  # docstrings write names as `name`
autodoc_member_order = "bysource"
autodoc_typehints = "signature"
napoleon_numpy_docstring = False
napoleon_use_ivar = True
napoleon_use_rtype = False
myst_heading_anchors = 4


def setup(app: Sphinx) -> None:
    """Links to Markdown files outside docs/, which are pages in the repository but none here, become downloads."""
    app.connect("source-read", lambda app, name, source: source.__setitem__(0, outside_as_downloads(source[0])))


def outside_as_downloads(text: str) -> str:
    """Rewrite `[text](../folder/file.md)` as MyST's role `download`."""
    return re.sub(r"\[([^]`]+)\]\((\.\./[^)#]+\.md)\)", r"{download}`\1 <\2>`", text)
