"""Samples and outcomes with only what a test is about."""

from halueval.schema import Judged, Outcome, Sample, State


def sample(references=(), *, choices=(), gold=(), source=None, doc=None, target="", name="0"):
    return Sample(
        sample_id=name,
        doc=doc or {},
        doc_hash="",
        prompt="",
        prompt_hash="",
        target=target,
        target_hash="",
        references=tuple(references),
        choices=tuple(choices),
        gold=tuple(gold),
        source=source,
        cluster=name,
    )


def said(text, **more):
    return Outcome(response=text, **more)


JUDGED = Judged(State.HALLUCINATED)
ABSTAINED = Judged(State.ABSTAINED, refused=True)


def value(scorer, response, references, judged=JUDGED):
    return scorer.score(sample(references), said(response), judged).value
