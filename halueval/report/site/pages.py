"""Renders the pages of the site from its templates, each self-contained but for the chunks of samples."""

from __future__ import annotations

from functools import cache
from importlib.metadata import version
from typing import TYPE_CHECKING, Any

from halueval.report.page import asset, encodable, policy

if TYPE_CHECKING:
    from jinja2 import Environment

_OWN = "../site/templates/"  # beside the templates of the other reports
_SCRIPTS = {
    "index.html.j2": (f"{_OWN}table.js",),
    "task.html.j2": (f"{_OWN}table.js",),
    "model.html.j2": (f"{_OWN}table.js",),
    "run.html.j2": ("diff_words.js", f"{_OWN}samples.js"),
}


def render(template: str, *, root: str = "", **context: Any) -> bytes:
    """One page, as UTF-8.

    Args:
        template: name of its file.
        root: leads from the page's directory to the site's, `""` or `"../"`.
        context: what the template names; a misspelt name is an error, never an empty place.
    """
    page = _environment().get_template(template).render(root=root, **_frame(template), **context)
    return encodable(page).encode("utf-8")


@cache
def _frame(template: str) -> dict[str, Any]:
    """What all pages of a template share."""
    from markupsafe import Markup

    style, theme = asset("diff.css", f"{_OWN}site.css"), asset("theme.js")
    names = _SCRIPTS[template]
    scripts = [asset(*names)] if names else []
    return {
        "version": version("halueval"),
        "policy": policy(style, (theme, *scripts), chunks=template == "run.html.j2"),
        "style": Markup(style),  # noqa: S704 - the package's own files
        "theme": Markup(theme),  # noqa: S704 - the package's own file
        "scripts": [Markup(script) for script in scripts],  # noqa: S704 - the package's own files
    }


@cache
def _environment() -> Environment:
    import jinja2

    loader = jinja2.PackageLoader("halueval.report.site", "templates")
    return jinja2.Environment(loader=loader, autoescape=True, undefined=jinja2.StrictUndefined)
