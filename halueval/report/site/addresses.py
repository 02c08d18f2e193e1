"""Where each page of a board lies; every address is relative to the site's root."""

from __future__ import annotations

from halueval.leaderboard.board import Board, Model
from halueval.report.site.drawings import size_words
from halueval.report.site.figures import Link, facts, short_name
from halueval.report.site.names import slugs


class Addresses:
    """Addresses of a board's pages, and its models by key."""

    def __init__(self, board: Board) -> None:
        self.models: dict[str, Model] = {model.key: model for model in board.models}
        self._models = slugs(self.models)
        self._tasks = slugs(task.task for task in board.tasks)
        self.families = slugs({model.family for model in board.models})
        self.languages = slugs({task.language for task in board.tasks})
        self.kinds = slugs({task.kind for task in board.tasks})
        self.sizes = slugs({model.size for model in board.models})

    def model(self, key: str) -> Link:
        """The page of a model."""
        return Link(short_name(key), f"models/{self._models[key]}.html")

    def task(self, name: str) -> Link:
        """The page of a task."""
        return Link(short_name(name), f"tasks/{self._tasks[name]}.html")

    def run(self, model: str, task: str) -> str:
        """The page of the run that counts."""
        return f"runs/{self._models[model]}/{self._tasks[task]}.html"

    def pair(self, base: str, candidate: str) -> str:
        """The page of a pair."""
        return f"pairs/{self._models[base]}/{self._models[candidate]}.html"

    def about(self, key: str) -> str:
        """What is known of a model in few words: its size, and what it was fine-tuned from."""
        model = self.models[key]
        size = size_words(model.num_parameters) if model.num_parameters else ""
        return facts(size, f"from {short_name(model.base)}" if model.base else "")
