"""Uncertainty of ready-made samples against the judgement of people.

The figures were computed here: they keep real behaviour from changing unseen. Length alone stands beside them, because
wrong answers are longer in these sets.
"""

import json
from pathlib import Path

import pytest
from sklearn.metrics import average_precision_score

from halueval.stats.rejection import rejection_figures
from halueval.text import split_sentences
from halueval.uncertainty.lexical import lexical_similarity
from halueval.uncertainty.selfcheck_ngram import selfcheck_ngram
from halueval.uncertainty.semantic import by_exact_match, cluster, discrete_semantic_entropy

DATA = Path(__file__).parents[3] / "shared" / "data"
SAC3 = DATA / "sac3" / "nq_open_250_eval_labeled-SC.json"
WIKIBIO = DATA / "selfcheck_wikibio" / "dataset-generated.json"


@pytest.mark.skipif(not SAC3.is_file(), reason="the annotated answers of SAC3 are not here")
def test_samples_of_sac3_tell_wrong_answers_on_nq_open():
    rows = json.loads(SAC3.read_text(encoding="utf-8"))
    wrong = [row["label"] == "False" for row in rows]
    assert (len(rows), sum(wrong)) == (250, 120)
    answers = [row["generated_answer"][0] for row in rows]
    draws = [row["self_evaluations"] for row in rows]
    uncertainty = {
        "lexical": [1 - lexical_similarity(texts) for texts in draws],
        "exact match": [discrete_semantic_entropy(cluster(texts, by_exact_match())) for texts in draws],
        "unigram": [selfcheck_ngram(split_sentences(a), d).mean for a, d in zip(answers, draws, strict=True)],
        "length": [float(len(answer.split())) for answer in answers],
    }
    expected = {"lexical": 0.7981, "exact match": 0.7800, "unigram": 0.8078, "length": 0.7587}
    for name, values in uncertainty.items():
        found = rejection_figures(values, wrong, n_resamples=300)
        assert found.auroc.value == pytest.approx(expected[name], abs=5e-4), name
        assert 0.6 < found.auroc.ci_low < found.auroc.value < found.auroc.ci_high
        assert found.accuracy == pytest.approx(130 / 250)
        assert found.aurac.value > found.accuracy + 0.1
        assert 0 < found.prr.value < 1


@pytest.mark.skipif(not WIKIBIO.is_file(), reason="the annotated passages of WikiBio are not here")
def test_unigrams_find_wrong_sentences_of_wikibio_better_than_chance():
    wrong, mean, highest = [], [], []
    for row in json.loads(WIKIBIO.read_text(encoding="utf-8")):
        scores = selfcheck_ngram(row["main_sentences"], row["sample_passages"])
        wrong += [label != "accurate" for label in row["annotation"]]
        mean += scores.sentence_mean
        highest += scores.sentence_highest
    base = sum(wrong) / len(wrong)  # what a random order has
    assert (len(wrong), round(base, 4)) == (959, 0.7351)
    found = {name: average_precision_score(wrong, values) for name, values in (("mean", mean), ("highest", highest))}
    assert found == pytest.approx({"mean": 0.8161, "highest": 0.7727}, abs=5e-4)
    assert min(found.values()) > base + 0.03
