import pytest
from halueval_moons.hedging import HedgeRate

from halueval.schema import Judged, Outcome, Sample, State

SAMPLE = Sample(sample_id="0", doc={}, doc_hash="d", prompt="Q", prompt_hash="p", target="Saturn", target_hash="t")
JUDGED = Judged(State.CORRECT)


@pytest.mark.parametrize(("answer", "value"), [("Probably Saturn.", 1), ("Saturn", 0)])
def test_whole_words_hedge(answer, value):
    assert HedgeRate().score(SAMPLE, Outcome(response=answer), JUDGED).value == value


def test_an_empty_answer_is_unscored_and_not_zero():
    score = HedgeRate().score(SAMPLE, Outcome(response=""), Judged(State.ABSTAINED, empty=True))
    assert (score.value, score.reason) == (None, "no answer that could hedge")
