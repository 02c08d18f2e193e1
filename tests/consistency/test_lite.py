"""`lite`: its features and fit by hand, its synthetic errors, and the packaged coefficients."""

import random

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from letters import Letters
from transformers import AutoModel, AutoTokenizer

from halueval.consistency.base import Pair
from halueval.consistency.catalog import create
from halueval.consistency.embedding import Embedding
from halueval.consistency.encoder import SentenceEncoder
from halueval.consistency.lite import Lite, probabilities
from halueval.consistency.lite.features import (
    LONGEST_CLAIM,
    NAMES,
    NEAR,
    NEAREST,
    NEAREST_VECTORS,
    OF_SENTENCE,
    _Source,
    features,
    stem,
)
from halueval.consistency.lite.synthetic import ERRORS, Document, make_examples, tokenised
from halueval.consistency.lite.threshold import best_threshold
from halueval.consistency.lite.train import balanced_accuracy, calibrated, non_negative_logistic
from halueval.consistency.lite_lm.features import WordTable
from halueval.consistency.lite_lm.features import features as lite_lm_features
from halueval.consistency.lite_lm.words import WordLikelihood

DOCUMENT = Document(
    "The mayor of Lyon, Anna Roux, opened a new bridge on 3 May 2019. It cost 12 million euros, she told reporters. "
    "Critics had said that the old bridge was safe and could have been kept for many years.",
    "Anna Roux opened a bridge that cost 12 million euros.",
)
OTHER = Document(
    "Police in Leeds arrested Tom Hill on 7 June 2021 after a fire at a warehouse near the station. He was released "
    "without charge when officers found that 40 people had been inside.",
    "Tom Hill was arrested in Leeds after a fire.",
)


def named(claim, source=DOCUMENT.text):
    (row,) = features([Pair(source, claim)], Letters())
    return dict(zip(NAMES, row, strict=True))


def test_a_sentence_of_the_source_has_full_marks():
    assert named("It cost 12 million euros, she told reporters.") == pytest.approx(dict.fromkeys(NAMES, 1.0))


def test_features_of_a_claim_with_errors_by_hand():
    found = named("Anna Hill opened it. It did not cost 13 million euros.")
    assert found["entities_mean"] == pytest.approx((0 + 1) / 2)
    assert found["entities_worst"] == 0
    assert (found["numbers_mean"], found["numbers_worst"]) == pytest.approx((0.5, 0))
    assert (found["negation_agrees_mean"], found["negation_agrees_worst"]) == pytest.approx((0.5, 0))
    # "anna", "hill", "opened" of which "hill" is nowhere; "cost", "13", "million", "euros" of which "13" is.
    assert found["content_in_source_mean"] == pytest.approx((2 / 3 + 3 / 4) / 2)


def test_every_feature_falls_when_a_claim_leaves_its_source():
    near, far = (
        named("Anna Roux opened a new bridge."),
        named("Police did not arrest Tom Hill on 7 June 2021 in Leeds."),
    )
    assert all(far[name] <= near[name] for name in NAMES)
    assert len(NAMES) == 2 * len(OF_SENTENCE)


@pytest.mark.parametrize(("word", "expected"), [("visited", "visit"), ("bridges", "bridg"), ("is", "is"), ("桥", "桥")])
def test_stems(word, expected):
    assert stem(word) == expected


@given(st.lists(st.sampled_from(["bridge", "Bridges", "mayor", "the", "x", "old."]), min_size=1, max_size=60))
def test_words_stand_near_where_some_places_of_theirs_do(words):
    source = _Source(Pair(" ".join(words), "It."))
    stems = [stem(word.strip(".").lower()) for word in words]
    for first in ("bridg", "mayor", "x", "nowhere"):
        for second in ("bridge", "bridg", "old"):
            places = [[i for i, word in enumerate(stems) if word == wanted] for wanted in (first, second)]
            expected = any(abs(i - j) <= NEAR for i in places[0] for j in places[1])
            assert source.stand_near(first, second) == expected


def test_a_verdict_does_not_depend_on_pairs_that_share_the_source():
    texts = [(DOCUMENT, "Anna Roux opened it."), (OTHER, "He was released."), (DOCUMENT, "It.")]
    pairs = [Pair(document.text, claim) for document, claim in texts]
    together = features(pairs, Letters())
    assert [list(row) for row in together] == [list(features([pair], Letters())[0]) for pair in pairs]


class Noting(Letters):
    """Notes what it is given."""

    def tokens(self, texts):
        self.seen = list(texts)
        return super().tokens(texts)


# By the words that each shares with the claim: 4, 3, 2, 1, 0.
CLAIM = "Mayor opened bridge Lyon."
SOURCE = [
    "It rained.",
    "Mayor slept.",
    "Mayor opened doors.",
    "Mayor opened bridge.",
    "Mayor opened bridge Lyon today.",
]


@pytest.mark.parametrize("encoded", [1, 2, 4])
def test_only_the_nearest_sentences_are_encoded_and_words_are_read_of_all(encoded):
    pair, encoder = Pair(" ".join(SOURCE), CLAIM), Noting()
    (row,) = features([pair], encoder, encoded=encoded)
    assert encoder.seen == [CLAIM, *SOURCE[: -encoded - 1 : -1]]
    (whole,) = features([pair], Letters(), encoded=NEAREST)
    of_vectors = [name.startswith(("cosine", "token_match")) for name in NAMES]
    assert list(row[np.invert(of_vectors)]) == list(whole[np.invert(of_vectors)])
    assert (row <= whole).all()


def test_as_many_are_encoded_as_the_weights_were_fitted_for():
    pair, encoder = Pair(" ".join(SOURCE), CLAIM), Noting()
    scorer = Lite()
    scorer._encoder = encoder
    scorer.score([pair])
    assert encoder.seen == [CLAIM, *SOURCE[: -NEAREST_VECTORS - 1 : -1]]
    words = WordTable((WordLikelihood("mayor", -1.0, -2.0),), (-1.0,), (-2.0,))
    lite_lm_features([pair], [words], encoder)
    assert encoder.seen == [CLAIM, *SOURCE[:0:-1]]


@pytest.mark.parametrize("error", ERRORS)
def test_each_error_changes_a_claim_and_the_same_seed_changes_it_alike(error):
    claim = "Anna Roux said she was told that the bridge cost 12 million euros on 3 May 2019."
    change = ERRORS[error][0]
    made = [change(claim, DOCUMENT, OTHER, random.Random(seed)) for seed in range(20)]
    assert made == [change(claim, DOCUMENT, OTHER, random.Random(seed)) for seed in range(20)]
    assert any(wrong and wrong != claim for wrong in made)


def test_examples_are_balanced_and_follow_from_the_seed():
    made = make_examples([DOCUMENT, OTHER] * 5, per_document=3, seed=7)
    assert made == make_examples([DOCUMENT, OTHER] * 5, per_document=3, seed=7)
    assert sum(example.consistent for example in made) * 2 == len(made) > 20
    assert all((example.error == "none") == example.consistent for example in made)


def test_marks_of_tokenised_text_stand_alone():
    assert tokenised("He left, at 3.5 km.").split() == ["He", "left", ",", "at", "3.5", "km", "."]


def test_the_fit_finds_known_coefficients_and_none_below_zero():
    rng = np.random.default_rng(0)
    table = rng.normal(size=(20_000, 3))
    labels = rng.random(20_000) < 1 / (1 + np.exp(-(1.5 * table[:, 0] - 1.0 * table[:, 1] + 0.5)))
    coefficients, intercept = non_negative_logistic(table, labels, 0.0)
    assert coefficients[1] == 0
    assert coefficients[2] == pytest.approx(0, abs=0.05)
    assert coefficients[0] > 1
    assert intercept > 0.2
    exact, shift = non_negative_logistic(table[:, :1], rng.random(20_000) < 1 / (1 + np.exp(-2 * table[:, 0] + 1)), 0.0)
    assert (exact[0], shift) == pytest.approx((2, -1), abs=0.1)


def test_balanced_accuracy_and_its_threshold_by_hand():
    values, truth = np.array([0.1, 0.4, 0.6, 0.9]), np.array([False, True, False, True])
    # At .4: both true ones and one of two false ones; at .9: one of two and both. Of equals the lowest.
    assert balanced_accuracy(values, truth) == (0.75, 0.4)
    # One best cut, with two true values on it: at .5 all of three and one of two; at .8 one of three and both.
    values, truth = np.array([0.2, 0.5, 0.5, 0.7, 0.8]), np.array([False, True, True, False, True])
    assert balanced_accuracy(values, truth) == (0.75, 0.5)


def test_calibration_rises_and_meets_the_shares():
    rng = np.random.default_rng(1)
    margins = rng.uniform(-2, 2, 5000)
    labels = rng.random(5000) < (margins + 2) / 4
    knots = calibrated(margins, labels)
    assert all(a < b for a, b in zip(knots["probabilities"], knots["probabilities"][1:], strict=False))
    assert np.interp(1.0, knots["margins"], knots["probabilities"]) == pytest.approx(0.75, abs=0.05)


def test_the_packaged_coefficients_belong_to_these_features():
    model = Lite()._model
    assert tuple(model["features"]) == NAMES
    assert min(model["coefficients"]) >= 0
    best, worst = probabilities(model, np.array([np.ones(len(NAMES)), np.zeros(len(NAMES))]))
    assert 0 <= worst < model["threshold"] < best <= 1
    assert create("lite").threshold == model["threshold"]


@pytest.mark.parametrize("name", ["lite", "lite_lm"])
@pytest.mark.parametrize("claim", ["...", "?! — “”", "_ _"])
def test_a_claim_of_marks_alone_is_no_number(name, claim):
    (verdict,) = create(name).score([Pair("The mayor of Paris opened a bridge.", claim)])
    (copied,) = create("coverage").score([Pair("The mayor of Paris opened a bridge.", claim)])
    assert (verdict.value, verdict.reason) == (None, copied.reason) == (None, "the claim has no word")


def test_an_encoder_gives_vectors_of_length_one_whatever_the_company(models):
    encoder = SentenceEncoder(models("bert"), device="cpu", dtype="float32")
    texts = ["The film", "It was long and reviewed by the people", "The film"]
    together = encoder.encode(texts)
    assert np.linalg.norm(together, axis=1) == pytest.approx([1, 1, 1], abs=1e-5)
    alone = SentenceEncoder(models("bert"), device="cpu", dtype="float32", batch_tokens=1)
    for text, vector in zip(texts, together, strict=True):
        assert alone.encode([text])[0] == pytest.approx(vector, abs=1e-5)
    for text, tokens in zip(texts, encoder.tokens(texts), strict=True):
        assert alone.tokens([text])[0] == pytest.approx(tokens, abs=1e-5)
    assert encoder.digest


def test_embedding_support_is_the_nearest_sentence_of_the_source(models):
    scorer = Embedding(model=str(models("bert")), device="cpu", dtype="float32")
    (same, other) = scorer.score(
        [Pair("The film was long. It was.", "It was."), Pair("The film.", "It was. The film.")]
    )
    assert same.value == pytest.approx(1, abs=1e-5)
    assert other.value < 1
    assert other.sentences[1].value == pytest.approx(1, abs=1e-5)
    assert other.value == pytest.approx(np.mean([s.value for s in other.sentences]))


def test_the_encoders_precision_is_part_of_the_identity(models, monkeypatch):
    for dtype, expected in (("auto", "float32"), ("float16", "float16")):
        assert Embedding(model=str(models("bert")), dtype=dtype).identity()["dtype"] == expected
        scorer = Lite(dtype=dtype)
        scorer._encoder = SentenceEncoder(models("bert"), dtype=dtype)
        assert scorer.identity()["dtype"] == expected


def test_lite_tells_each_sentence_and_what_it_did_not_look_at(models):
    scorer = Lite(dtype="float32", device="cpu")
    scorer._encoder = SentenceEncoder(models("bert"), device="cpu", dtype="float32")
    parts = ["Anna Roux opened a bridge.", "Tom Hill was arrested.", "?!"]
    whole, *alone = scorer.score([Pair(DOCUMENT.text, text) for text in ("\n".join(parts), *parts)])
    assert [s.text for s in whole.sentences] == parts
    assert [s.value for s in whole.sentences[:2]] == pytest.approx([v.value for v in alone[:2]], abs=1e-5)
    assert whole.sentences[2].value is None
    assert "claim_sentences_unseen" not in whole.details
    (many,) = scorer.score([Pair(DOCUMENT.text, "Anna Roux opened a bridge. " * (LONGEST_CLAIM + 2))])
    assert many.details["claim_sentences_unseen"] == 2
    assert len(many.sentences) == LONGEST_CLAIM


@pytest.mark.parametrize("scorer", ["lite", "embedding"])
def test_what_the_encoder_does_not_see_of_a_sentence_is_counted(models, scorer, monkeypatch):
    monkeypatch.setattr("halueval.consistency.encoder.LONGEST", 16)
    made = Lite(device="cpu") if scorer == "lite" else create(scorer, {"device": "cpu"})
    made._encoder = SentenceEncoder(models("bert"), device="cpu")
    long = "the film was reviewed as good by the people of Rome and of Paris and it was not true or was it."
    cut, unseen, neither = made.score([Pair(long, "a film."), Pair("a film.", long), Pair("a film.", "a film.")])
    count = len(AutoTokenizer.from_pretrained(models("bert"))(long)["input_ids"])
    assert count > 16
    assert (cut.truncated, unseen.truncated, neither.truncated) == (count - 16, 0, 0)
    assert unseen.details["claim_tokens_unseen"] == count - 16
    assert "claim_tokens_unseen" not in cut.details


def test_an_encoder_with_a_short_window_sees_what_it_can(models):
    encoder = SentenceEncoder(models("bert"), device="cpu")
    long = "the film was long. " * 60
    assert np.isfinite(encoder.encode([long])).all()
    assert encoder.cut(long) == len(AutoTokenizer.from_pretrained(models("bert"))(long)["input_ids"]) - 64


def test_the_encoder_sees_the_beginning_and_the_end_mark_of_a_long_text(models, monkeypatch):
    monkeypatch.setattr("halueval.consistency.encoder.LONGEST", 16)
    long = "the film was reviewed as good by the people of Rome and of Paris and it was not true or was it."
    (ours,) = SentenceEncoder(models("bert"), device="cpu").encode([long])
    tokenizer, model = AutoTokenizer.from_pretrained(models("bert")), AutoModel.from_pretrained(models("bert")).eval()
    with torch.inference_mode():
        hidden = model(**tokenizer(long, truncation=True, max_length=16, return_tensors="pt")).last_hidden_state[0]
    mean = hidden.mean(0)
    assert ours == pytest.approx((mean / mean.norm()).numpy(), abs=1e-5)


def test_a_threshold_serves_all_sets_alike():
    low = np.array([0.1, 0.3, 0.5]), np.array([False, True, True])
    high = np.array([0.4, 0.6, 0.8]), np.array([False, False, True])
    # At .3: 1 and (0 + 1) / 2; at .5: (1/2 + 1) / 2 = .75 and (1 + 1/2) / 2 = .75; at .8: .5 and 1.
    # At .4: .75 and .5; at .6: .5 and .75.
    threshold, accuracy = best_threshold([low, high])
    assert (threshold, accuracy) == (0.3, 0.75)
