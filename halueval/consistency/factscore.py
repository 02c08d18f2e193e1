"""FActScore (Min et al. 2023): the share of a text's facts that a knowledge source supports, with a penalty for few.

Score = mean over facts of [supported] × exp(1 − γ/n) where n ≤ γ facts, γ = 10 (`factscore/factscorer.py` of
shmsw25/FActScore: the penalty is 1 for more facts). What differs from the official script: facts are clauses by rule
unless a `facts_model` lists them (`facts`); passages come by BM25 from the pair's own source or a local file, not from
a dense index of Wikipedia; and each fact is held against each of the best passages by another consistency scorer, the
best value counting, where the script asks one language model with all passages in its prompt. Scores of different
checkers, and published ones, do not compare.

An abstention has no score: read the answer rate beside the mean, which `validate-scorer` and `run.json` give.
"""

from __future__ import annotations

import hashlib
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from halueval.consistency.answer_rate import ABSTAINS
from halueval.consistency.base import Advance, ConsistencyScorer, Pair, SentenceScore, Verdict
from halueval.consistency.bm25 import Index, passages
from halueval.consistency.catalog import create, with_device
from halueval.consistency.facts import RULES_VERSION, FactsModel, split_facts
from halueval.consistency.shares import Shares
from halueval.datafile import read_rows
from halueval.errors import DataError, UsageError
from halueval.sentences import sentences as split
from halueval.text import is_refusal

NO_FACT = "no fact found in the claim"
NO_LIST = "the facts model's answers are no lists of facts"
DEFAULT_CHECKER = "rouge_precision"
DEFAULT_THRESHOLD = 0.5
"""For `rouge_precision`: half of a fact's bigrams stand in one passage. Chosen by hand, validated nowhere."""


@dataclass(frozen=True, slots=True)
class _Facts:
    """Facts of a claim, its sentences, how many gave none because the model's answer failed, and why none at all."""

    texts: tuple[str, ...] = ()
    sentences: int = 0
    failed: int = 0
    reason: str | None = None


class FActScore(ConsistencyScorer):
    """Precision of atomic facts against a knowledge source.

    `sentences` of a verdict holds each fact with 1 or 0 (None where the checker gave no value); `details` the numbers
    `facts`, `supported`, `unscored_facts`, `failed_sentences`, the `precision` before the penalty, and the `penalty`.
    Where a fact could not be checked, or the facts of a sentence were not found, the claim has no value.
    `truncated` is what the checker did not see of the passages that were asked.

    Args:
        checker: name of the consistency scorer that decides whether a passage supports a fact.
        checker_options: its options.
        threshold: value of the checker at and above which a fact is supported; left out, the checker's own, and
            .5 for `rouge_precision`, which was validated nowhere.
        knowledge: file of rows {title, text} to check against instead of the pair's source (JSON lines, CSV …).
        facts_model: local instruct model that lists the facts; left out, clauses by rule.
        passages: best passages that a fact is held against.
        gamma: facts below which the score is penalised; 0 for no penalty.
        device: of the facts model, and of the checker unless its options name another.
        dtype: of the facts model.

    Raises:
        UsageError: an option that cannot be right, or a checker without a threshold.
    """

    name = "factscore"
    version = 3
    summary = "share of facts that the source supports, few facts penalised, 0-1 (Min et al. 2023, own retrieval)"

    def __init__(
        self,
        *,
        checker: str = DEFAULT_CHECKER,
        checker_options: Mapping[str, Any] | None = None,
        threshold: float | None = None,
        knowledge: str | None = None,
        facts_model: str | None = None,
        passages: int = 5,
        gamma: float = 10,
        device: str = "auto",
        dtype: str = "auto",
    ) -> None:
        if checker == self.name:
            raise UsageError("consistency scorer 'factscore': checker cannot be 'factscore' itself")
        if passages < 1:
            raise UsageError(f"consistency scorer 'factscore': passages is {passages}; it must be 1 or more")
        if not (math.isfinite(gamma) and gamma >= 0):
            raise UsageError(f"consistency scorer 'factscore': gamma is {gamma}; it must be 0 or more")
        if not isinstance(checker_options, Mapping | None):
            raise UsageError(
                f"consistency scorer 'factscore': checker_options is {checker_options!r}; write a mapping, as in "
                "{model: PATH}"
            )
        self.checker = create(checker, with_device(checker, checker_options or {}, device))
        default = DEFAULT_THRESHOLD if checker == DEFAULT_CHECKER else self.checker.threshold
        if threshold is None and default is None:
            raise UsageError(
                f"consistency scorer 'factscore': checker {checker!r} has no validated threshold; give `threshold`"
            )
        self.fact_threshold = float(default if threshold is None else threshold)  # type: ignore[arg-type]
        if not math.isfinite(self.fact_threshold):
            raise UsageError(f"consistency scorer 'factscore': threshold is {threshold}; it must be a finite number")
        if knowledge is not None and not Path(knowledge).is_file():
            raise UsageError(f"consistency scorer 'factscore': knowledge: no such file: {knowledge}")
        self._options = {key: value for key, value in (checker_options or {}).items() if key != "device"}
        self._knowledge = Path(knowledge) if knowledge is not None else None
        self._lister = FactsModel(facts_model, device, dtype) if facts_model else None
        self._passages, self._gamma = passages, gamma
        self._indices: dict[tuple[str, str], Index] = {}
        self.cost = "model" if facts_model and self.checker.cost == "rules" else self.checker.cost

    def score(self, pairs: Sequence[Pair], advance: Advance = lambda _: None) -> list[Verdict]:
        """As the base; with `knowledge` a pair needs no source."""
        if self._knowledge is not None:
            pairs = [replace(pair, source=str(self._knowledge)) for pair in pairs]
        return super().score(pairs, advance)

    def unusable(self) -> str | None:
        """Why its checker can say nothing; no fact is looked for then."""
        why = self.checker.unusable()
        return why and f"no fact can be checked: {why}"

    def verdicts(self, pairs: Sequence[Pair], advance: Advance) -> list[Verdict]:
        """Find the facts of all claims, check all of them at once, and put the values together."""
        # The model that lists facts has the first half of the progress, the checker the rest.
        first = len(pairs) // 2 if self._lister is not None else 0
        claims = self._facts(pairs, first, advance)
        asked: dict[Pair, None] = {}
        found: list[list[list[Pair]]] = []
        for pair, facts in zip(pairs, claims, strict=True):
            found.append([self._checks(pair, fact) for fact in facts.texts])
            asked.update(dict.fromkeys(check for checks in found[-1] for check in checks))
        progress = Shares(advance, len(asked), len(pairs) - first)
        answers = dict(zip(asked, self.checker.score(list(asked), progress), strict=True))
        progress.rest()
        if self._knowledge is None:
            self._indices.clear()
        out = []
        for facts, checks in zip(claims, found, strict=True):
            scores = [
                self._fact(text, [answers[check] for check in of_fact])
                for text, of_fact in zip(facts.texts, checks, strict=True)
            ]
            cut: dict[str, int] = {}
            for check in (check for of_fact in checks for check in of_fact):
                cut[check.source] = max(cut.get(check.source, 0), answers[check].truncated)
            out.append(replace(self._verdict(facts, scores), truncated=sum(cut.values())))
        return out

    def _facts(self, pairs: Sequence[Pair], share: int, advance: Advance) -> list[_Facts]:
        """Of each claim; `advance` is told of `share` pairs in all."""
        refused = [is_refusal(pair.claim, pair.language) for pair in pairs]
        if self._lister is None:
            return [
                _Facts(reason=ABSTAINS) if no else _Facts(tuple(split_facts(pair.claim, pair.language)))
                for pair, no in zip(pairs, refused, strict=True)
            ]
        sentences = [[] if no else split(pair.claim, pair.language) for pair, no in zip(pairs, refused, strict=True)]
        flat = [sentence for claim in sentences for sentence in claim]
        progress = Shares(advance, len(set(flat)), share)
        answers = iter(self._lister.ask(flat, progress))
        progress.rest()
        out = []
        for claim, no in zip(sentences, refused, strict=True):
            listed = [next(answers) for _ in claim]
            failed = sum(facts is None for facts in listed)
            reason = ABSTAINS if no else NO_LIST if failed else NO_FACT
            found = tuple(fact for facts in listed for fact in facts or ())
            out.append(_Facts(found, len(claim), failed, reason))
        return out

    def _checks(self, pair: Pair, fact: str) -> list[Pair]:
        """The fact against each of the best passages; the question, where there is one, helps to find them."""
        index = self._index(pair)
        best = index.best(f"{pair.question} {fact}" if pair.question else fact, self._passages)
        return [Pair(passage, fact, pair.question, pair.language) for passage in best]

    def _index(self, pair: Pair) -> Index:
        key = (pair.language, pair.source)
        if key not in self._indices:
            texts = (
                passages(pair.source, pair.language)
                if self._knowledge is None
                else _read_knowledge(self._knowledge, pair.language)
            )
            self._indices[key] = Index(texts, pair.language)
        return self._indices[key]

    def _fact(self, text: str, verdicts: Sequence[Verdict]) -> SentenceScore:
        """Supported by one passage is supported; unsupported only where every passage was judged."""
        values = [verdict.value for verdict in verdicts if verdict.value is not None]
        best = max(values, default=-math.inf)
        supported = best >= self.fact_threshold
        if not supported and (len(values) < len(verdicts) or not verdicts):
            why = (verdict.reason for verdict in verdicts if verdict.value is None and verdict.reason)
            return SentenceScore(text, None, next(why, "no passage"))
        sign = "≥" if supported else "<"
        return SentenceScore(text, float(supported), f"{self.checker.name} {best:.3g} {sign} {self.fact_threshold:g}")

    def _verdict(self, facts: _Facts, scores: Sequence[SentenceScore]) -> Verdict:
        values = [score.value for score in scores if score.value is not None]
        lacking = [score.reason for score in scores if score.value is None]
        details = {
            "facts": float(len(scores)),
            "supported": float(sum(values)),
            "unscored_facts": float(len(lacking)),
            "failed_sentences": float(facts.failed),
        }
        if not scores:
            return Verdict(None, facts.reason or NO_FACT, details=details)
        if facts.failed:
            failed = f"{NO_LIST} ({facts.failed} of {facts.sentences} sentences)"
            return Verdict(None, failed, tuple(scores), details=details)
        if lacking:
            which = f"{len(lacking)} of {len(scores)} facts" if values else "no fact"
            verb = "could be checked" if not values else "could not be checked"
            return Verdict(None, f"{which} {verb}: {lacking[0]}", tuple(scores), details=details)
        precision, penalty = sum(values) / len(values), self.penalty(len(scores))
        details |= {"precision": precision, "penalty": penalty}
        wrong = [score.text for score in scores if score.value == 0]
        reason = f"not supported: {wrong[0]}" if wrong else None
        return Verdict(precision * penalty, reason, tuple(scores), details=details)

    def penalty(self, facts: int) -> float:
        """exp(1 − γ/n) where n ≤ γ facts, else 1; there must be a fact."""
        return math.exp(1 - self._gamma / facts) if self._gamma and facts <= self._gamma else 1.0

    @property
    def model_name(self) -> str | None:
        """The checker's."""
        return self.checker.model_name

    def identity(self) -> dict[str, str | int]:
        """With the checker and its own identity, threshold, γ, retrieval, knowledge and the source of the facts."""
        out: dict[str, str | int] = {
            **super().identity(),
            "checker": repr(sorted(self.checker.identity().items())),
            "checker_options": repr(sorted(self._options.items())),
            "fact_threshold": repr(self.fact_threshold),
            "gamma": repr(float(self._gamma)),
            "passages": self._passages,
            "facts": f"rules {RULES_VERSION}",
        }
        if self._knowledge is not None:
            out["knowledge_sha256"] = hashlib.sha256(self._knowledge.read_bytes()).hexdigest()
        if self._lister is not None:
            known = self._lister.located.identity(self._lister.dtype)
            out |= {f"facts_{key}": value for key, value in known.digests().items()}
            out |= {"facts": "model", "facts_dtype": known.dtype}
        return out


def _read_knowledge(path: Path, language: str) -> list[str]:
    """Passages of all rows.

    Raises:
        DataError: a row without text, or a title that is none.
    """
    out: list[str] = []
    for number, row in enumerate(read_rows(path), 1):
        text, title = row.get("text"), row.get("title") or ""
        if not isinstance(text, str) or not text.strip():
            raise DataError(f"{path}: row {number}: needs `text`, a string that holds something")
        if not isinstance(title, str):
            raise DataError(f"{path}: row {number}: `title` must be a string, found {title!r}")
        out += passages(text, language, title)
    return out
