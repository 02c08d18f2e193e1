"""Sentences of sources and claims, those of annotated sets included: lower-cased, and with spaces before full stops."""

from __future__ import annotations

import re

from halueval.text import is_cjk, split_sentences

_APART = re.compile(r"(?<=\s[.!?])\s+")
_PLAIN_END = re.compile(r"(?<=[a-z0-9\"')\]][.!?])\s+(?=\S)")


def sentences(text: str, language: str = "en") -> list[str]:
    """As `halueval.text.split_sentences`; where that cannot see the ends, by the marks alone.

    Tokenised text has a space before its full stops, which then end a sentence whatever follows. Text without a
    capital letter gives no sign where a sentence begins, so each mark with white space behind it ends one.
    """
    if is_cjk(language):
        return split_sentences(text, language)
    out = []
    for part in _APART.split(text):
        pieces = _PLAIN_END.split(part) if part == part.lower() else [part]
        out += [sentence for piece in pieces for sentence in split_sentences(piece, language)]
    return out
