"""Text that others wrote, made safe to print on one line: nothing in it moves the cursor or turns the line around."""

from __future__ import annotations

import unicodedata

_BIDI = frozenset("\u061c\u200e\u200f\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069")
"""Marks, embeddings, overrides and isolates (Unicode Standard Annex 9)."""
_INVISIBLE = frozenset("\u00ad\u034f\u180e\u200b\u2060\u2061\u2062\u2063\u2064\ufeff")
"""Characters without a form of their own, but for the joiners, which scripts and emoji need."""


def visible(text: str) -> str:
    """White space as single spaces; control, bidirectional and formless characters as their code points, `<U+202E>`.

    Lone surrogates are shown too, so that the result has a UTF-8 form.
    """
    flat = " ".join(text.split())
    if flat.isascii() and flat.isprintable():
        return flat
    return "".join(f"<U+{ord(char):04X}>" if _is_hidden(char) else char for char in flat)


def _is_hidden(char: str) -> bool:
    return char in _BIDI or char in _INVISIBLE or unicodedata.category(char) in ("Cc", "Cs", "Zl", "Zp")
