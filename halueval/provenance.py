"""Where and with what a run was made: versions, platform, commit. Never environment variables or tokens."""

from __future__ import annotations

import platform
import subprocess
import sys
from importlib import metadata
from typing import Any

PACKAGES = (
    "torch",
    "transformers",
    "tokenizers",
    "datasets",
    "evaluate",
    "peft",
    "rouge-score",
    "numpy",
    "safetensors",
)


def environment(device: str) -> dict[str, Any]:
    """Versions and platform for `run.json`; the host's name is left out on purpose."""
    packages = {}
    for name in PACKAGES:
        try:
            packages[name] = metadata.version(name)
        except metadata.PackageNotFoundError:
            continue
    return {
        "python": platform.python_version(),
        "platform": f"{sys.platform} {platform.machine()}",
        "device": device,
        "packages": packages,
        "git": git_state(),
    }


def git_state() -> dict[str, Any] | None:
    """Commit of the working directory's checkout and whether it was changed; None outside of one."""
    commit = _git("rev-parse", "HEAD")
    if commit is None:
        return None
    return {"commit": commit, "dirty": bool(_git("status", "--porcelain", "--untracked-files=no"))}


def _git(*arguments: str) -> str | None:
    try:
        # The command is fixed and its output is only stored.
        done = subprocess.run(["git", *arguments], capture_output=True, text=True, timeout=10, check=False)  # noqa: S603, S607
    except (OSError, subprocess.TimeoutExpired):
        return None
    return done.stdout.strip() if done.returncode == 0 else None
