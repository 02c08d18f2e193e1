"""What a board is of: the optional `leaderboard.yaml` beside the results."""

from __future__ import annotations

from pathlib import Path

from pydantic import Field

from halueval.cardfile import read_yaml
from halueval.config import Card, StringList, build

FILE = "leaderboard.yaml"


class BoardSpec(Card):
    """Settings of a leaderboard.

    Attributes:
        title: of its pages.
        about: a sentence on what is compared.
        limit: rows of each task that runs of this board use; a run with another limit is left out as limited. None
            means whole data sets.
        dtype: that all runs must have; None takes any, one a model.
        models: what `make leaderboard` runs: cards, directories or hub ids.
        recipes: of `halueval finetune`, whose checkpoints it makes and runs where the results have no runs of them.
        tasks: what it runs them on; the board shows no others. Empty shows all there are.
    """

    title: str = "Leaderboard"
    about: str = ""
    limit: int | None = Field(None, ge=1)
    dtype: str | None = None
    models: StringList = Field(default=[])
    recipes: StringList = Field(default=[])
    tasks: StringList = Field(default=[])


def read_spec(path: Path | None, results: list[Path]) -> BoardSpec:
    """The settings in a file, or in `leaderboard.yaml` of the first directory of results, or the defaults.

    Raises:
        ConfigError: a file that cannot be read or does not fit.
    """
    if path is None:
        path = next((root / FILE for root in results if (root / FILE).is_file()), None)
    return BoardSpec() if path is None else build(BoardSpec, read_yaml(path), path)
