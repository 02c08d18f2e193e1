"""`entailment_probe`: the state that is read, the head by hand, pieces and sentences, the fit, the packaged head."""

import math
import os

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from neural_models import save_pairs, text

from halueval.consistency.base import NO_CLAIM, NO_SOURCE, Pair
from halueval.consistency.catalog import create
from halueval.consistency.entailment_probe import EntailmentProbe, Reader, entailment
from halueval.consistency.entailment_probe.train import Examples, fit, left_out, superglue_pairs
from halueval.consistency.local_model import Scored
from halueval.errors import ModelError, SourceError
from halueval.schema import FailedResponse
from halueval.validation.fitted import seen_before

HEAD = {"coefficients": [2.0, -1.0], "intercept": 0.5}


@pytest.fixture(scope="module")
def small(tmp_path_factory):
    return str(save_pairs(tmp_path_factory.mktemp("probe") / "model", window=64))


def scorer_of(states):
    """The scorer with states by rule, a token for each word and the head above."""
    scorer = EntailmentProbe(device="cpu")
    scorer.head = HEAD

    class Stated:
        def count(self, words):
            return len(words.split())

        def room(self, hypothesis):
            return 8 - self.count(hypothesis)

        def states(self, pairs):
            found = [states(premise, hypothesis) for premise, hypothesis in pairs]
            return [Scored(state) if isinstance(state, tuple) else state for state in found]

    scorer.reader = Stated()
    return scorer


def sigmoid(x):
    return 1 / (1 + math.exp(-x))


def test_the_head_by_hand():
    assert entailment(HEAD, (1.0, 0.5)) == pytest.approx(sigmoid(2.0))
    assert entailment(HEAD, (0.0, 0.0)) == pytest.approx(0.6224593312018546)
    assert entailment(HEAD, (-1e9, 1e9)) == pytest.approx(0.0, abs=1e-200)  # and no overflow


def test_a_head_of_another_size_is_named():
    with pytest.raises(ModelError, match="2 coefficients for a hidden state of 3"):
        entailment(HEAD, (1.0, 2.0, 3.0))


def test_mean_over_sentences_of_the_best_piece():
    known = {("One two three four.", "Red."): (1.0, 0.0), ("Five six seven.", "Red."): (0.0, 2.0)}
    known |= {("One two three four.", "Blue."): (0.0, 1.0), ("Five six seven.", "Blue."): (0.0, 0.5)}
    scorer = scorer_of(lambda premise, hypothesis: known[premise, hypothesis])
    scorer.reader.room = lambda hypothesis: 4
    (verdict,) = scorer.score([Pair("One two three four. Five six seven.", "Red. Blue.")])
    assert [s.value for s in verdict.sentences] == pytest.approx([sigmoid(2.5), sigmoid(0.0)])
    assert verdict.value == pytest.approx((sigmoid(2.5) + 0.5) / 2)


def test_what_cannot_be_read_is_null_with_the_reason():
    scorer = scorer_of(lambda premise, hypothesis: FailedResponse("out of memory"))
    nothing, no_source, no_claim = scorer.score([Pair("One.", "Two."), Pair("", "Two."), Pair("One.", "")])
    assert (nothing.value, nothing.reason) == (None, "out of memory")
    assert (no_source.value, no_source.reason) == (None, NO_SOURCE)
    assert (no_claim.value, no_claim.reason) == (None, NO_CLAIM)


def test_the_state_is_that_of_the_first_token_in_the_last_layer(small):
    reader = Reader(device="cpu", model=small)
    pairs = [("Paris was good.", "It was true."), ("The film was bad. People came.", "Rome is Rome.")]
    tokenizer, model = reader.tokenizer, reader.model
    for pair, found in zip(pairs, reader.states(pairs), strict=True):
        with torch.inference_mode():
            hidden = model(**tokenizer(*pair, return_tensors="pt"), output_hidden_states=True).hidden_states[-1]
        torch.testing.assert_close(torch.tensor(found.probabilities), hidden[0, 0], rtol=1e-5, atol=1e-5)


@settings(max_examples=10, deadline=None)
@given(order=st.permutations(range(5)), batch=st.integers(1, 5))
def test_order_batches_and_duplicates_change_nothing(small, order, batch):
    pairs = [(text(i, 1 + i), text(10 + i, 1)) for i in range(5)]
    alone = [Reader(device="cpu", model=small).states([pair])[0].probabilities for pair in pairs]
    reader = Reader(device="cpu", model=small, batch_size=batch)
    found = reader.states([pairs[i] for i in (*order, order[0])])
    for i, answer in zip((*order, order[0]), found, strict=True):
        np.testing.assert_allclose(answer.probabilities, alone[i], rtol=1e-4, atol=1e-5)


def test_a_sentence_that_fills_the_window_has_no_value(small):
    (answer,) = Reader(device="cpu", model=small).states([("Paris.", text(1, 1, 80))])
    assert isinstance(answer, FailedResponse)
    assert "leaves the source no room" in answer.reason


def parts(seed=0):
    """Two sources of pairs with the same direction of entailment, one ten times as large and off centre."""
    generator = np.random.default_rng(seed)
    out = {}
    for name, size, shift in (("large", 400, 3.0), ("small", 40, 0.0)):
        truth = np.arange(size) % 2 == 0
        states = generator.normal(size=(size, 4)) + shift * np.array([0, 0, 1, 0])
        states[:, 1] += 4 * truth
        states[:, 3] = 7.0
        out[name] = Examples(states, truth)
    return out


def test_the_fit_finds_the_direction_and_leaves_a_constant_out():
    made = parts()
    head = fit(list(made.values()), 1.0)
    assert head["coefficients"][1] > 5 * max(abs(head["coefficients"][i]) for i in (0, 2))
    assert head["coefficients"][3] == 0
    right = [(entailment(head, state) > 0.5) == truth for state, truth in zip(*_table(made["small"]), strict=True)]
    assert np.mean(right) > 0.9


def _table(part):
    return part.states.tolist(), part.entailed.tolist()


def test_each_source_of_pairs_counts_the_same():
    one = parts(1)["large"]
    other = Examples(one.states, one.states[:, 0] > 0)  # the same states, so that standardising is the same
    doubled = Examples(np.vstack([one.states] * 2), np.hstack([one.entailed] * 2))
    head = fit([one, other], 0.01)
    # The weights of 800 rows add up to 800, those of 1,200 to 1,200: the same share for either source, both times.
    again = fit([doubled, other], 0.01 * 800 / 1200)
    assert again["coefficients"] == pytest.approx(head["coefficients"], rel=1e-3, abs=1e-5)
    assert fit([doubled, other], 0.01)["coefficients"] != pytest.approx(head["coefficients"], rel=1e-3, abs=1e-5)


def test_a_source_left_out_is_ranked_by_the_others_alone():
    made = parts()
    flipped = Examples(made["small"].states, ~made["small"].entailed)
    figures = left_out({"large": made["large"], "small": flipped}, 1.0)
    assert figures["small"] < 0.1  # fitted on the large one alone, which says the opposite
    assert figures["large"] < 0.1


def test_superglue_files_are_read_by_their_labels(tmp_path):
    (tmp_path / "a.jsonl").write_text(
        '{"premise": "P", "hypothesis": "H", "label": "entailment"}\n'
        '{"premise": "Q", "hypothesis": "I", "label": "not_entailment"}\n'
        '{"premise": "R", "hypothesis": "J", "label": "neutral"}\n'
    )
    assert superglue_pairs(tmp_path, ["a"]) == [("P", "H", True), ("Q", "I", False), ("R", "J", False)]


def test_the_packaged_head_says_what_it_has_seen():
    scorer = create("entailment_probe")
    assert len(scorer.head["coefficients"]) == 384
    assert all(math.isfinite(value) for value in scorer.head["coefficients"])
    assert scorer.head["fitted_on"] == ["rte", "cb", "fever_symmetric", "rank19"]
    assert 0 < scorer.threshold < 1
    assert (scorer.threshold_in("en"), scorer.threshold_in("zh")) == (scorer.threshold, None)
    for name in ("fever_symmetric", "rank19", "factual_summary_pairs"):
        assert "is no evidence" in seen_before("entailment_probe", name)
    assert seen_before("entailment_probe", "qags_xsum") is None


def test_with_the_packaged_cross_encoder_it_sees_relations_and_not_words(embedded):
    offline = os.environ.pop("HF_HUB_OFFLINE", None)  # PyPI is another matter than the hub
    try:
        scorer = create("entailment_probe", {"device": "cpu"})
        source = "The company said on Monday that Anna Meier will succeed Tom Brown as its chief executive in May."
        claims = ("Anna Meier will follow Tom Brown.", "Tom Brown will succeed Anna Meier.", "The company was sold.")
        follows, reversed_roles, unsaid = scorer.score([Pair(source, claim) for claim in claims])
    except SourceError as error:
        pytest.skip(f"the cross-encoder cannot be had: {error}")
    finally:
        if offline is not None:
            os.environ["HF_HUB_OFFLINE"] = offline
    assert follows.value > reversed_roles.value + 0.2
    assert follows.value > unsaid.value + 0.2
    assert scorer.identity()["weights_sha256"].startswith("e3108a79d3cfaaed")
