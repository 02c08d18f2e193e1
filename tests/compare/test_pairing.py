"""Pairing by hashes, and refusal of runs that differ in how they were made."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import planted
import pytest
from hypothesis import given
from hypothesis import strategies as st

from halueval.compare.columns import read_columns
from halueval.compare.pairing import check_allowed, pair
from halueval.compare.table import compare_runs
from halueval.errors import UsageError


@pytest.fixture(scope="module")
def base(tmp_path_factory):
    root = tmp_path_factory.mktemp("pairing")
    return planted.run_of(planted.facts_task(root, 6), root)


@pytest.fixture(scope="module")
def columns(base):
    return read_columns(base)


def keyed(columns, letters, ids=None):
    """Columns with one-letter documents."""
    n = len(letters)
    return replace(
        columns,
        keys=[(letter, "prompt", "") for letter in letters],
        target_hashes=["target"] * n,
        sample_ids=[str(i) for i in (range(n) if ids is None else ids)],
    )


@given(st.permutations(list("abcdef")))
def test_pairs_do_not_depend_on_order(columns, letters):
    pairs = pair(keyed(columns, "abcdef"), keyed(columns, letters))
    assert [letters[j] for j in pairs.candidate] == list("abcdef")
    assert list(pairs.base) == [0, 1, 2, 3, 4, 5]


def test_repeated_samples_pair_by_occurrence_in_the_order_of_ids(columns):
    # Rows 0 and 2 of the candidate are the same document; by their ids row 2 comes first.
    pairs = pair(keyed(columns, "aab", [0, 1, 2]), keyed(columns, "aba", [10, 2, 9]))
    assert list(zip(pairs.base.tolist(), pairs.candidate.tolist(), strict=True)) == [(0, 2), (1, 0), (2, 1)]


def test_samples_repeated_unequally_are_not_paired(columns):
    pairs = pair(keyed(columns, "aab"), keyed(columns, "ab"))
    assert len(pairs) == 1
    assert pairs.reasons == {"repeated a different number of times": 3}
    assert (len(pairs.unpaired_base), len(pairs.unpaired_candidate)) == (2, 1)


def test_another_target_is_not_the_same_sample(columns):
    other = replace(keyed(columns, "ab"), target_hashes=["target", "another"])
    pairs = pair(keyed(columns, "ab"), other)
    assert len(pairs) == 1
    assert pairs.reasons == {"same document and prompt, different target": 2}


def test_variants_of_a_document_stay_apart(columns):
    left, right = keyed(columns, "aa"), keyed(columns, "aa")
    left.keys[:] = [("a", "p", "right"), ("a", "p", "wrong")]
    right.keys[:] = [("a", "p", "wrong"), ("a", "p", "right")]
    assert np.array_equal(pair(left, right).candidate, [1, 0])


@pytest.mark.parametrize(
    ("key", "value", "how"),
    [
        ("limit", 100, "limit is none in the base and 100 in the candidate: rerun the candidate without --limit"),
        ("seed", 7, "seed is 0 in the base and 7 in the candidate: rerun the candidate with --seed 0"),
        (
            "num_fewshot",
            4,
            "is 0 in the base and 4 in the candidate: rerun the candidate with --num-fewshot 0",
        ),
        ("task_hash", "f" * 64, "ffffffffffff in the candidate: run both again with the same task card"),
        ("data_sha256", "f" * 64, "run both again on the same data"),
        ("apply_chat_template", True, "is false in the base and true in the candidate: rerun the candidate without"),
        ("scorers", {"exact_match": 9}, 'scorers is {"exact_match": 1} in the base and {"exact_match": 9}'),
    ],
)
def test_a_difference_of_identity_is_refused_unless_allowed(base, tmp_path, key, value, how):
    def change(record):
        record["identity"][key] = value
        return record

    other = planted.rewrite(base, tmp_path / "other", change=change)
    with pytest.raises(UsageError) as refused:
        compare_runs(base, other, n_resamples=200)
    line = str(refused.value)
    assert how in line
    assert f"--allow-mismatch {key}" in line
    assert "\n" not in line
    made = compare_runs(base, other, n_resamples=200, allow_mismatch=[key])
    assert [item["key"] for item in made["mismatches"]] == [key]
    assert made["n_paired"] == 6


def test_a_scorer_that_one_run_lacks_is_no_mismatch(base, tmp_path):
    def change(record):
        del record["identity"]["scorers"]["rouge1"], record["metrics"]["rouge1"]
        return record

    made = compare_runs(base, planted.rewrite(base, tmp_path / "other", change=change), n_resamples=200)
    assert made["mismatches"] == []
    assert made["not_comparable"]["rouge1"] == "only the base's run has it"


def test_different_tasks_are_refused_whatever_is_allowed(base, tmp_path):
    def change(record):
        record["identity"]["task"] = "rivers"
        return record

    other = planted.rewrite(base, tmp_path / "other", change=change)
    with pytest.raises(UsageError, match=r"run of task 'capitals', .* of 'rivers'"):
        compare_runs(base, other)


def test_other_chat_templates_are_allowed_and_reported(base, tmp_path):
    def asked(template):
        def change(record):
            record["identity"]["apply_chat_template"] = record["model"]["apply_chat_template"] = True
            record["model"]["chat_template_sha256"] = template
            return record

        return change

    runs = [planted.rewrite(base, tmp_path / t, change=asked(t)) for t in "ab"]
    assert "each model was asked through its own chat template; the two differ" in compare_runs(*runs)["notes"]


def test_allowing_a_difference_of_prompts_pairs_by_document(base, tmp_path):
    rows = planted.rows_of(base)
    for row in rows:
        row["prompt_hash"] = row["prompt_hash"][::-1]

    def shots(record):
        record["identity"]["num_fewshot"] = 4
        return record

    other = planted.rewrite(base, tmp_path / "other", rows, shots)
    made = compare_runs(base, other, n_resamples=200, allow_mismatch=["num_fewshot"])
    assert (made["n_paired"], made["pairing"]["prompts_differ"]) == (6, 6)
    same_card = planted.rewrite(base, tmp_path / "prompts", rows)
    with pytest.raises(UsageError, match=r"share no sample: prompt differs \(12\); --allow-mismatch prompt_hash"):
        compare_runs(base, same_card)


def test_an_unknown_key_names_the_nearest():
    with pytest.raises(UsageError, match="did you mean 'seed'"):
        check_allowed(["sed"])


@given(st.lists(st.sampled_from("abcd"), max_size=8), st.lists(st.sampled_from("abcd"), max_size=8))
def test_pairs_are_those_of_counting_by_hand(columns, left, right):
    # Letters that both have equally often pair, each occurrence once; everything else is left over.
    pairs = pair(keyed(columns, left), keyed(columns, right))
    equal = {letter for letter in left if left.count(letter) == right.count(letter)}
    assert [left[i] for i in pairs.base] == sorted(letter for letter in left if letter in equal)
    assert [right[j] for j in pairs.candidate] == [left[i] for i in pairs.base]
    assert len({*pairs.base.tolist(), *pairs.unpaired_base.tolist()}) == len(left)
    assert len({*pairs.candidate.tolist(), *pairs.unpaired_candidate.tolist()}) == len(right)
    assert sum(pairs.reasons.values()) == len(pairs.unpaired_base) + len(pairs.unpaired_candidate)
