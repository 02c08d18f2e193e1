"""Consistency scorers that need no model, by hand."""

import math

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from rouge_score.rouge_scorer import RougeScorer

from halueval.consistency.base import NO_CLAIM, NO_SOURCE, ConsistencyScorer, Pair, Verdict
from halueval.consistency.catalog import SCORERS, create, scorer_class
from halueval.consistency.extractiveness import fragments
from halueval.errors import UsageError
from halueval.sentences import sentences

RULES = ("rouge_precision", "ngram_precision", "coverage", "density", "entity_precision", "number_precision", "length")
SOURCE = "The mayor of Lyon, Anna Roux, opened a bridge on 3 May 2019. It cost 12 million euros."


def value(name, claim, source=SOURCE, **options):
    (verdict,) = create(name, options).score([Pair(source, claim)])
    return verdict.value


def test_rouge_precision_counts_each_bigram_of_the_source_once():
    # "a b a b": bigrams ab, ba, ab; the source has ab once and ba once.
    assert value("rouge_precision", "a b a b", "x a b a y") == pytest.approx(2 / 3)
    assert value("rouge_precision", "a b a b", "x a b a y", n=1) == pytest.approx(3 / 4)


@given(st.text("ab c", max_size=20), st.text("ab c", max_size=20))
def test_rouge_precision_is_rouge_scores_own(claim, source):
    (verdict,) = create("rouge_precision").score([Pair(source, claim)])
    if verdict.value is None:
        assert len(claim.split()) < 2 or not source.strip()
    else:
        expected = RougeScorer(["rouge2"]).score(source, claim)["rouge2"].precision
        assert verdict.value == pytest.approx(expected)


def test_ngram_precision_is_the_mean_over_lengths_that_the_claim_has():
    # 3 distinct words, 2 in the source; 2 bigrams, 1 in it; 1 trigram, 0 in it; no 4-gram.
    (verdict,) = create("ngram_precision").score([Pair("one two three", "one two four")])
    assert verdict.value == pytest.approx((2 / 3 + 1 / 2 + 0) / 3)
    assert verdict.details == pytest.approx({"precision_1": 2 / 3, "precision_2": 1 / 2, "precision_3": 0.0})


def test_fragments_are_the_longest_runs_found_from_the_left():
    claim, source = (
        ["the", "cat", "sat", "on", "a", "red", "mat"],
        ["a", "red", "mat", "and", "the", "cat", "sat", "down"],
    )
    assert fragments(claim, source) == [3, 3]
    # The second place of "the" in the source starts the longer run.
    assert fragments(["the", "cat"], ["the", "dog", "the", "cat"]) == [2]
    assert fragments([], source) == []


def test_coverage_and_density_by_hand():
    claim, source = "the cat sat on a red mat", "a red mat and the cat sat down"
    assert value("coverage", claim, source) == pytest.approx(6 / 7)
    assert value("density", claim, source) == pytest.approx((9 + 9) / 7)


@given(st.lists(st.sampled_from("abc"), max_size=12), st.lists(st.sampled_from("abc"), max_size=12))
def test_fragments_are_as_long_as_a_search_without_short_cuts_finds(claim, source):
    def longest(at):
        return max(
            (
                next(
                    (
                        n
                        for n in range(len(claim) + 1)
                        if claim[at : at + n + 1] != source[j : j + n + 1] or at + n >= len(claim)
                    ),
                    0,
                )
                for j in range(len(source))
            ),
            default=0,
        )

    expected, at = [], 0
    while at < len(claim):
        found = longest(at)
        expected += [found] if found else []
        at += max(found, 1)
    assert fragments(claim, source) == expected


def test_entities_that_the_source_lacks_are_named():
    (verdict,) = create("entity_precision").score(
        [Pair(SOURCE, "Anna Roux opened a bridge in Paris. It cost 12 million.")]
    )
    assert verdict.value == pytest.approx(2 / 3)
    assert verdict.reason == "not in the source: Paris"
    assert [(s.value, s.reason) for s in verdict.sentences] == [(0.5, None), (1.0, None)]


def test_numbers_are_looked_at_alone():
    assert value("number_precision", "Paul Roux paid 13 million on 3 May 2019") == pytest.approx(1 / 2)
    assert value("number_precision", "Anna Roux opened it") is None


def test_length_is_minus_the_words():
    assert value("length", "one two, three") == -3


@pytest.mark.parametrize("name", RULES)
def test_nothing_to_check_is_no_number(name):
    empty, bare, good = create(name).score([Pair(SOURCE, "  "), Pair("\n", "A claim."), Pair(SOURCE, SOURCE)])
    assert (empty.value, empty.reason) == (None, NO_CLAIM)
    assert (bare.value, bare.reason) == (None, NO_SOURCE)
    assert good.value is not None


@pytest.mark.parametrize("name", RULES)
@given(data=st.data())
@settings(deadline=None)
def test_a_verdict_depends_on_its_own_pair_only(name, data):
    texts = st.text("abA 1.五年", max_size=12)
    pairs = data.draw(st.lists(st.builds(Pair, texts, texts, language=st.sampled_from(["en", "zh"])), max_size=5))
    told = []
    together = create(name).score(pairs, told.append)
    assert together == [create(name).score([pair])[0] for pair in pairs]
    assert sum(told) == len(pairs)


def test_a_number_that_is_none_becomes_a_reason():
    class Broken(ConsistencyScorer):
        name = "broken"

        def verdicts(self, pairs, advance):
            return [Verdict(math.nan) for _ in pairs]

    (verdict,) = Broken().score([Pair("a", "b")])
    assert verdict == Verdict.unscored("not a finite number (nan)")


@pytest.mark.parametrize("name", SCORERS)
def test_every_scorer_of_the_catalogue_is_there_under_its_name(name):
    found = scorer_class(name)
    assert found.name == name
    assert found.summary


def test_wrong_names_and_options_are_told_the_nearest():
    with pytest.raises(UsageError, match=r"no consistency scorer 'lit'.*lite"):
        create("lit")
    with pytest.raises(UsageError, match="unknown option 'm'"):
        create("rouge_precision", {"m": 2})
    with pytest.raises(UsageError, match="n is 0"):
        create("rouge_precision", {"n": 0})


@pytest.mark.parametrize(
    ("text", "language", "expected"),
    [
        ("He said so. Mr. Smith left.", "en", ["He said so.", "Mr. Smith left."]),
        ("the cat sat . it ran !", "en", ["the cat sat .", "it ran !"]),
        ("the cat sat. it ran", "en", ["the cat sat.", "it ran"]),
        ("他来了。她走了。", "zh", ["他来了。", "她走了。"]),
    ],
)
def test_sentences_of_lower_case_and_tokenised_text(text, language, expected):
    assert sentences(text, language) == expected
