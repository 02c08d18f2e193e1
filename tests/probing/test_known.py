"""Classes of facts, their file, and how far two labellings agree."""

import json

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn.metrics import cohen_kappa_score

from halueval.errors import DataError
from halueval.known import (
    KNOWN_CLASSES,
    KnownFact,
    LabelHeader,
    find_labels,
    known_class,
    label_lines,
    read_labels,
)
from halueval.probing.figures import agreement, by_group, class_figures

HEADER = LabelHeader("m", "w", None, "facts", "t", "d", {"num_prompts": 10})


def fact(name="HighlyKnown", number=0, *, fresh=True, relation="capital"):
    return KnownFact(str(number), f"h{number}", name, 1.0, 1.0, 10, 160, fresh, {"relation": relation})


FACT = fact()


def write(path, header=HEADER, facts=(FACT,)):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(b"".join(label_lines(header, facts)))
    return path


@pytest.mark.parametrize(
    ("greedy", "sampled", "expected"),
    [
        # Table 1 of Gekhman et al. 2024.
        ([True] * 10, [False] * 160, "HighlyKnown"),
        ([True] + [False] * 9, [True] * 160, "MaybeKnown"),
        ([True] * 9 + [False], [False] * 160, "MaybeKnown"),
        ([False] * 10, [True] + [False] * 159, "WeaklyKnown"),
        ([False] * 10, [False] * 160, "Unknown"),
    ],
)
def test_classes_are_those_of_slick(greedy, sampled, expected):
    assert known_class(greedy, sampled) == expected


def test_a_fact_without_an_answer_has_no_class():
    with pytest.raises(ValueError, match="no class"):
        known_class([], [])


@given(st.lists(st.booleans(), min_size=1, max_size=12), st.lists(st.booleans(), max_size=12), st.randoms())
def test_order_does_not_matter_and_knowing_more_never_lowers_the_class(greedy, sampled, random):
    before = known_class(greedy, sampled)
    shuffled = sorted(greedy, key=lambda _: random.random())
    assert known_class(shuffled, sampled[::-1]) == before
    better = known_class([True, *greedy[1:]], [True, *sampled[1:]])
    assert KNOWN_CLASSES.index(better) <= KNOWN_CLASSES.index(before)


def test_labels_come_back_as_they_were_written(tmp_path):
    facts = [fact("Unknown", 1, fresh=False), fact("MaybeKnown", 2)]
    assert read_labels(write(tmp_path / "labels.jsonl", facts=facts)) == (HEADER, facts)


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda lines: [], "is empty"),
        (lambda lines: ["{", *lines[1:]], "line 1: not JSON"),
        (lambda lines: ["[]", *lines[1:]], "line 1: holds no mapping"),
        (lambda lines: lines[1:], "line 1: no head of labels"),
        (lambda lines: [lines[0].replace('"w"', '"w"').replace("weights_sha256", "weights")], "has no weights_sha256"),
        (lambda lines: [lines[0], lines[1].replace("HighlyKnown", "Known")], "line 2: known_class is 'Known'"),
        (lambda lines: [lines[0], json.dumps({"sample_id": "1"})], "line 2: has no doc_hash"),
    ],
)
def test_a_broken_file_of_labels_is_named_with_its_line(tmp_path, change, said):
    path = write(tmp_path / "labels.jsonl")
    path.write_text("\n".join(change(path.read_text().splitlines())))
    with pytest.raises(DataError, match=said):
        read_labels(path)


def test_the_labels_of_these_weights_and_data_are_found(tmp_path):
    mine = write(tmp_path / "probe-b" / "labels.jsonl", facts=[fact(number=i) for i in range(3)])
    write(tmp_path / "probe-a" / "labels.jsonl")
    write(tmp_path / "probe-c" / "labels.jsonl", LabelHeader("m", "other", None, "facts", "t", "d", {}), [fact()] * 9)
    assert find_labels(tmp_path, "w", None, "d") == mine
    assert find_labels(tmp_path, "w", None, "other data") is None
    assert find_labels(tmp_path, "w", "adapter", "d") is None


def test_figures_of_the_classes_by_hand():
    facts = [fact(number=i, fresh=i < 3) for i in range(4)] + [fact("Unknown", 9, fresh=False, relation="river")]
    first, *_, last = class_figures(facts)
    assert (first["count"], first["share"]["value"], first["fresh_accuracy"]["value"]) == (4, 0.8, 0.75)
    assert (last["count"], last["fresh_accuracy"]["value"]) == (1, 0.0)
    assert class_figures(facts)[1]["fresh_accuracy"] == {
        "value": None,
        "ci_low": None,
        "ci_high": None,
        "n": 0,
        "reason": "no facts",
    }
    # Wilson's interval of 3 of 4.
    assert first["fresh_accuracy"]["ci_low"] == pytest.approx(0.3006, abs=1e-4)
    assert by_group(facts, "relation")["capital"]["HighlyKnown"] == 4


def test_agreement_by_hand():
    # Ten facts, eight equal; chance: .5·.5 + .5·.5.
    first = ["HighlyKnown"] * 5 + ["Unknown"] * 5
    second = ["HighlyKnown"] * 4 + ["Unknown"] + ["Unknown"] * 4 + ["HighlyKnown"]
    made = agreement(first, second, n_resamples=500)
    assert made["observed"]["value"] == 0.8
    assert made["kappa"]["value"] == pytest.approx((0.8 - 0.5) / 0.5)
    assert made["kappa"]["ci_low"] < 0.6 < made["kappa"]["ci_high"]
    assert made["table"][0][0] == 4


@given(st.lists(st.tuples(st.sampled_from(KNOWN_CLASSES), st.sampled_from(KNOWN_CLASSES)), min_size=4, max_size=40))
def test_kappa_is_that_of_scikit_learn(pairs):
    first, second = zip(*pairs, strict=True)
    made = agreement(first, second, n_resamples=20)["kappa"]
    if len({*first, *second}) == 1:
        assert made["value"] is None
        return
    assert made["value"] == pytest.approx(cohen_kappa_score(first, second))


def test_one_class_for_all_has_no_kappa():
    made = agreement(["Unknown"] * 5, ["Unknown"] * 5, n_resamples=50)
    assert made["kappa"]["value"] is None
    assert made["kappa"]["reason"] == "both halves give every fact one and the same class"
    assert np.isclose(made["observed"]["value"], 1.0)
