"""halueval: did fine-tuning make the language model hallucinate more, where, and how much.

>>> import tempfile
>>> from pathlib import Path
>>> import halueval
>>> halueval.load_run(Path(tempfile.gettempdir()) / "no-such-run")
Traceback (most recent call last):
halueval.errors.DataError: ...no-such-run: holds no run.json; no such directory
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING

__version__ = "0.1.0"

if TYPE_CHECKING:
    from halueval.api import run
    from halueval.comparison import Diff, diff
    from halueval.store import Run, load_run

__all__ = ["Diff", "Run", "__version__", "diff", "load_run", "run"]

_HOMES = {"run": "api", "diff": "comparison", "Diff": "comparison", "Run": "store", "load_run": "store"}


def __getattr__(name: str) -> object:
    """Import the API at the first use, so that the command line starts in a blink."""
    if name in _HOMES:
        return getattr(importlib.import_module(f"halueval.{_HOMES[name]}"), name)
    raise AttributeError(f"module 'halueval' has no attribute {name!r}")
