"""Runs of a task of numbered facts by a scripted model that is told what to get wrong."""

from __future__ import annotations

import json

from runs import identity, run_fake, write_task

from halueval.backends.fake import FakeBackend
from halueval.store import load_run, read_samples, write_run


def facts_task(directory, n=200, **changes):
    """A task of `n` facts in two regions; the first half is "north"."""
    rows = [{"country": f"C{i}", "capital": f"K{i}", "region": "north" if i < n / 2 else "south"} for i in range(n)]
    directory.mkdir(parents=True, exist_ok=True)
    changes = {"columns": ["country", "capital", "region"], "group_by": ["region"], **changes}
    return write_task(directory, rows=rows, **changes)


def answers(n, *, wrong=(), silent=(), text=" Atlantis"):
    """Answers that are right but for the facts named; silent ones decline."""

    def answer(prompt):
        number = int(prompt.rsplit("capital of C", 1)[1].split("?")[0])
        if number in silent:
            return " I don't know."
        return text if number in wrong else f" K{number}"

    return FakeBackend(answer)


def run_of(task, output, *, wrong=(), silent=(), weights="w", name="base", text=" Atlantis", base=None, **options):
    """A finished run of a model of that name and weights."""
    model = identity(weights_sha256=weights, name=name, base=base)
    made, _ = run_fake(task, output, answers(0, wrong=wrong, silent=silent, text=text), model=model, **options)
    return made


def rows_of(run):
    """All rows of a run."""
    return list(read_samples(run.path, run.record))


def rewrite(run, directory, rows=None, change=lambda record: record):
    """A copy of a run with other rows or another record, whose digest matches."""
    directory.mkdir(parents=True)
    record = change(json.loads(json.dumps(run.record)))
    write_run(directory, record, rows_of(run) if rows is None else rows)
    return load_run(directory)


_MADE = {}


def planted_runs(tmp_path_factory):
    """200 facts: the base has 150 to 199 wrong, `planted` 12 more, `slight` 2 more. Made once a session."""
    if not _MADE:
        root = tmp_path_factory.mktemp("planted")
        task = facts_task(root)
        wrong = set(range(150, 200))
        more = wrong | set(range(12))
        _MADE.update(
            task=task,
            out=root / "out",
            base=run_of(task, root / "out", wrong=wrong),
            planted=run_of(task, root / "out", wrong=more, weights="p", name="planted", base="base"),
            slight=run_of(task, root / "out", wrong=wrong | {0, 1}, weights="s", name="slight"),
        )
    return _MADE
