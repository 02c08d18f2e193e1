"""What all HTML pages share: the package's style sheets and scripts, and the policy that allows nothing else.

Pages open from a file and ask the network for nothing. A page's content-security policy names its style sheet
and its scripts by their SHA-256, so that nothing else can run, whatever a model wrote.
"""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Sequence
from functools import cache
from pathlib import Path

TEMPLATES = Path(__file__).parent / "templates"
CHUNKS = "halueval-chunks"
"""Name of the one Trusted Types policy that a page with data beside it may make."""


@cache
def asset(*names: str) -> str:
    """The package's own style sheets or scripts of these names, one after another."""
    return "".join((TEMPLATES / name).read_text(encoding="utf-8") for name in names)


def policy(style: str, scripts: Sequence[str], *, chunks: bool = False) -> str:
    """Nothing but this very style sheet and these scripts; no request, no form target, no sink that parses markup.

    Args:
        style: text of the style sheet.
        scripts: text of each script.
        chunks: the scripts may load further ones that lie beside the page, by addresses that the Trusted Types
            policy `CHUNKS` lets through. (`'self'` means nothing for a page opened from a file.)
    """
    known = [_hashed(script) for script in scripts] + ["'strict-dynamic'"] * chunks
    made = CHUNKS if chunks else "'none'"
    return (
        f"default-src 'none'; style-src {_hashed(style)}; script-src {' '.join(known)}; "
        f"base-uri 'none'; form-action 'none'; require-trusted-types-for 'script'; trusted-types {made}"
    )


def _hashed(text: str) -> str:
    return f"'sha256-{base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()}'"


def encodable(piece: str) -> str:
    """The text with half characters, where a model stopped inside one, replaced by `?`: UTF-8 has no form for them."""
    return piece if piece.isascii() else piece.encode("utf-8", "replace").decode("utf-8")
