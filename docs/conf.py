"""How the documentation is built: MyST pages, docstrings in Markdown too, warnings as errors."""

from importlib.metadata import version as version_of

from docutils.parsers.rst import Directive
from docutils.utils import new_document
from myst_parser.sphinx_ import Parser

project = "likelihax"
author = "the likelihax contributors"
version = release = version_of("likelihax")

extensions = ["myst_parser", "sphinx.ext.autodoc"]
myst_enable_extensions = ["dollarmath", "deflist", "fieldlist"]
myst_heading_anchors = 3
exclude_patterns = ["_build"]
html_theme = "furo"
html_title = f"likelihax {version}"

autodoc_default_options = {"members": True}
autodoc_member_order = "bysource"
autodoc_typehints = "none"  # shapes are told in the docstring; the source has every annotation
autodoc_preserve_defaults = True
add_module_names = False


class Markdown(Directive):
    """Its content is Markdown, wherever it stands."""

    has_content = True

    def run(self):
        document = new_document(self.state.document.current_source, self.state.document.settings)
        Parser().parse("\n".join(self.content), document)
        return document.children


def wrap_docstring(app, what, name, obj, options, lines):
    """Autodoc writes reStructuredText; our docstrings are Markdown like these pages."""
    if lines:
        lines[:] = [".. markdown::", "", *(f"   {line}" for line in lines), ""]


def setup(app):
    app.add_directive("markdown", Markdown)
    app.connect("autodoc-process-docstring", wrap_docstring)
    return {"parallel_read_safe": True}
