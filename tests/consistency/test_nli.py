import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from neural_models import save_pairs, scripted, table, text

from halueval.consistency.base import NO_CLAIM, NO_SOURCE, Pair
from halueval.consistency.catalog import create
from halueval.consistency.nli import Nli
from halueval.errors import ModelError, UsageError
from halueval.schema import FailedResponse


@pytest.fixture(scope="module")
def directory(tmp_path_factory):
    return str(save_pairs(tmp_path_factory.mktemp("nli") / "model"))


SOURCE = "Alpha is here. Beta is there."
CLAIM = "X stands so. Yes it does."


def test_mean_over_sentences_of_the_maximum_over_pieces():
    rule = table(AX=(0.2, 0.5, 0.3), BX=(0.9, 0.1, 0.0), AY=(0.4, 0.2, 0.4), BY=(0.1, 0.1, 0.8))
    (verdict,) = scripted(Nli("m"), rule, window=6).score([Pair(SOURCE, CLAIM)])
    assert [s.value for s in verdict.sentences] == [0.9, 0.4]
    assert [s.text for s in verdict.sentences] == ["X stands so.", "Yes it does."]
    assert verdict.value == pytest.approx(0.65)


def test_entailment_is_found_by_role_and_not_by_place():
    rule = table(AX=(0.7, 0.2, 0.1))
    scorer = scripted(Nli("m"), rule, roles=("contradiction", "neutral", "entailment"))
    (verdict,) = scorer.score([Pair("Alpha.", "X.")])
    assert verdict.value == 0.1


def test_pieces_are_of_whole_sentences_up_to_the_window_beside_the_longest_claim_sentence():
    source = "One two three. Four five. Six seven eight nine. Ten eleven."
    scorer = scripted(Nli("m"), lambda p, h: (1.0, 0.0, 0.0), window=8)
    scorer.score([Pair(source, "Red green blue. White black.")])
    assert list(dict.fromkeys(p for p, _ in scorer.classifier.asked)) == [
        "One two three. Four five.",
        "Six seven eight nine.",  # with the two words after it there would be room beside the shorter sentence alone
        "Ten eleven.",
    ]


def test_a_sentence_beyond_the_window_stands_alone_and_its_cut_is_counted(directory):
    long, short = text(5, 1, 60), "It was true."
    (verdict,) = Nli(directory, device="cpu").score([Pair(f"{short} {long} {short}", "Rome is Rome. It was not.")])
    scorer = Nli(directory, device="cpu")
    beyond = scorer.classifier.count(long) - min(scorer.classifier.room(s) for s in ("Rome is Rome.", "It was not."))
    assert verdict.truncated == beyond > 0
    assert 0 < verdict.value < 1


def test_chinese_pieces_are_joined_without_spaces():
    scorer = scripted(Nli("m"), lambda p, h: (1.0, 0.0, 0.0), window=9)
    scorer.score([Pair("甲在北京。乙在上海。", "甲在北京。", language="zh")])
    assert scorer.classifier.asked == [("甲在北京。乙在上海。", "甲在北京。")]


def test_a_failed_piece_leaves_the_claim_without_a_value():
    rule = table(AX=(0.9, 0.1, 0), BX=FailedResponse("out of memory"), AY=(0.5, 0.5, 0), BY=(0.6, 0.4, 0))
    (verdict,) = scripted(Nli("m"), rule, window=6).score([Pair(SOURCE, CLAIM)])
    assert (verdict.value, verdict.reason) == (None, "out of memory")
    assert [(s.value, s.reason) for s in verdict.sentences] == [(None, "out of memory"), (0.6, None)]


def test_a_claim_sentence_that_fills_the_window_has_no_value(directory):
    (verdict,) = Nli(directory, device="cpu").score([Pair("It was true.", text(1, 1, 80))])
    assert verdict.value is None
    assert "no room in the window" in verdict.reason


def test_what_cannot_be_scored_has_a_reason_and_needs_no_model():
    verdicts = Nli(None).score([Pair("", "A claim."), Pair("A source.", " \n")])
    assert [(v.value, v.reason) for v in verdicts] == [(None, NO_SOURCE), (None, NO_CLAIM)]


def test_without_a_model_there_is_one_line():
    with pytest.raises(ModelError, match="'nli' needs a model") as caught:
        create("nli").score([Pair("A.", "B.")])
    assert "\n" not in str(caught.value)


def test_unknown_options_are_refused():
    with pytest.raises(UsageError, match="unknown option 'modle'"):
        create("nli", {"modle": "x"})


PAIRS = [Pair(text(i, 1 + i % 6), text(50 + i, 1 + i % 3, 4)) for i in range(12)]


@pytest.fixture(scope="module")
def want(directory):
    return Nli(directory, device="cpu").score(PAIRS)


@settings(max_examples=6, deadline=None)
@given(order=st.permutations(range(12)), batch_size=st.sampled_from([1, 3, None]))
def test_a_verdict_depends_on_its_pair_alone(directory, want, order, batch_size):
    got = Nli(directory, device="cpu", batch_size=batch_size).score([PAIRS[i] for i in order] + [PAIRS[order[0]]])
    for i, verdict in zip([*order, order[0]], got, strict=True):
        assert verdict.value == pytest.approx(want[i].value, abs=1e-5)
        assert verdict.truncated == want[i].truncated


def test_progress_is_told_of_each_pair_once():
    told = []
    scorer = scripted(Nli("m"), lambda p, h: (1.0, 0.0, 0.0))
    scorer.score([Pair("A.", "B.")] * 70 + [Pair("", "B.")], told.append)
    assert sum(told) == 71
