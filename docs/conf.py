"""The site of these pages: what Sphinx is told (see contributing.md)."""

from __future__ import annotations

import inspect
import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

from docutils import nodes
from docutils.utils.math.latex2mathml import tex2mathml
from sphinx.application import Sphinx
from sphinx.util.inspect import stringify_signature

import gradstep

DOCS = Path(__file__).parent

project = "gradstep"
project_copyright = "gradstep contributors"
release = gradstep.__version__

extensions = ["myst_nb", "numpydoc", "sphinx.ext.autodoc", "sphinx.ext.autosummary", "sphinx_copybutton"]
templates_path = ["templates"]
source_suffix = {".rst": "restructuredtext", ".md": "myst-nb", ".ipynb": "myst-nb"}

myst_enable_extensions = ["dollarmath", "html_image"]  # of the exercises, and of the gallery
myst_heading_anchors = 3
nb_execution_mode = "force"
nb_execution_in_temp = True  # where files that it writes are in nobody's way
nb_execution_raise_on_error = True
nb_execution_timeout = 600  # seconds, on a busy machine

default_role = "py:obj"  # `gradient` is a link, and `X` is not
autosummary_filename_map = {"gradstep.Path": "gradstep.Path-class"}  # not gradstep.path where case does not count
numpydoc_show_class_members = False  # they follow the class in full
python_maximum_signature_line_length = 80

html_theme = "pydata_sphinx_theme"
html_title = "gradstep"
html_copy_source = False
html_show_sourcelink = False
html_sidebars = {"[!r]*": []}  # the list of names beside the reference; of pages the bar above is enough
html_theme_options = {
    "header_links_before_dropdown": 7,
    "navbar_persistent": ["search-button"],
    "footer_start": ["copyright"],
    "footer_end": [],
    "secondary_sidebar_items": ["page-toc"],
}
html_static_path = ["site.css"]
html_css_files = ["site.css"]
html_math_renderer = "mathml"  # browsers typeset it without a script or a network, and screen readers read it
copybutton_prompt_text = r">>> |\.\.\. |\$ |> "
copybutton_prompt_is_regexp = True


def begin(app: Sphinx) -> None:
    """Removes the reference's pages, among them those of names that are gone, and makes the gallery's pictures."""
    shutil.rmtree(DOCS / "reference", ignore_errors=True)
    subprocess.run([sys.executable, DOCS / "pictures.py"], check=True)


def as_page_of_the_site(app: Sphinx, page: str, source: list[str]) -> None:
    """Puts the README before the front page's list, and leads links of the repository to pages of the site."""
    text = source[0]
    if page == "index":
        app.env.note_dependency(DOCS.parent / "README.md")
        text = (DOCS.parent / "README.md").read_text(encoding="utf-8").replace("](docs/", "](") + text
    for path, target in {"../README.md": "index.md", "CHANGELOG.md": "changelog.rst", "LICENSE": "../LICENSE"}.items():
        text = text.replace(f"]({path}", f"]({target}")
    text = re.sub(r"\[([^]]*)\]\(\.\./tests\)", r"\1", text)  # a folder
    source[0] = re.sub(r"\n\n```$", "\n```", text, flags=re.MULTILINE)  # an empty line ends the output of an example


def is_left_out(app: Sphinx, what: str, name: str, value: Any, skip: bool, options: Any) -> bool | None:
    """Whether a member of a class is not described: fields, of which the class has said all, and scikit-learn's own."""
    is_field = inspect.isdatadescriptor(value) and not isinstance(value, property)
    foreign = str(getattr(value, "__module__", "")).startswith("sklearn") or re.fullmatch(r"set_\w+_request", name)
    return True if is_field or foreign else None


def as_written(
    app: Sphinx, what: str, name: str, value: Any, options: Any, arguments: str | None, returned: str | None
) -> tuple[str, str | None] | None:
    """The signature with types as the source has them: ArrayLike and not all that it is."""
    if arguments is None:
        return None
    signature = inspect.signature(value)
    if what == "method":
        signature = signature.replace(
            parameters=[part for part in signature.parameters.values() if part.name != "self"]
        )
    result = signature.return_annotation
    return stringify_signature(signature, show_return_annotation=False), result if isinstance(result, str) else returned


def with_absolute_values(app: Sphinx, what: str, name: str, value: Any, options: Any, lines: list[str]) -> None:
    """|z| is an absolute value, where reStructuredText would put something in for z."""
    lines[:] = [re.sub(r"\|+\w[^|]*\|+", lambda found: found[0].replace("|", r"\|"), line) for line in lines]


def as_list(app: Sphinx, page: str, template: str, context: dict[str, Any], tree: nodes.document | None) -> None:
    """Arguments that stand below each other are in a list of definitions without terms: no list, for screen readers."""
    context["body"] = context.get("body", "").replace(
        '<dl>\n<dd><em class="sig-param">', '<dl role="presentation">\n<dd><em class="sig-param">'
    )


def typeset_within_text(translator: Any, node: nodes.Element) -> None:
    translator.body.append(tex2mathml(node.astext()))
    raise nodes.SkipNode


def typeset_apart(translator: Any, node: nodes.Element) -> None:
    """In a box of its own, which can be scrolled, with the keys too, where the formula is wider than the page."""
    translator.body.append(f'<div class="formula" tabindex="0">{tex2mathml(node.astext(), as_block=True)}</div>')
    raise nodes.SkipNode


def setup(app: Sphinx) -> None:
    app.add_html_math_renderer("mathml", (typeset_within_text, None), (typeset_apart, None))
    app.connect("builder-inited", begin, priority=0)  # before autosummary writes the reference's pages
    app.connect("source-read", as_page_of_the_site)
    app.connect("html-page-context", as_list)
    app.connect("autodoc-skip-member", is_left_out)
    app.connect("autodoc-process-signature", as_written)
    app.connect("autodoc-process-docstring", with_absolute_values)
