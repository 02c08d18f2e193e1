"""Calibration of prompted models: the formulas by hand, and runs with a scripted model."""

import json
import math

import pytest
from hypothesis import given
from hypothesis import strategies as st
from runs import identity, prepared, run_fake, write_task

import halueval
from halueval.backends.fake import FakeBackend
from halueval.choice_calibration import (
    batch_correction,
    calibrate_outcomes,
    common_end,
    content_free,
    corrected,
    correction,
    log_mean_exp,
    methods_of,
)
from halueval.comparison import diff
from halueval.errors import DataError, UsageError
from halueval.job import RunSettings
from halueval.schema import Kind, Outcome, OutputType, Sample, State
from halueval.scorers.state import judge

ROWS = [
    {"text": "great", "label": 1},
    {"text": "fine", "label": 1},
    {"text": "bad", "label": 0},
    {"text": "awful", "label": 0},
]
REVIEWS = {
    "task": "reviews",
    "kind": "classification",
    "output_type": "multiple_choice",
    "columns": ["text", "label"],
    "rows": ROWS,
    "doc_to_text": "Review: {{text}}\nSentiment:",
    "doc_to_choice": ["negative", "positive"],
    "doc_to_target": "label",
    "metric_list": ["accuracy"],
    "primary_metric": "accuracy",
    "generation_kwargs": None,
    "group_by": [],
}
# p(positive | review): always more than half, since the model likes the word; calibrated, all four are right.
POSITIVE = {"great": 0.9, "fine": 0.8, "bad": 0.6, "awful": 0.55, "N/A": 0.7, "": 0.74, "[MASK]": 0.72}


def likes_positive(context, choice):
    """Probability of a choice under a model that says "positive" too readily."""
    if context == "":
        p = {"positive": 0.02, "negative": 0.01}[choice.strip()]
        return math.log(p)
    if context == "Sentiment:":
        p = {"positive": 0.3, "negative": 0.1}[choice.strip()]
        return math.log(p)
    p = POSITIVE[context.rsplit("Review: ", 1)[1].split("\n")[0]]
    return math.log(p if choice.strip() == "positive" else 1 - p)


def run_reviews(tmp_path, calibration, loglikelihood=likes_positive, **changes):
    task = write_task(tmp_path, **{**REVIEWS, **changes})
    return run_fake(task, tmp_path / "out", FakeBackend(loglikelihood=loglikelihood), calibration=calibration)[0]


def rows_of(run):
    return [json.loads(line) for line in (run.path / "samples.jsonl").read_text().splitlines()]


def test_contextual_calibration_by_hand():
    # Means of the three inputs: .5 and .3, normalised 5/8 and 3/8. p = (.6, .4) → (.96, 1.0667), share 9/19.
    p_cf = {
        "contextual:0": [math.log(0.6), math.log(0.2)],
        "contextual:1": [math.log(0.5), math.log(0.4)],
        "contextual:2": [math.log(0.4), math.log(0.3)],
    }
    less = correction("contextual", p_cf)
    assert [math.exp(v) for v in less] == pytest.approx([5 / 8, 3 / 8])
    scores = corrected([math.log(0.6), math.log(0.4)], less)
    p = [math.exp(v) for v in scores]
    assert p[0] / sum(p) == pytest.approx(0.6 * 3 / (0.6 * 3 + 0.4 * 5))


def test_probabilities_are_averaged_before_they_are_normalised():
    # An input under which the model gives the choices next to nothing weighs next to nothing.
    less = correction("contextual", {"contextual:0": [math.log(0.8), math.log(0.1)], "contextual:1": [-60.0, -50.0]})
    assert math.exp(less[0]) == pytest.approx(8 / 9)


def test_pmi_and_domain_subtract_what_the_choice_has_anyway():
    assert correction("pmi", {"pmi": [-5.0, -9.0]}) == (-5.0, -9.0)
    assert corrected([-4.0, -7.0], (-5.0, -9.0)) == (1.0, 2.0)
    assert correction("domain", {"domain": [-2.0, -1.0]}) == (-2.0, -1.0)
    assert correction("domain", {"pmi": [-2.0, -1.0]}) is None


def test_batch_calibration_by_hand():
    # Normalised (.8, .2) and (.6, .4): mean (.7, .3).
    rows = [[math.log(0.4), math.log(0.1)], [math.log(0.6), math.log(0.4)]]
    assert [math.exp(v) for v in batch_correction(rows)] == pytest.approx([0.7, 0.3])


def test_batch_leaves_out_what_is_not_finite_and_refuses_ragged_choices():
    rows = [[math.log(0.8), math.log(0.2)], [math.nan, 0.0], [-math.inf, 0.0]]
    assert [math.exp(v) for v in batch_correction(rows)] == pytest.approx([0.8, 0.2])
    assert batch_correction([[0.0, 0.0], [0.0, 0.0, 0.0]]) is None
    assert batch_correction([]) is None


@given(
    st.lists(st.lists(st.floats(-50, 0), min_size=3, max_size=3), min_size=1, max_size=20),
    st.randoms(use_true_random=False),
)
def test_order_of_the_batch_changes_no_digit(rows, random):
    shuffled = list(rows)
    random.shuffle(shuffled)
    assert batch_correction(rows) == batch_correction(shuffled)


def test_log_mean_exp_neither_overflows_nor_underflows():
    assert log_mean_exp([-2000.0, -2000.0]) == pytest.approx(-2000)
    assert log_mean_exp([-math.inf, -math.inf]) == -math.inf
    assert log_mean_exp([0.0, -math.inf]) == pytest.approx(-math.log(2))


def test_only_texts_of_a_row_are_replaced():
    row = {"q": "who", "n": 3, "flag": True, "none": None, "options": ["a", "b"], "deep": {"k": "v"}}
    assert content_free(row, "N/A") == {
        "q": "N/A",
        "n": 3,
        "flag": True,
        "none": None,
        "options": ["N/A", "N/A"],
        "deep": {"k": "N/A"},
    }


@pytest.mark.parametrize(
    ("texts", "end"),
    [
        (["a: x\nA:", "b: y\nA:"], "\nA:"),
        (["x", "y"], ""),
        (["same", "same"], "same"),
        (["", "x"], ""),
        (["xA", "A"], "A"),
    ],
)
def test_common_end(texts, end):
    assert common_end(texts) == end


def test_an_outcome_without_baselines_is_unscored_with_a_reason():
    (made,) = calibrate_outcomes("pmi", [Outcome(loglikelihoods=(-1.0, -2.0))])
    assert made.failure == "pmi calibration has nothing to go by"
    (kept,) = calibrate_outcomes("pmi", [Outcome(failure="too long")])
    assert kept == Outcome(failure="too long")


def test_without_calibration_the_model_calls_everything_positive(tmp_path):
    run = run_reviews(tmp_path, "none")
    assert run.record["states"]["correct"] == 2
    assert "calibration" not in run.record["identity"]
    assert not {"correction", "baselines"} & set(rows_of(run)[0])


def test_contextual_run_by_hand(tmp_path):
    run = run_reviews(tmp_path, "contextual")
    assert run.record["states"]["correct"] == 4
    assert run.record["metrics"]["accuracy"]["value"] == 1
    assert run.record["identity"]["calibration"] == "contextual"
    bad = rows_of(run)[2]
    assert [math.exp(v) for v in bad["correction"]] == pytest.approx([0.28, 0.72])
    # Raw log-likelihoods stay; the confidence is the renormalised one.
    assert bad["loglikelihoods"] == pytest.approx([math.log(0.4), math.log(0.6)])
    assert bad["confidence"] == pytest.approx(0.4 / 0.28 / (0.4 / 0.28 + 0.6 / 0.72))
    assert set(bad["baselines"]) == {"contextual:0", "contextual:1", "contextual:2"}


def test_baselines_of_all_methods_change_no_answer(tmp_path):
    task = write_task(tmp_path, **REVIEWS)
    model = FakeBackend(loglikelihood=likes_positive)
    plain = run_reviews(tmp_path, "none")
    every, _ = run_fake(task, tmp_path / "out", model, baselines=methods_of("all"))
    # Four reviews, three content-free ones, "Sentiment:" and nothing, two choices each.
    assert sum(map(len, model.batches)) == 2 * (4 + 3 + 1 + 1)
    assert every.record["identity"]["calibration_baselines"] == ["contextual", "domain", "pmi"]
    assert "calibration" not in every.record["identity"]
    names = {"contextual:0", "contextual:1", "contextual:2", "domain", "pmi"}
    for row, before in zip(rows_of(every), rows_of(plain), strict=True):
        assert set(row.pop("baselines")) == names
        assert row == before
    assert every.run_id != plain.run_id
    both, _ = run_fake(
        task,
        tmp_path / "out",
        FakeBackend(loglikelihood=likes_positive),
        calibration="pmi",
        baselines=("domain", "pmi"),
    )
    assert both.record["identity"]["calibration_baselines"] == ["domain"]
    assert set(rows_of(both)[0]["baselines"]) == {"domain", "pmi"}
    assert rows_of(both)[0]["correction"] == rows_of(both)[0]["baselines"]["pmi"]


@pytest.mark.parametrize(
    ("names", "expected"),
    [
        ("all", ("contextual", "domain", "pmi")),
        ("pmi, contextual", ("contextual", "pmi")),
        ((), ()),
        (["pmi"], ("pmi",)),
    ],
)
def test_methods_whose_baselines_are_asked(names, expected):
    assert methods_of(names) == expected


@pytest.mark.parametrize("names", ["", "batch", "pmi,none"])
def test_methods_without_baselines_are_refused(names):
    with pytest.raises(UsageError, match="choose all, or of contextual, domain, pmi"):
        methods_of(names)


def test_baselines_are_refused_where_there_are_none(tmp_path):
    settings = RunSettings(output=tmp_path, baselines=("pmi",))
    generated = {"output_type": "generate_until", "metric_list": ["exact_match"], "primary_metric": "exact_match"}
    with pytest.raises(UsageError, match=r"--calibration-baselines are of choices, .* output type generate_until"):
        prepared(write_task(tmp_path, **{**REVIEWS, **generated}), settings)
    classifier = {"classifier": {"text": "{{text}}", "labels": [["negative"], ["positive"]]}}
    with pytest.raises(UsageError, match="classification head has none"):
        prepared(write_task(tmp_path, **REVIEWS, **classifier), settings, identity(architecture="classifier"))


def test_content_free_requests_are_asked_once_for_the_whole_run(tmp_path):
    ready = prepared(write_task(tmp_path, **REVIEWS), RunSettings(output=tmp_path / "out", calibration="contextual"))
    # Four reviews and three content-free ones, two choices each.
    assert len(ready.requests) == 2 * (4 + 3)


def test_content_free_prompts_keep_description_and_examples(tmp_path):
    task = write_task(tmp_path, **REVIEWS, description="Judge.\n", num_fewshot=1)
    ready = prepared(task, RunSettings(output=tmp_path / "out", calibration="contextual"))
    for sample in ready.samples:
        head = sample.prompt.rsplit("Review:", 1)[0]
        assert head.startswith("Judge.\nReview: ")
        assert list(sample.baselines.values()) == [
            f"{head}Review: {text}\nSentiment:" for text in ("N/A", "", "[MASK]")
        ]


def test_domain_premise_is_what_stands_after_the_last_field(tmp_path):
    run = run_reviews(tmp_path, "domain")
    # Divided by (.1, .3): bad (.4, .6) → (4, 2), fine (.2, .8) → (2, 2.67).
    assert [row["prediction"] for row in rows_of(run)] == [1, 1, 0, 0]
    assert rows_of(run)[0]["baselines"] == {"domain": pytest.approx([math.log(0.1), math.log(0.3)])}


def test_domain_of_a_prompt_within_one_expression(tmp_path):
    task = write_task(tmp_path, **{**REVIEWS, "doc_to_text": "{{ 'Review: ' + text + '\nSentiment:' }}"})
    ready = prepared(task, RunSettings(output=tmp_path / "out", calibration="domain"))
    assert ready.samples[0].baselines == {"domain": "Sentiment:"}


def test_pmi_run_by_hand(tmp_path):
    run = run_reviews(tmp_path, "pmi")
    # Divided by (.01, .02): bad (40, 30), awful (45, 27.5), fine (20, 40).
    assert [row["prediction"] for row in rows_of(run)] == [1, 1, 0, 0]
    assert rows_of(run)[2]["confidence"] == pytest.approx(40 / 70)


def test_batch_run_by_hand_asks_nothing_new(tmp_path):
    plain = run_reviews(tmp_path, "none")
    task = tmp_path / "reviews.yaml"
    run, handle = run_fake(task, tmp_path / "out", FakeBackend(fail_after=0), calibration="batch")
    assert handle.backend is None
    assert run.run_id != plain.run_id
    # Mean of (.1, .2, .4, .45) is .2875.
    assert [math.exp(v) for v in rows_of(run)[0]["correction"]] == pytest.approx([0.2875, 0.7125])
    assert run.record["states"]["correct"] == 4


def test_figures_of_length_stay_those_of_the_likelihoods(tmp_path):
    both = {"metric_list": ["accuracy", "accuracy_norm"]}
    plain, calibrated = run_reviews(tmp_path, "none", **both), run_reviews(tmp_path, "contextual", **both)
    for run in (plain, calibrated):
        assert run.record["metrics"]["accuracy_norm"]["value"] == 0.5


def test_diff_refuses_runs_that_are_calibrated_differently(tmp_path):
    plain, calibrated = run_reviews(tmp_path, "none"), run_reviews(tmp_path, "pmi")
    with pytest.raises(UsageError, match=r"calibration is none in the base and pmi .* without --calibration"):
        diff(plain.path, calibrated.path)
    with pytest.raises(
        UsageError, match=r"calibration is pmi in the base .* rerun the candidate with --calibration pmi"
    ):
        diff(calibrated.path, plain.path)


def test_nll_in_a_diff_is_that_of_the_calibrated_choices(tmp_path):
    run = run_reviews(tmp_path, "contextual")
    record = diff(run.path, run.path).record
    by_hand = 0.0
    for row, gold in zip(ROWS, (1, 1, 0, 0), strict=True):
        p = POSITIVE[row["text"]]
        odds = [(1 - p) / 0.28, p / 0.72]
        by_hand -= math.log(odds[gold] / sum(odds)) / 4
    likelihood = record["tasks"]["reviews"]["likelihood"]
    assert by_hand in [pytest.approx(figure["base"]) for figure in likelihood.values()]


def test_a_baseline_of_probability_0_leaves_the_sample_unscored():
    (made,) = calibrate_outcomes("pmi", [Outcome(loglikelihoods=(-1.0, -2.0), baselines={"pmi": (-math.inf, -1.0)})])
    sample = Sample("0", {}, "", "", "", "", "", choices=("a", "b"), gold=(0,))
    judged = judge(Kind.QA, OutputType.MULTIPLE_CHOICE, sample, made)
    assert (judged.state, judged.reason) == (State.UNSCORED, "log-likelihood of a choice is not finite")


@pytest.mark.parametrize(
    ("changes", "calibration", "message"),
    [
        ({}, "contxtual", "no calibration 'contxtual'; did you mean 'contextual'"),
        ({"doc_to_text": "Sentiment of {{text}}"}, "domain", "row 1: domain calibration needs words after the last"),
        ({"doc_to_choice": "{{ ['no', 'yes', text] }}"}, "batch", "needs the same choices for every sample"),
        (
            {"output_type": "generate_until", "metric_list": ["exact_match"], "primary_metric": "exact_match"},
            "pmi",
            "is for choices, and the task is of output type generate_until",
        ),
    ],
)
def test_what_cannot_be_calibrated_is_refused(tmp_path, changes, calibration, message):
    with pytest.raises(UsageError, match=message):
        prepared(write_task(tmp_path, **{**REVIEWS, **changes}), RunSettings(output=tmp_path, calibration=calibration))


def test_a_prompt_that_needs_the_rows_texts_is_told(tmp_path):
    changes = {"doc_to_text": "Review: {{ {'great': 'A', 'fine': 'B', 'bad': 'C', 'awful': 'D'}[text] }}"}
    with pytest.raises(DataError, match="row 1: contextual calibration, texts replaced by 'N/A'"):
        prepared(write_task(tmp_path, **{**REVIEWS, **changes}), RunSettings(output=tmp_path, calibration="contextual"))


def test_a_classification_head_has_no_prompt_to_calibrate(tmp_path):
    settings = {"classifier": {"text": "{{text}}", "labels": [["negative"], ["positive"]]}}
    task = write_task(tmp_path, **REVIEWS, **settings)
    head = identity(architecture="classifier")
    with pytest.raises(UsageError, match="classification head does not have; use batch"):
        prepared(task, RunSettings(output=tmp_path, calibration="contextual"), head)
    assert prepared(task, RunSettings(output=tmp_path, calibration="batch"), head).calibration == "batch"


def test_likelihood_given_nothing_is_that_of_the_network_after_its_first_token(models, tmp_path):
    import torch
    from transformers import AutoModelForCausalLM, AutoTokenizer

    directory = models("causal")
    task = write_task(tmp_path, **REVIEWS)
    (run,) = halueval.run(str(directory), str(task), calibration="pmi", dtype="float32", output=tmp_path / "out")
    tokenizer, model = AutoTokenizer.from_pretrained(directory), AutoModelForCausalLM.from_pretrained(directory)
    expected = []
    for choice in (" negative", " positive"):
        ids = tokenizer(choice, return_tensors="pt").input_ids  # the tokenizer puts <s> in front
        with torch.no_grad():
            logprobs = model(ids).logits.log_softmax(-1)[0, :-1]
        expected.append(float(logprobs.gather(1, ids[0, 1:, None]).sum()))
    for row in rows_of(run):
        assert row["baselines"]["pmi"] == pytest.approx(expected, abs=1e-4)
        scores = [a - b for a, b in zip(row["loglikelihoods"], expected, strict=True)]
        assert row["prediction"] == scores.index(max(scores))


@pytest.mark.parametrize("model", ["causal", "t5", "bart"])
@pytest.mark.parametrize("method", ["contextual", "domain", "pmi", "batch"])
def test_every_method_on_every_kind_of_model_with_a_prompt(models, tmp_path, model, method):
    task = write_task(tmp_path, **REVIEWS)
    (run,) = halueval.run(str(models(model)), str(task), calibration=method, output=tmp_path / "out")
    rows = rows_of(run)
    assert {row["state"] for row in rows} <= {"correct", "hallucinated"}
    # One prompt, two choices, no examples: every sample has the same correction.
    assert len({tuple(row["correction"]) for row in rows}) == 1
    assert all(0 < row["confidence"] <= 1 for row in rows)


def test_the_api_refuses_an_unknown_method_before_any_work(tmp_path):
    with pytest.raises(UsageError, match="no calibration 'temperature'"):
        halueval.run("gemma-2-2b", str(write_task(tmp_path)), calibration="temperature", output=tmp_path / "out")
