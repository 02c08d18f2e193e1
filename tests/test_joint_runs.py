"""Tasks whose prompts begin alike are run together: who owns what, and what each is told that it cost."""

import contextlib
import json

from runs import CAPITALS, identity, knows, prepared, write_task

from halueval.backends.fake import FakeBackend
from halueval.job import ModelHandle, RunSettings, SilentObserver
from halueval.runner import companions, run_tasks


def two(tmp_path, settings):
    """Two tasks on the same prompts; the second has half of the rows."""
    rows = [{"country": c, "capital": k} for c, k in CAPITALS.items()]
    for name in ("a", "b"):
        (tmp_path / name).mkdir(exist_ok=True)
    return [
        prepared(write_task(tmp_path / "a", task="all_capitals"), settings),
        prepared(write_task(tmp_path / "b", task="half_capitals", rows=rows[:5]), settings),
    ]


def together(tmp_path, backend, **options):
    settings = RunSettings(output=tmp_path / "out", n_resamples=200, **options)
    handle = ModelHandle(identity(), lambda: backend)
    return list(run_tasks(two(tmp_path, settings), handle, settings, SilentObserver()))


def test_tasks_are_run_together_when_their_prompts_begin_alike(tmp_path):
    settings = RunSettings(output=tmp_path)
    primer = "Answer each question with a name only, as short as it can be, and say that you do not know where so. " * 2
    tasks = {
        "plain": {},
        "same": {},
        "primed": {"doc_to_text": primer + "Capital of {{country}}?"},
        "primed_too": {"doc_to_text": primer + "The largest city of {{country}} is"},
    }
    group = []
    for name, changes in tasks.items():
        (tmp_path / name).mkdir()
        group.append(prepared(write_task(tmp_path / name, task=name, **changes), settings))
    assert companions(group) == [[0, 1], [2, 3]]


def test_each_task_is_told_its_own_requests_and_the_passes_are_shared_out(tmp_path):
    backend = FakeBackend(knows("France"))
    runs = together(tmp_path, backend)
    assert sum(map(len, backend.batches)) == 20  # a generation and a reference for each capital, asked once
    engines = [run.record["engine"] for run in runs]
    assert [engine["requests"] for engine in engines] == [20, 10]
    assert sum(engine["forward_passes"] for engine in engines) == len(backend.batches)


def test_a_task_that_has_its_answers_is_not_charged_for_anothers(tmp_path):
    whole = [run.record["engine"]["requests"] for run in together(tmp_path, FakeBackend(knows("France")))]
    first, second = sorted((tmp_path / "out").rglob("responses/*.jsonl"))
    kept = second.read_bytes()
    lines = first.read_text().splitlines()
    batch = json.loads(lines[1])
    lost = next(iter(batch["responses"]))
    batch["responses"].pop(lost)
    batch["accounting"]["requests"] -= 1
    first.write_text("\n".join([lines[0], json.dumps(batch), *lines[2:]]) + "\n")
    for stale in (tmp_path / "out").rglob("run.json"):
        stale.unlink()
    runs = together(tmp_path, FakeBackend(knows("France")))
    assert second.read_bytes() == kept
    assert [run.record["engine"]["requests"] for run in runs] == whole


def test_a_journal_goes_on_under_the_budget_that_it_was_begun_with(tmp_path):
    settings = RunSettings(output=tmp_path / "out", n_resamples=200, batch_size=3, predict_only=True)
    begun = FakeBackend(knows("France"), fail_after=2)
    handle = ModelHandle(identity(), lambda: begun)
    with contextlib.suppress(KeyboardInterrupt):
        list(run_tasks(two(tmp_path, settings)[:1], handle, settings, SilentObserver()))
    backend = FakeBackend(knows("France"))
    runs = together(tmp_path, backend, batch_size=5)
    sizes = [len(batch) for batch in backend.batches]
    assert set(sizes[:3]) == {3}  # the first task's rest, by threes
    assert 5 in sizes  # the second's, by fives
    assert [run.record["n_samples"]["unscored"] for run in runs] == [0, 0]
