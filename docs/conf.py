"""Settings of Sphinx: ``sphinx-build docs docs/_build`` after ``pip install -e '.[docs]'``."""

import jkoflow

project = "jkoflow"
author = copyright = "the jkoflow developers"
release = jkoflow.__version__
extensions = ["myst_parser", "numpydoc", "sphinx.ext.autosummary", "sphinx.ext.autodoc"]
exclude_patterns = ["_build"]
myst_heading_anchors = 3
autosummary_generate = True
numpydoc_show_class_members = False
suppress_warnings = ["myst.xref_missing"]  # pages link to files of the project outside docs/
html_theme = "alabaster"


def escape_bars(app, what, name, obj, options, lines):
    """|x| is a norm in our docstrings, and not a substitution of reStructuredText."""
    code = (">>>", "...")
    lines[:] = [s if s.lstrip().startswith(code) else s.replace("|", r"\|") for s in lines]


def setup(app):
    app.connect("autodoc-process-docstring", escape_bars, priority=1000)
