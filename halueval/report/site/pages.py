"""Renders the pages of the site from its templates, each self-contained but for the chunks of samples."""

from __future__ import annotations

from functools import cache
from importlib.metadata import version
from pathlib import Path
from typing import Any

from halueval.report.page import asset, encodable, environment, policy

_OWN = Path(__file__).parent / "templates"
_SCRIPTS: dict[str, tuple[str | Path, ...]] = {
    "index.html.j2": (_OWN / "table.js",),
    "task.html.j2": (_OWN / "table.js",),
    "model.html.j2": (_OWN / "table.js",),
    "run.html.j2": ("diff_words.js", "explorer.js", _OWN / "samples.js"),
}


def render(template: str, *, root: str = "", **context: Any) -> bytes:
    """One page, as UTF-8.

    Args:
        template: name of its file.
        root: leads from the page's directory to the site's, `""` or `"../"`.
        context: what the template names; a misspelt name is an error, never an empty place.
    """
    page = environment(_OWN).get_template(template).render(root=root, **_frame(template), **context)
    return encodable(page).encode("utf-8")


@cache
def _frame(template: str) -> dict[str, Any]:
    """What all pages of a template share."""
    from markupsafe import Markup

    style, theme = asset("diff.css", _OWN / "site.css"), asset("theme.js")
    names = _SCRIPTS[template]
    scripts = [asset(*names)] if names else []
    return {
        "version": version("halueval"),
        "policy": policy(style, (theme, *scripts), chunks=template == "run.html.j2"),
        "style": Markup(style),  # noqa: S704 - the package's own files
        "theme": Markup(theme),  # noqa: S704 - the package's own file
        "scripts": [Markup(script) for script in scripts],  # noqa: S704 - the package's own files
    }
