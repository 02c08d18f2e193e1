"""A sweep as one self-contained HTML page without any script.

The content-security policy names the one style sheet by its SHA-256 and allows nothing else; all texts are escaped by
the template or by `plots`.
"""

from __future__ import annotations

import base64
import hashlib
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

from halueval.report.calibration_html import TEMPLATES as REPORT_TEMPLATES
from halueval.sweep.cells import headline, letters, remarks
from halueval.sweep.drawings import css_of, curves, pareto
from halueval.sweep.record import SweepRecord
from halueval.sweep.show import tables

if TYPE_CHECKING:
    from jinja2 import Template

TEMPLATES = Path(__file__).parent / "templates"


def render_page(record: SweepRecord) -> str:
    """The page; it can be encoded as UTF-8 whatever names and texts hold."""
    from markupsafe import Markup

    style = (REPORT_TEMPLATES / "diff.css").read_text("utf-8") + (TEMPLATES / "sweep.css").read_text("utf-8")
    digest = base64.b64encode(hashlib.sha256(style.encode()).digest()).decode()
    marks = letters(record)
    page = _template().render(
        record=record,
        headline=headline(record),
        remarks=remarks(record),
        tables=list(tables(record)),
        pareto=pareto(record),
        curves=list(curves(record)),
        key=[(marks[arm["name"]], css_of(i), arm) for i, arm in enumerate(record["arms"])],
        style=Markup(style),  # noqa: S704 - the package's own files
        policy=(
            f"default-src 'none'; style-src 'sha256-{digest}'; base-uri 'none'; form-action 'none'; "
            "require-trusted-types-for 'script'; trusted-types 'none'"
        ),
    )
    return page.encode("utf-8", "replace").decode("utf-8")


@cache
def _template() -> Template:
    import jinja2

    loader = jinja2.FileSystemLoader(TEMPLATES, encoding="utf-8")
    environment = jinja2.Environment(loader=loader, autoescape=True, undefined=jinja2.StrictUndefined)
    return environment.get_template("sweep.html.j2")
