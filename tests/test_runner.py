"""Runs with a scripted model: identity, resumption, states, files."""

import json
import shutil

import pytest
from runs import CAPITALS, identity, knows, prepared, run_fake, write_task

from halueval.answers.support import RULES_VERSION
from halueval.backends.fake import FakeBackend
from halueval.engine.memory import OUT_OF_MEMORY
from halueval.errors import IncompleteError, UsageError
from halueval.job import RunSettings
from halueval.journal import Journal
from halueval.schema import FailedResponse
from halueval.store import load_run


def test_states_and_figures_of_a_run_worked_by_hand(tmp_path):
    run, _ = run_fake(write_task(tmp_path), tmp_path / "out")
    record = run.record
    # France and Italy right, Fiji declined, the other seven invented.
    assert record["states"] == {"correct": 2, "abstained": 1, "hallucinated": 7, "unscored": 0}
    value = {name: metric["value"] for name, metric in record["metrics"].items()}
    assert value["exact_match"] == pytest.approx(0.2)
    assert value["hallucination_rate"] == pytest.approx(7 / 9)
    assert value["answer_rate"] == pytest.approx(0.9)
    assert value["accuracy_given_attempted"] == pytest.approx(2 / 9)
    # +1 for each right, -3 for each wrong at a target of .75
    assert value["confidence_target_0.75"] == pytest.approx((2 - 7 * 3) / 10)
    assert value["refusal_rate"] == pytest.approx(0.1)
    exact = record["metrics"]["exact_match"]
    assert exact["ci_low"] <= exact["value"] <= exact["ci_high"]
    assert (exact["n_scored"], exact["n_unscored"]) == (10, 0)


def test_files_hold_what_the_contract_says(tmp_path):
    run, _ = run_fake(write_task(tmp_path), tmp_path / "out")
    assert run.path == tmp_path / "out" / "fake" / "capitals" / run.run_id
    assert set(run.record) >= {
        *("schema_version", "run_id", "identity", "model", "task", "n_samples", "metrics", "states", "engine"),
        *("environment", "started_at", "finished_at", "samples_sha256"),
    }
    assert run.record["n_samples"] == {"original": 10, "effective": 10, "scored": 10, "unscored": 0}
    row = json.loads((run.path / "samples.jsonl").read_text().splitlines()[0])
    assert row["prompt"] == "Q: What is the capital of France?\nA:"
    assert (row["target"], row["response"], row["state"]) == ("Paris", " Paris", "correct")
    assert row["group"]["country"] == "France"
    assert set(row) >= {"sample_id", "doc_hash", "prompt_hash", "target_hash", "finish_reason", "confidence", "scores"}


def test_a_complete_run_is_read_and_not_repeated(tmp_path):
    task = write_task(tmp_path)
    first, _ = run_fake(task, tmp_path / "out")
    again, handle = run_fake(task, tmp_path / "out", FakeBackend(fail_after=0))
    assert handle.backend is None
    assert again.record == first.record


def test_fresh_starts_over(tmp_path):
    task = write_task(tmp_path)
    run_fake(task, tmp_path / "out")
    backend = FakeBackend(knows(*CAPITALS))
    run, _ = run_fake(task, tmp_path / "out", backend, fresh=True)
    assert run.record["states"]["correct"] == 9
    assert backend.batches


@pytest.mark.parametrize("batches", [1, 2, 5])
def test_an_interrupted_run_goes_on_and_equals_an_uninterrupted_one(tmp_path, batches):
    task = write_task(tmp_path)
    whole, _ = run_fake(task, tmp_path / "whole", batch_size=3)
    stopped = FakeBackend(knows("France", "Italy"), fail_after=batches)
    with pytest.raises(KeyboardInterrupt):
        run_fake(task, tmp_path / "out", stopped, batch_size=3)
    assert not list((tmp_path / "out").rglob("run.json"))
    rest = FakeBackend(knows("France", "Italy"))
    resumed, _ = run_fake(task, tmp_path / "out", rest, batch_size=3)
    assert len(stopped.batches) == batches
    assert (resumed.path / "samples.jsonl").read_bytes() == (whole.path / "samples.jsonl").read_bytes()
    timeless = [
        {k: v for k, v in run.record.items() if k not in ("started_at", "finished_at")} for run in (resumed, whole)
    ]
    for record in timeless:
        record["engine"].pop("seconds")
        record["engine"].pop("tokens_per_second")
    assert timeless[0] == timeless[1]


def test_a_batch_that_was_half_answered_is_run_whole_again(tmp_path):
    task = write_task(tmp_path)
    run_fake(task, tmp_path / "out", batch_size=4, predict_only=True)
    (journal,) = (tmp_path / "out").rglob("responses/*.jsonl")
    lines = journal.read_text().splitlines()
    batch = json.loads(lines[1])
    batch["responses"].pop(next(iter(batch["responses"])))
    journal.write_text("\n".join([lines[0], json.dumps(batch), *lines[2:]]) + "\n")
    backend = FakeBackend(knows("France", "Italy"))
    run_fake(task, tmp_path / "out", backend, batch_size=4)
    assert [len(b) for b in backend.batches] == [4]


def test_predict_only_stores_and_a_later_run_scores_without_the_model(tmp_path):
    task = write_task(tmp_path)
    nothing, _ = run_fake(task, tmp_path / "out", predict_only=True)
    assert nothing is None
    assert not list((tmp_path / "out").rglob("run.json"))
    run, handle = run_fake(task, tmp_path / "out", FakeBackend(fail_after=0))
    assert handle.backend is None
    assert run.record["states"]["correct"] == 2
    assert run.record["model"]["num_parameters"] == 0


def test_another_figure_is_another_run_on_the_same_responses(tmp_path):
    run, _ = run_fake(write_task(tmp_path), tmp_path / "out")
    task = write_task(tmp_path, metric_list=["exact_match", {"metric": "rougeL", "use_stemmer": True}])
    other, handle = run_fake(task, tmp_path / "out", FakeBackend(fail_after=0))
    assert other.run_id != run.run_id
    assert handle.backend is None
    assert "rougeL" in other.record["metrics"]


@pytest.mark.parametrize(
    "change",
    [
        {"model": identity(weights_sha256="other")},
        {"model": identity(dtype="bfloat16")},
        {"model": identity(adapter_sha256="a")},
        {"seed": 1},
        {"limit": 5},
        {"num_fewshot": 1},
    ],
)
def test_what_would_change_an_answer_changes_the_identity(tmp_path, change):
    task = write_task(tmp_path)
    run, _ = run_fake(task, tmp_path / "out")
    backend = FakeBackend(knows("France"))
    other, _ = run_fake(task, tmp_path / "out", backend, **change)
    assert other.run_id != run.run_id
    assert backend.batches or "seed" in change  # greedy answers do not depend on the seed, so none is asked again


def test_grading_by_support_is_another_run_on_the_same_responses(tmp_path):
    backend = FakeBackend(lambda prompt: f" It is {knows(*CAPITALS)(prompt).strip()}.")
    exact, _ = run_fake(write_task(tmp_path), tmp_path / "out", backend)
    task = write_task(tmp_path, grading="support")
    support, handle = run_fake(task, tmp_path / "out", FakeBackend(fail_after=0))
    assert handle.backend is None
    assert exact.record["states"]["correct"] == 0
    assert support.record["states"]["correct"] == 9
    assert support.run_id != exact.run_id
    assert "grading_rules" not in exact.record["identity"]
    assert support.record["identity"]["grading_rules"] == RULES_VERSION


def test_other_weights_under_the_same_name_are_never_answered_from_the_store(tmp_path):
    task = write_task(tmp_path)
    run_fake(task, tmp_path / "out")
    other, _ = run_fake(task, tmp_path / "out", FakeBackend(knows(*CAPITALS)), model=identity(weights_sha256="new"))
    assert other.record["states"]["correct"] == 9


def test_a_changed_row_changes_the_identity_and_the_order_of_rows_only_the_files(tmp_path):
    task = write_task(tmp_path)
    run, _ = run_fake(task, tmp_path / "out")
    rows = [{"country": c, "capital": k} for c, k in CAPITALS.items()]
    shuffled, _ = run_fake(write_task(tmp_path, rows=rows[::-1]), tmp_path / "out2")
    assert shuffled.run_id != run.run_id
    a, b = run.samples.set_index("doc_hash"), shuffled.samples.set_index("doc_hash")
    columns = [c for c in a.columns if c.startswith("score.")] + ["state", "prompt_hash"]
    assert a[columns].sort_index().equals(b[columns].sort_index())
    assert {n: m["value"] for n, m in run.record["metrics"].items()} == {
        n: pytest.approx(m["value"]) for n, m in shuffled.record["metrics"].items()
    }


def test_equal_requests_are_asked_once_and_every_row_is_scored(tmp_path):
    rows = [{"country": "France", "capital": "Paris"}] * 5
    backend = FakeBackend(knows("France"))
    run, _ = run_fake(write_task(tmp_path, rows=rows), tmp_path / "out", backend)
    asked = [type(request).__name__ for batch in backend.batches for request in batch]
    assert sorted(asked) == ["GenerationRequest", "LoglikelihoodRequest"]
    assert run.record["states"]["correct"] == 5


def test_samples_changed_after_the_run_are_noticed_and_scored_again(tmp_path):
    task = write_task(tmp_path)
    run, _ = run_fake(task, tmp_path / "out")
    path = run.path / "samples.jsonl"
    good = path.read_bytes()
    path.write_bytes(good.replace(b"Atlantis", b"Paris"))
    run_fake(task, tmp_path / "out", FakeBackend(fail_after=0))
    assert path.read_bytes() == good


def test_what_did_not_fit_into_memory_leaves_the_run_incomplete_and_is_asked_again(tmp_path):
    class Small(FakeBackend):
        def run(self, batch, advance):
            result = super().run(batch, advance)
            for i, request in enumerate(batch.requests):
                if "Peru" in request.context:
                    result.responses[i] = FailedResponse(OUT_OF_MEMORY)
            return result

    task = write_task(tmp_path)
    with pytest.raises(IncompleteError, match="2 of 20 requests did not fit"):
        run_fake(task, tmp_path / "out", Small(knows("France")))
    assert not list((tmp_path / "out").rglob("run.json"))
    run, _ = run_fake(task, tmp_path / "out", FakeBackend(knows("France")))
    assert run.record["n_samples"]["unscored"] == 0


def test_a_failed_request_is_null_with_its_reason_and_never_a_number(tmp_path):
    class Failing(FakeBackend):
        def run(self, batch, advance):
            result = super().run(batch, advance)
            for i, request in enumerate(batch.requests):
                if "Peru" in request.context:
                    result.responses[i] = FailedResponse("prompt of 9 tokens exceeds the model's window of 8")
            return result

    run, _ = run_fake(write_task(tmp_path), tmp_path / "out", Failing(knows("France")))
    assert run.record["states"]["unscored"] == 1
    exact = run.record["metrics"]["exact_match"]
    assert (exact["n_scored"], exact["n_unscored"]) == (9, 1)
    assert exact["value"] == pytest.approx(1 / 9)
    rows = map(json.loads, (run.path / "samples.jsonl").read_text().splitlines())
    row = next(r for r in rows if "Peru" in r["prompt"])
    assert row["scores"]["exact_match"] is None
    assert "exceeds" in row["reasons"]["exact_match"]


def test_a_model_that_cannot_do_the_task_is_refused_before_anything_is_written(tmp_path):
    with pytest.raises(UsageError, match="no 'classifier:' settings"):
        run_fake(write_task(tmp_path), tmp_path / "out", model=identity(architecture="classifier"))
    rolling = write_task(
        tmp_path,
        output_type="loglikelihood_rolling",
        kind="language_modeling",
        metric_list=None,
        primary_metric="bits_per_byte",
        doc_to_text="",
        doc_to_target="{{country}} {{capital}}",
    )
    with pytest.raises(UsageError, match="encoder-decoder"):
        run_fake(rolling, tmp_path / "out", model=identity(architecture="seq2seq"))
    assert not (tmp_path / "out").exists()


def test_a_full_disk_at_the_end_leaves_no_half_run(tmp_path, monkeypatch):
    task = write_task(tmp_path)
    import halueval.store as store

    def full(_source, _target):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(store.os, "replace", full)
    with pytest.raises(IncompleteError, match="No space left on device; make room"):
        run_fake(task, tmp_path / "out")
    monkeypatch.undo()
    assert [p.name for p in (tmp_path / "out").rglob("*") if p.is_file() and p.suffix != ".jsonl"] == []
    run, handle = run_fake(task, tmp_path / "out", FakeBackend(fail_after=0))
    assert handle.backend is None
    assert load_run(run.path).is_intact()


def test_the_journal_of_a_finished_run_can_be_deleted(tmp_path):
    task = write_task(tmp_path)
    run, _ = run_fake(task, tmp_path / "out")
    shutil.rmtree(run.path.parent / "responses")
    again, handle = run_fake(task, tmp_path / "out", FakeBackend(fail_after=0))
    assert handle.backend is None
    assert again.run_id == run.run_id


def test_prompts_of_a_chat_model_have_no_delimiter_before_the_answer(tmp_path):
    from halueval.backends.base import ChatSettings

    settings = RunSettings(output=tmp_path, chat=ChatSettings(True))
    ready = prepared(write_task(tmp_path), settings)
    assert {r.continuation for r in ready.requests if hasattr(r, "continuation")} == set(CAPITALS.values())
    with Journal(ready.journal) as journal:
        assert journal.responses == {}


def test_the_right_choice_has_its_likelihood_as_a_reference_has(tmp_path):
    task = write_task(
        tmp_path,
        output_type="multiple_choice",
        doc_to_choice="{{ [capital, 'Atlantis'] }}",
        doc_to_target=0,
        metric_list=["accuracy"],
        primary_metric="accuracy",
    )
    run, _ = run_fake(task, tmp_path / "out")
    right = [row[0] for row in run.samples["loglikelihoods"]]
    metrics = run.record["metrics"]
    assert metrics["reference_nll"]["value"] == pytest.approx(-sum(right) / len(right))
    assert metrics["reference_nll"]["n_scored"] == 10
