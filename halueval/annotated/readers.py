"""One function for each layout that annotations come in: rows of files to raw items.

A raw item is a mapping with `source` (one text or several), `claim`, and as far as the set has them `question`,
`score` or `label` (as annotated), `system`, `document`, `error_types`, `split`. What the annotation means is the
business of the set's rules, not of the reader. A row that lacks what it must have is a `DataError`.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Mapping
from typing import Any

from halueval.annotated.spec import AnnotatedSpec
from halueval.errors import DataError

Row = Mapping[str, Any]
Files = Mapping[str, list[dict[str, Any]]]
Raw = dict[str, Any]
Reader = Callable[[Files, AnnotatedSpec], list[Raw]]

CONSISTENT, INCONSISTENT = "consistent", "inconsistent"
"""Labels that a reader gives where the layout itself says which is which."""


def at(row: Row, path: str, where: str) -> Any:
    """The value at a dotted path.

    Raises:
        DataError: it is not there.
    """
    value: Any = row
    for key in path.split("."):
        if not isinstance(value, Mapping) or key not in value:
            raise DataError(f"{where}: no column {path!r}; the row has {', '.join(map(str, row))[:120]}")
        value = value[key]
    return value


def flat(files: Files, spec: AnnotatedSpec) -> list[Raw]:
    """A row an item; with several files the split is the file's part, unless a column says it."""
    out = []
    for part, rows in files.items():
        for number, row in enumerate(rows, 1):
            where = f"{spec.name}: {part}: row {number}"
            out.append({"split": part, **{str(role): at(row, path, where) for role, path in spec.columns.items()}})
    return out


def worker_votes(files: Files, spec: AnnotatedSpec) -> list[Raw]:
    """QAGS: sentences with a vote of each worker; the score is the share of sentences that most workers affirm."""
    out = []
    for number, row in enumerate(files["rows"], 1):
        where = f"{spec.name}: row {number}"
        sentences = at(row, "summary_sentences", where)
        affirmed = []
        for sentence in sentences:
            votes = [vote["response"] == "yes" for vote in sentence["responses"]]
            affirmed.append(2 * sum(votes) > len(votes))
        if not affirmed:
            raise DataError(f"{where}: no sentence with votes")
        claim = " ".join(sentence["sentence"] for sentence in sentences)
        out.append({"source": at(row, "article", where), "claim": claim, "score": sum(affirmed) / len(affirmed)})
    return out


def frank(files: Files, spec: AnnotatedSpec) -> list[Raw]:
    """FRANK: annotations joined with articles on `hash` and with summaries on (`hash`, `model_name`).

    An error type is that of a row where its column is below 1: at least one sentence has it by majority.
    """
    articles = {row["hash"]: row["article"] for row in files["articles"]}
    summaries = {(row["hash"], row["model_name"]): row["summary"] for row in files["summaries"]}
    kinds = spec.options.get("error_types", [])
    out = []
    for number, row in enumerate(files["annotations"], 1):
        key = row["hash"], row["model_name"]
        if key[0] not in articles or key not in summaries:
            raise DataError(f"{spec.name}: row {number}: no article or no summary for {key}")
        out.append(
            {
                "source": articles[key[0]],
                "claim": summaries[key],
                "score": row["Factuality"],
                "system": key[1],
                "document": key[0],
                "error_types": [kind for kind in kinds if row[kind] < 1],
            }
        )
    return out


def by_system(files: Files, spec: AnnotatedSpec) -> list[Raw]:
    """SummEval and Rank19 as BARTScore packs them: a document a row, `sys_summs` by system."""
    out = []
    score = str(spec.options["score"])
    document = str(spec.options["document"])
    for number, row in enumerate(files["rows"], 1):
        where = f"{spec.name}: row {number}"
        for system, summary in at(row, "sys_summs", where).items():
            item = {
                "source": at(row, "src", where),
                "claim": at(summary, "sys_summ", where),
                "score": at(summary, f"scores.{score}", where),
                "document": str(at(row, document, where)),
            }
            out.append({**item, "system": system} if spec.options.get("systems") == "models" else item)
    return out


def span_votes(files: Files, spec: AnnotatedSpec) -> list[Raw]:
    """XSumFaith: spans that each annotator marked, joined with the released score and the documents.

    A row is labelled consistent where most annotators marked no span. Its score is the released `Faithful`; a row
    without one (the references), or without a document, has None there and is left out by the set.
    """
    documents = {str(row["bbcid"]): row["document"] for row in files["documents"]}
    names = {released: system for system, released in (pair.split("=") for pair in spec.options["systems"])}
    faithful = {}
    for row in files["scores"]:
        released, _, bbcid = row["system_bbcid"].rpartition("_")
        faithful[names[released], bbcid] = float(row["Faithful"])
    marks: dict[tuple[str, str, str], dict[str, set[str]]] = defaultdict(lambda: defaultdict(set))
    for row in files["spans"]:
        marks[row["system"], row["bbcid"], row["summary"]][row["worker_id"]].add(row["hallucination_type"])
    out = []
    for (system, bbcid, summary), workers in marks.items():
        clean = sum(types == {"NULL"} for types in workers.values())
        kinds = [
            kind for kind in ("intrinsic", "extrinsic") if 2 * sum(kind in t for t in workers.values()) > len(workers)
        ]
        out.append(
            {
                "source": documents.get(bbcid),
                "claim": summary,
                "score": faithful.get((system, bbcid)),
                "label": CONSISTENT if 2 * clean > len(workers) else INCONSISTENT,
                "system": system,
                "document": bbcid,
                "error_types": kinds,
            }
        )
    return out


def evidence_chunks(files: Files, spec: AnnotatedSpec) -> list[Raw]:
    """WiCE: several rows a claim, each with one chunk of evidence sentences; the claim gets them all as sources."""
    claims: dict[str, Raw] = {}
    for number, row in enumerate(files["rows"], 1):
        where = f"{spec.name}: row {number}"
        made = claims.setdefault(
            at(row, "meta.id", where),
            {
                "source": [],
                "claim": at(row, "claim", where),
                "label": at(row, "label", where),
                "document": at(row, "meta.claim_title", where),
            },
        )
        if made["label"] != row["label"] or made["claim"] != row["claim"]:
            raise DataError(f"{where}: another claim or label than an earlier chunk of {row['meta']['id']}")
        made["source"].append("\n".join(at(row, "evidence", where)))
    return list(claims.values())


def pairs(files: Files, spec: AnnotatedSpec) -> list[Raw]:
    """A row with a right and a wrong claim, named by `options`: both become items, of one document."""
    out = []
    for number, row in enumerate(files["rows"], 1):
        where = f"{spec.name}: row {number}"
        shared = {str(role): at(row, path, where) for role, path in spec.columns.items()}
        for label in (CONSISTENT, INCONSISTENT):
            claim = at(row, str(spec.options[label]), where)
            out.append({"document": str(number), **shared, "claim": claim, "label": label})
    return out


READERS: Mapping[str, Reader] = {
    "flat": flat,
    "worker_votes": worker_votes,
    "frank": frank,
    "by_system": by_system,
    "span_votes": span_votes,
    "evidence_chunks": evidence_chunks,
    "pairs": pairs,
}
