import json
import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from neural_models import save_pairs, scripted, table, text
from safetensors.numpy import save_file

from halueval.consistency.base import Pair
from halueval.consistency.summac import PERCENTILE_BINS, ConvWeights, SummaCConv, SummaCZS, read_conv
from halueval.errors import ModelError

SOURCE = "Alpha is over here. Beta is over there."
CLAIM = "X stands just so. Yes it surely does."
RULE = table(AX=(0.2, 0.5, 0.3), BX=(0.9, 0.1, 0.0), AY=(0.4, 0.2, 0.4), BY=(0.1, 0.1, 0.8))


def test_zs_is_the_mean_of_the_largest_entailment_less_the_largest_contradiction():
    (verdict,) = scripted(SummaCZS("m"), RULE).score([Pair(SOURCE, CLAIM)])
    assert [s.value for s in verdict.sentences] == pytest.approx([0.9 - 0.3, 0.4 - 0.8])
    assert verdict.value == pytest.approx(0.1)


def test_zs_finds_the_classes_by_role():
    rule = table(AX=(0.3, 0.2, 0.5))
    scorer = scripted(SummaCZS("m"), rule, roles=("contradiction", "entailment", "neutral"))
    (verdict,) = scorer.score([Pair("Alpha is over here.", "X stands just so.")])
    assert verdict.value == pytest.approx(0.2 - 0.3)


def test_zs_has_no_value_where_the_head_has_no_contradiction():
    scorer = scripted(SummaCZS("m"), lambda p, h: (0.5, 0.5), roles=("entailment", "not_entailment"))
    (verdict,) = scorer.score([Pair(SOURCE, CLAIM)])
    assert verdict.value is None
    assert "its outputs are entailment, not_entailment; needed is P(contradiction)" in verdict.reason
    assert scorer.classifier.asked == []


def test_sentences_of_ten_characters_or_less_are_not_looked_at():
    scorer = scripted(SummaCZS("m"), lambda p, h: (1.0, 0.0, 0.0))
    (verdict,) = scorer.score([Pair("Ten chars. Eleven char.", "X is so red. Yes it is.")])
    assert scorer.classifier.asked == [("Eleven char.", "X is so red.")]
    assert verdict.truncated == 0
    short, bare = scorer.score([Pair(SOURCE, "It is so."), Pair("It is so.", CLAIM)])
    assert (short.value, short.reason) == (None, "the claim has no sentence of more than 10 characters")
    assert (bare.value, bare.reason) == (None, "the source has no sentence of more than 10 characters")


def test_a_pair_without_long_sentences_leaves_its_neighbours_alone():
    scorer = scripted(SummaCZS("m"), RULE)
    alone, _, among = scorer.score([Pair(SOURCE, CLAIM), Pair(SOURCE, "No."), Pair(SOURCE, CLAIM)])
    assert alone == among


def test_the_source_is_seen_up_to_its_hundredth_sentence():
    source = " ".join(f"Sentence of number {i}." for i in range(103))
    scorer = scripted(SummaCZS("m"), lambda p, h: (1.0, 0.0, 0.0))
    (verdict,) = scorer.score([Pair(source, "X stands just so.")])
    assert len(scorer.classifier.asked) == 100
    assert verdict.truncated == 3 * 4


def test_a_sentence_beyond_the_window_is_cut_once_for_all_claim_sentences(tmp_path):
    model = str(save_pairs(tmp_path / "m"))
    long = text(1, 1, 70)
    scorer = SummaCZS(model, device="cpu")
    (verdict,) = scorer.score([Pair(long, "It was not true. Rome is the capital of Italy.")])
    rooms = [scorer.classifier.room(s.text) for s in verdict.sentences]
    assert verdict.truncated == scorer.classifier.count(long) - min(rooms)
    assert -1 <= verdict.value <= 1


def test_the_official_bins_are_23():
    assert len(PERCENTILE_BINS) == 24
    assert ConvWeights(tuple(range(23)), 0.0).bins == PERCENTILE_BINS
    assert ConvWeights((1.0, 2.0, 3.0, 4.0), 0.0).bins == (0.0, 0.25, 0.5, 0.75, 1.0)


def test_the_histogram_counts_source_sentences_with_closed_last_bin():
    weights = ConvWeights((1.0, 10.0, 100.0, 1000.0), 0.5)
    assert weights.sentence([0.0, 0.24, 0.25, 0.5, 0.99, 1.0, 1.0000001]) == 2 * 1 + 10 + 100 + 3 * 1000 + 0.5


@given(st.permutations([0.0, 0.005, 0.2, 0.5, 0.913, 0.9999]))
def test_the_order_of_source_sentences_does_not_matter(entailment):
    weights = ConvWeights(tuple(float(i) for i in range(23)), 0.5)
    # .913 is in the tenth bin, .5 in the eighth.
    assert weights.sentence(entailment) == 0 + 0 + 6 + 7 + 9 + 22 + 0.5


def conv(tmp_path, found):
    path = tmp_path / "conv.json"
    path.write_text(json.dumps(found))
    return str(path)


def test_conv_is_layer_on_histogram_then_mean(tmp_path):
    weights = conv(tmp_path, {"weight": [0, 2], "bias": -1})
    (verdict,) = scripted(SummaCConv("m", weights=weights), RULE).score([Pair(SOURCE, CLAIM)])
    # Entailment .2 and .9: one of two above .5, so 2 − 1; .4 and .1: none, so −1.
    assert [s.value for s in verdict.sentences] == [1, -1]
    assert verdict.value == 0


def test_the_final_layer_sees_the_mean_three_times(tmp_path):
    mlp, bias = np.arange(23, dtype="f4")[None] / 7, np.array([0.25], "f4")
    final, shift = np.array([[0.1, -0.2, 0.3], [0.5, 0.25, 0.75]], "f4"), np.array([0.2, -0.4], "f4")
    tensors = {"mlp.weight": mlp, "mlp.bias": bias, "layer_final.weight": final, "layer_final.bias": shift}
    save_file(tensors, tmp_path / "conv.safetensors")
    scorer = scripted(SummaCConv("m", weights=str(tmp_path / "conv.safetensors")), RULE)
    (verdict,) = scorer.score([Pair(SOURCE, CLAIM)])
    # Bins of .2, .9, .4, .1: 6 (.13–.37), 8 (.9–.91), 7 (.37–.9), 5 (.07–.13).
    mean = ((6 + 8) / 7 + 0.25 + (7 + 5) / 7 + 0.25) / 2
    logits = final @ np.array([mean] * 3) + shift
    assert verdict.value == pytest.approx(math.exp(logits[1]) / np.exp(logits).sum(), abs=1e-6)
    assert len(scorer.identity()["conv_sha256"]) == 64


def test_conv_sees_ten_sentences_of_a_claim_and_says_so(tmp_path):
    scorer = scripted(
        SummaCConv("m", weights=conv(tmp_path, {"weight": [0, 1], "bias": [0]})), lambda p, h: (1.0, 0.0, 0.0)
    )
    few, many = scorer.score([Pair(SOURCE, CLAIM), Pair(SOURCE, " ".join(["This is one sentence."] * 12))])
    assert len(many.sentences) == 10
    assert many.details == {"claim_sentences_unseen": 2}
    assert few.details == {}


def test_conv_without_its_layers_is_refused_before_a_model_is_loaded():
    with pytest.raises(ModelError, match="needs the learnt layers: give the option `weights`") as caught:
        SummaCConv("nowhere/at-all").score([Pair(SOURCE, CLAIM)])
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    "found",
    [
        {"weight": [1, 2]},
        {"weight": [], "bias": 0},
        {"weight": [1, "x"], "bias": 0},
        {"weight": [1, float("nan")], "bias": 0},
        {"weight": [1, 2], "bias": [0, 1]},
        {"weight": [1, 2], "bias": 0, "final_weight": [[1, 2]], "final_bias": [0, 0]},
        {"weight": [1, 2], "bias": 0, "final_weight": [[1, 2, 3], [1, 2, 3]]},
        [1, 2],
    ],
)
def test_layers_that_do_not_fit_are_refused(tmp_path, found):
    with pytest.raises(ModelError, match="cannot be read as weights of summac_conv"):
        read_conv(type(tmp_path)(conv(tmp_path, found)))


def test_files_that_hold_no_layers_are_refused(tmp_path):
    for name, why in (("a.bin", "are safetensors"), ("a.safetensors", "cannot be read"), ("none.json", "cannot be")):
        if name != "none.json":
            (tmp_path / name).write_bytes(b"\x80\x04 pickle or worse")
        with pytest.raises(ModelError, match=why):
            read_conv(tmp_path / name)


def test_extreme_means_stay_probabilities():
    weights = ConvWeights((1.0, 1.0), 0.0, slope=1.0)
    assert weights.claim(-1e6) == 0
    assert weights.claim(1e6) == 1


def test_zs_is_the_same_in_any_batch(tmp_path):
    model = str(save_pairs(tmp_path / "m"))
    pairs = [Pair(text(i, 1 + i % 4), text(30 + i, 1 + i % 2)) for i in range(7)]
    one = SummaCZS(model, device="cpu", batch_size=1).score(pairs)
    all_at_once = SummaCZS(model, device="cpu").score(pairs[::-1])[::-1]
    assert [v.value for v in one] == pytest.approx([v.value for v in all_at_once], abs=1e-5)
