"""What all HTML pages share: frame, the package's style sheets and scripts, and the policy that allows nothing else.

Pages open from a file and ask the network for nothing. A page's content-security policy names its style sheet
and its scripts by their SHA-256, so that nothing else can run, whatever a model wrote.
"""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Sequence
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from jinja2 import Environment

TEMPLATES = Path(__file__).parent / "templates"
CHUNKS = "halueval-chunks"
"""Name of the one Trusted Types policy that a page with data beside it may make."""


@cache
def environment(own: Path = TEMPLATES) -> Environment:
    """Templates of a directory, and those of this package that they extend.

    Every expression is escaped, and a misspelt name is an error, never an empty place.
    """
    import jinja2

    loader = jinja2.FileSystemLoader([own, TEMPLATES], encoding="utf-8")
    return jinja2.Environment(loader=loader, autoescape=True, undefined=jinja2.StrictUndefined)


def render_still(template: str, *, own: Path = TEMPLATES, styles: Sequence[str | Path] = (), **context: Any) -> str:
    """One self-contained page without any script, its frame and style those of all pages.

    All texts are escaped by the template or by what draws the plots.

    Args:
        template: name of its file.
        own: directory of the template.
        styles: style sheets beyond the common one.
        context: what the template names.

    Returns:
        The page; it can be encoded as UTF-8 whatever names and texts hold.
    """
    from markupsafe import Markup

    style = asset("diff.css", *styles)
    page = environment(own).get_template(template)
    return encodable(page.render(style=Markup(style), policy=policy(style, ()), **context))  # noqa: S704 - own files


@cache
def asset(*names: str | Path) -> str:
    """The package's own style sheets or scripts of these names, or at these paths, one after another."""
    return "".join((TEMPLATES / name).read_text(encoding="utf-8") for name in names)


def policy(style: str, scripts: Sequence[str], *, chunks: bool = False) -> str:
    """Nothing but this very style sheet and these scripts; no request, no form target, no sink that parses markup.

    Args:
        style: text of the style sheet.
        scripts: text of each script; none for a page without.
        chunks: the scripts may load further ones that lie beside the page, by addresses that the Trusted Types
            policy `CHUNKS` lets through. (`'self'` means nothing for a page opened from a file.)
    """
    known = [_hashed(script) for script in scripts] + ["'strict-dynamic'"] * chunks
    made = CHUNKS if chunks else "'none'"
    allowed = f"script-src {' '.join(known)}; " if known else ""
    return (
        f"default-src 'none'; style-src {_hashed(style)}; {allowed}"
        f"base-uri 'none'; form-action 'none'; require-trusted-types-for 'script'; trusted-types {made}"
    )


def _hashed(text: str) -> str:
    return f"'sha256-{base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()}'"


def encodable(piece: str) -> str:
    """The text with half characters, where a model stopped inside one, replaced by `?`: UTF-8 has no form for them."""
    return piece if piece.isascii() else piece.encode("utf-8", "replace").decode("utf-8")
