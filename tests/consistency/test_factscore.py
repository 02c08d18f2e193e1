"""FActScore: facts, score and faults, by hand, with a scripted checker and a scripted facts model."""

import json
import math

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from halueval.backends.fake import FakeBackend
from halueval.cli.validate_scorer import _parse_option
from halueval.consistency import catalog
from halueval.consistency.answer_rate import ABSTAINS, SCORERS, answer_rate
from halueval.consistency.base import NO_CLAIM, NO_SOURCE, ConsistencyScorer, Pair, Verdict
from halueval.consistency.facts import PROMPT, parse_facts, split_facts
from halueval.consistency.factscore import NO_LIST, FActScore
from halueval.errors import DataError, UsageError


class Holds(ConsistencyScorer):
    """1 where the claim stands in the source, .4 where its first word does; "odd" claims have no value."""

    name = "holds"
    threshold = 0.5
    seen: tuple[Pair, ...] = ()

    def __init__(self, *, odd: str = "odd"):
        self.odd = odd

    def verdicts(self, pairs, advance):
        Holds.seen += tuple(pairs)
        advance(len(pairs))
        return [self.verdict(pair) for pair in pairs]

    def verdict(self, pair):
        if self.odd in pair.claim:
            return Verdict.unscored("too odd")
        claim = pair.claim.rstrip(".")
        return Verdict(1.0 if claim in pair.source else 0.4 if claim.split()[0] in pair.source else 0.0)


class Bare(Holds):
    name = "bare"
    threshold = None


@pytest.fixture(autouse=True)
def checkers(monkeypatch):
    classes = {"holds": Holds, "bare": Bare, "factscore": FActScore}
    monkeypatch.setattr(catalog, "scorer_class", classes.__getitem__)
    monkeypatch.setattr(Holds, "seen", ())


def scorer(**options):
    return FActScore(**{"checker": "holds", **options})


def facts(n, right):
    """A claim of n facts, of which the first `right` stand in the source, and the source."""
    sentences = [f"Fact {i} is here." for i in range(n)]
    return Pair(" ".join(sentences[:right]) or "Other.", " ".join(sentences))


def one(pair, **options):
    return scorer(**options).score([pair])[0]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("Rome is old.", ["Rome is old."]),
        ("Rome is old. Oslo is not.", ["Rome is old.", "Oslo is not."]),
        ("Rome is old; Oslo is new.", ["Rome is old", "Oslo is new."]),
        ("Ann was born in Rome and was raised in Oslo.", ["Ann was born in Rome", "Ann was raised in Oslo."]),
        ("Ann was born in Rome, but moved to Oslo.", ["Ann was born in Rome", "Ann moved to Oslo."]),
        ("Ann was ill, and Bob was well.", ["Ann was ill", "Bob was well."]),
        ("Ann was ill while he was well.", ["Ann was ill", "he was well."]),
        ("Salt and pepper are cheap.", ["Salt and pepper are cheap."]),
        ("Ann was in Rome and Oslo.", ["Ann was in Rome and Oslo."]),
        ("Ann was born, was raised and was buried.", ["Ann was born, was raised", "Ann was buried."]),
        ("", []),
    ],
)
def test_clauses(text, expected):
    assert split_facts(text) == expected


def test_clauses_of_other_languages():
    assert split_facts("他生于北京，后来去了上海；1990年去世。", "zh") == ["他生于北京", "后来去了上海", "1990年去世。"]
    assert split_facts("他是演员，歌手。", "zh") == ["他是演员，歌手。"]
    assert split_facts("Ann war krank und Bob war da; alle gingen.", "de") == [
        "Ann war krank und Bob war da",
        "alle gingen.",
    ]


@given(st.text(max_size=200), st.sampled_from(["en", "zh", "de"]))
def test_no_fact_is_empty(text, language):
    assert all(fact.strip() for fact in split_facts(text, language))


@pytest.mark.parametrize(
    ("answer", "expected"),
    [
        ("- A is b.\n- C is d.", ["A is b.", "C is d."]),
        ("\n  - A is b.\n\n", ["A is b."]),
        ("Here are the facts:\n- A is b.", None),
        ("1. A is b.", None),
        ("-A is b.", None),
        ("- ", None),
        ("A is b.", None),
        ("", None),
    ],
)
def test_only_a_list_is_a_list(answer, expected):
    assert parse_facts(answer) == expected


@pytest.mark.parametrize(
    ("n", "right", "expected"),
    [
        (1, 1, math.exp(1 - 10)),
        (2, 1, 0.5 * math.exp(1 - 5)),
        (5, 4, 0.8 * math.exp(1 - 2)),
        (10, 10, 1.0),
        (12, 9, 0.75),
        (4, 0, 0.0),
    ],
)
def test_score_by_hand(n, right, expected):
    verdict = one(facts(n, right))
    assert verdict.value == pytest.approx(expected)
    assert (verdict.details["facts"], verdict.details["supported"]) == (n, right)
    assert verdict.details["precision"] == pytest.approx(right / n)
    assert [fact.value for fact in verdict.sentences] == [1.0] * right + [0.0] * (n - right)


def test_gamma_is_an_option():
    assert one(facts(2, 1), gamma=0).value == 0.5
    assert one(facts(2, 1), gamma=2).value == 0.5
    assert one(facts(2, 1), gamma=4).value == pytest.approx(0.5 * math.exp(-1))


def test_reasons_name_the_checker_and_the_first_unsupported_fact():
    verdict = one(Pair("Rome is old.", "Rome is new. Rome is old."), gamma=0)
    assert verdict.reason == "not supported: Rome is new."
    assert [fact.reason for fact in verdict.sentences] == ["holds 0.4 < 0.5", "holds 1 ≥ 0.5"]


def test_threshold_is_an_option():
    assert one(Pair("Rome is old.", "Rome is new."), gamma=0, threshold=0.4).value == 1


def test_a_fact_is_held_against_the_best_passages_only():
    filler = " ".join("word" for _ in range(250)) + "."
    source = f"{filler} Other {filler} Rome is old and {filler}"
    pair = Pair(source, "Rome is old.", question="Where?")
    assert one(pair, passages=1, gamma=0).value == 1
    assert [(p.claim, p.question, "Rome is old" in p.source) for p in Holds.seen] == [("Rome is old.", "Where?", True)]


def test_a_fact_without_a_value_is_counted_and_leaves_its_claim_without_one():
    verdict = one(Pair("Rome is old.", "Rome is old. This is odd."), gamma=0)
    assert (verdict.value, verdict.reason) == (None, "1 of 2 facts could not be checked: too odd")
    assert dict(verdict.details) == {"facts": 2, "supported": 1, "unscored_facts": 1, "failed_sentences": 0}
    assert (verdict.sentences[1].value, verdict.sentences[1].reason) == (None, "too odd")
    none = one(Pair("Rome is old.", "This is odd."))
    assert (none.value, none.reason) == (None, "no fact could be checked: too odd")
    assert one(Pair("Rome.", "This is odd."), checker_options={"odd": "even"}).value == 0


def test_a_fact_is_unsupported_only_where_every_passage_was_judged(monkeypatch):
    filler = " ".join("word" for _ in range(250)) + "."
    source = f"Rome first {filler} Rome next {filler} Rome last {filler}"

    def verdict(self, pair):
        if "next" in pair.source:
            return Verdict.unscored("too odd")
        return Verdict(float(pair.claim in ("Rome first", "Rome last") and pair.claim in pair.source))

    monkeypatch.setattr(Holds, "verdict", verdict)
    found = [one(Pair(source, claim), gamma=0) for claim in ("Rome first", "Rome is old")]
    assert [(v.value, v.reason) for v in found] == [(1, None), (None, "no fact could be checked: too odd")]


def test_abstentions_and_empty_claims_have_no_score():
    pairs = [facts(12, 12), Pair("s", "I don't know."), Pair("s", " "), Pair("", "Rome is old.")]
    verdicts = scorer().score(pairs)
    assert [v.reason for v in verdicts] == [None, ABSTAINS, NO_CLAIM, NO_SOURCE]
    assert [v.value for v in verdicts] == [1.0, None, None, None]


def test_order_and_duplicates_do_not_matter_and_progress_is_told():
    pairs = [facts(3, 1), facts(4, 4), facts(3, 1), Pair("", "x")]
    told = []
    verdicts = scorer().score(pairs, told.append)
    assert sum(told) == len(pairs)
    assert verdicts == [one(pair) for pair in pairs]
    assert len(set(Holds.seen)) == 3 + 4


@settings(max_examples=25)
@given(st.integers(1, 15), st.data())
def test_score_lies_between_nothing_and_precision(n, data):
    right = data.draw(st.integers(0, n))
    verdict = one(facts(n, right))
    assert 0 <= verdict.value <= right / n + 1e-12


def knowledge(tmp_path, *rows):
    path = tmp_path / "knowledge.jsonl"
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return str(path)


def test_knowledge_stands_in_for_the_source(tmp_path):
    path = knowledge(
        tmp_path, {"title": "Rome", "text": "It is said: Rome is old."}, {"title": "Oslo", "text": "Cold."}
    )
    verdicts = scorer(knowledge=path, gamma=0).score([Pair("", "Rome is old."), Pair("Oslo is hot", "Oslo is hot.")])
    assert [verdict.value for verdict in verdicts] == [1, 0]
    assert any(pair.source == "Rome\nIt is said: Rome is old." for pair in Holds.seen)


@pytest.mark.parametrize("row", [{"title": "t"}, {"text": " "}, {"text": 3}, {"text": "x", "title": 3}])
def test_bad_knowledge_is_refused_with_its_row(tmp_path, row):
    path = knowledge(tmp_path, {"text": "x"}, row)
    with pytest.raises(DataError, match=r"knowledge\.jsonl: row 2"):
        scorer(knowledge=path).score([Pair("", "Rome is old.")])


def listing(monkeypatch, answer):
    backend = FakeBackend(answer)
    found = scorer(facts_model="m", gamma=0)
    monkeypatch.setattr(found._lister, "_backend", backend)
    return found, backend


def test_facts_of_a_model(monkeypatch):
    answers = {PROMPT.format(sentence="Rome is old and big."): "- Rome is old.\n- Rome is big."}
    found, backend = listing(monkeypatch, answers)
    pair = Pair("Rome is old.", "Rome is old and big. No list comes of this.")
    verdict, again = found.score([pair, pair])
    assert [fact.text for fact in verdict.sentences] == ["Rome is old.", "Rome is big."]
    assert (verdict.value, verdict.reason) == (None, f"{NO_LIST} (1 of 2 sentences)")
    assert (verdict.details["facts"], verdict.details["failed_sentences"]) == (2, 1)
    assert found.score([Pair("Rome is old.", "Rome is old and big.")])[0].value == 0.5
    assert again == verdict
    assert sum(map(len, backend.batches)) == 2 + 1


def test_progress_is_told_while_facts_are_listed_and_while_they_are_checked(monkeypatch):
    found, _ = listing(monkeypatch, lambda _: "- Rome is old.")
    told, at = [], []

    def verdicts(self, pairs, advance):
        at.append(sum(told))
        for _ in pairs:
            advance(1)
        at.append(sum(told))
        return [self.verdict(pair) for pair in pairs]

    monkeypatch.setattr(Holds, "verdicts", verdicts)
    found.score([Pair(f"Source {i}.", f"Claim {i}.") for i in range(6)], told.append)
    assert at == [3, 6]  # one half for listing, one for checking
    assert len(told) > 2
    told.clear()
    scorer().score([facts(n, 0) for n in (1, 2, 3)], told.append)
    assert at[2:] == [0, 3]


def test_a_model_that_lists_nothing_gives_no_score(monkeypatch):
    found, _ = listing(monkeypatch, lambda _: "Facts: none")
    verdicts = found.score([Pair("Rome is old.", "Rome is old."), Pair("x", "I don't know.")])
    assert [(v.value, v.reason) for v in verdicts] == [(None, NO_LIST), (None, ABSTAINS)]


def test_an_answer_that_was_cut_off_is_no_list(monkeypatch):
    found, backend = listing(monkeypatch, lambda _: "- Rome is old.")
    plain = backend._answer
    monkeypatch.setattr(backend, "_answer", lambda r: type(plain(r))("- Rome is", 3, "length", -1.0))
    assert found.score([Pair("Rome is old.", "Rome is old.")])[0].reason == NO_LIST


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"checker": "factscore"}, "checker cannot be 'factscore' itself"),
        ({"checker": "bare"}, "checker 'bare' has no validated threshold; give `threshold`"),
        ({"passages": 0}, "passages is 0; it must be 1 or more"),
        ({"gamma": -1}, "gamma is -1; it must be 0 or more"),
        ({"gamma": math.nan}, "gamma is nan"),
        ({"threshold": math.nan}, "threshold is nan; it must be a finite number"),
        ({"knowledge": "absent.jsonl"}, "knowledge: no such file: absent.jsonl"),
        ({"checker_options": {"n": 1}}, "unknown option 'n'"),
    ],
)
def test_wrong_options(options, message):
    with pytest.raises(UsageError, match=message):
        scorer(**options)


def test_identity_follows_what_changes_a_value(tmp_path):
    path = knowledge(tmp_path, {"text": "x"})
    changes = [
        {},
        {"gamma": 0},
        {"passages": 2},
        {"threshold": 0.4},
        {"knowledge": path},
        {"checker_options": {"odd": "x"}},
    ]
    identities = [json.dumps(scorer(**change).identity()) for change in changes]
    assert len(set(identities)) == len(changes)
    knowledge(tmp_path, {"text": "y"})
    assert json.dumps(scorer(knowledge=path).identity()) not in identities


def test_options_of_the_checker_come_from_the_command_line_too():
    parsed = _parse_option('factscore:checker_options={"odd": "fact"}', ["factscore"])
    assert parsed == ("factscore", "checker_options", {"odd": "fact"})
    made = FActScore(checker="holds", checker_options=parsed[2])
    assert made.checker.odd == "fact"
    with pytest.raises(UsageError, match="checker_options is 'odd'; write a mapping"):
        scorer(checker_options="odd")


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("model: x", "model: x"),
        ("{model: x, n: 2}", {"model": "x", "n": 2}),
        ("[entailment, neutral]", ["entailment", "neutral"]),
        ("{unclosed", "{unclosed"),
        ("https://host/v1", "https://host/v1"),
        ("2", 2),
        ("null", "null"),
    ],
)
def test_what_a_value_on_the_command_line_is(text, value):
    assert _parse_option(f"key={text}", []) == (None, "key", value)


def test_what_the_checker_did_not_see_of_the_passages_is_counted(monkeypatch):
    monkeypatch.setattr(Holds, "verdict", lambda self, pair: Verdict(1.0, truncated=3 if "0" in pair.claim else 2))
    (verdict,) = scorer().score([facts(2, 2)])
    assert verdict.truncated == 3  # of one passage, which was asked about both facts


def test_the_default_checker_is_half_of_the_bigrams(monkeypatch):
    monkeypatch.undo()
    pair = Pair("The old city of Rome is in Italy.", "Rome is in Italy. Oslo is in Norway.")
    verdict = FActScore(gamma=0).score([pair])[0]
    # "rome is", "is in", "in italy": 3 of 3; of "oslo is in norway" one of three.
    assert [fact.value for fact in verdict.sentences] == [1, 0]
    assert verdict.sentences[1].reason == "rouge_precision 0.333 < 0.5"


def test_the_answer_rate_by_hand():
    # Of 9 documents, 6 of whose worth of claims were answers: Wilson's .354 and .879.
    rate = answer_rate(6, 18, 9)
    assert (rate["value"], rate["n"]) == (pytest.approx(12 / 18), 18)
    assert (rate["ci_low"], rate["ci_high"]) == (pytest.approx(0.3542, abs=1e-4), pytest.approx(0.8794, abs=1e-4))
    assert answer_rate(0, 0, 0) is None
    assert {FActScore.name} == SCORERS
