"""The samples of one run as files beside their page: an index in the page, and chunks that are read when needed.

A chunk is a script that hands its rows, as a JSON literal, to the page's own script: a page opened from a file may
load scripts that lie beside it, and nothing else. Whatever a model wrote is a string in that literal.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

from halueval.compare.record import STATES
from halueval.report.diff_samples import StrataCodes, inert_json, prefixed, rounded

CHUNK_ROWS = 500
CHUNK_CHARACTERS = 1_000_000
"""A chunk ends after so many rows, or when its texts have so many characters."""


class SampleChunks:
    """The chunks of a run, made while its samples are read once.

    Args:
        rows: of `samples.jsonl`.
        metrics: figures whose value of each sample is shown.
        directory: name of the chunks' directory, beside the page.
        plain: the samples are texts without question or answer (language modeling).
    """

    def __init__(
        self, rows: Iterable[Mapping[str, Any]], metrics: Sequence[str], directory: str, *, plain: bool = False
    ) -> None:
        self._rows = rows
        self._metrics = list(metrics)
        self._directory = directory
        self._plain = plain
        self._letters: list[str] = []
        self._confidences: list[float | None] = []
        self._starts: list[int] = []
        self._strata = StrataCodes()

    def files(self) -> Iterator[tuple[str, str]]:
        """File name and text of each chunk; to be read to its end before `index` is asked for."""
        waiting: list[dict[str, Any]] = []
        size = 0
        for row in self._rows:
            self._strata.add(len(self._letters), row["group"])
            self._letters.append(str(STATES.index(row["state"])))
            confidence = row.get("confidence")
            self._confidences.append(None if confidence is None else round(confidence, 3))
            waiting.append(self._row(row))
            size += sum(len(row.get(key) or "") for key in ("prompt", "target", "response"))
            if len(waiting) == CHUNK_ROWS or size >= CHUNK_CHARACTERS:
                yield self._chunk(waiting)
                waiting, size = [], 0
        if waiting:
            yield self._chunk(waiting)

    def index(self) -> str:
        """Inert JSON of what the page filters and sorts by, for all rows that `files` has gone through."""
        total = len(self._letters)
        return inert_json(
            {
                "directory": self._directory,
                "plain": self._plain,
                "states": STATES,
                "letters": "".join(self._letters),
                "starts": self._starts,
                "confidences": self._confidences,
                "metrics": self._metrics,
                "groups": self._strata.as_json(total),
            }
        )

    def _chunk(self, rows: list[dict[str, Any]]) -> tuple[str, str]:
        number = len(self._starts)
        self._starts.append(len(self._letters) - len(rows))
        return f"{number}.js", f"haluevalChunk({number},{inert_json(prefixed(rows))});\n"

    def _row(self, row: Mapping[str, Any]) -> dict[str, Any]:
        """What the page shows of a sample; whatever is null is left out.

        Raises:
            TypeError: what must be a text is none.
        """
        for key in ("sample_id", "prompt", "target"):
            if not isinstance(row[key], str):
                raise TypeError(f"{key} is no text")
        said = row.get("response")
        choices, prediction = row.get("choices"), row.get("prediction")
        if said is None and choices and prediction is not None:
            said = choices[prediction]
        shown = {
            "id": row["sample_id"],
            "prompt": row["prompt"],
            "target": row["target"],
            "choices": choices or None,
            "text": said,
            "conf": rounded(row.get("confidence")),
            "why": None if self._plain else row.get("reasons", {}).get("state"),
            "scores": [rounded(row["scores"].get(name)) for name in self._metrics] or None,
        }
        return {key: value for key, value in shown.items() if value is not None}
