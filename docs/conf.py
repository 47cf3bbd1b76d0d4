"""Settings of Sphinx, for the site that docs/make_site.py builds."""

from __future__ import annotations

import lrbench  # noqa: F401  # autodoc imports it; without it the error would be about every name

project = "lrbench"
copyright = "the lrbench authors, Apache-2.0"  # noqa: A001  # Sphinx's name
extensions = ["myst_parser", "sphinx.ext.autodoc", "sphinx.ext.napoleon", "sphinx_copybutton"]

html_theme = "furo"
html_title = "lrbench"
html_static_path = ["site.css"]
html_css_files = ["site.css"]
html_copy_source = False
html_show_sourcelink = False
html_theme_options = {"navigation_with_keys": True}

# Anchors are those of GitHub, where the same pages are read.
myst_heading_anchors = 4
myst_enable_extensions = ["attrs_inline"]

autodoc_typehints = "description"
autodoc_member_order = "bysource"
napoleon_numpy_docstring = False

pygments_style = "default"
pygments_dark_style = "monokai"
highlight_language = "text"
# The output of a terminal, with its prompts, is no language that could be wrong.
suppress_warnings = ["misc.highlighting_failure"]
