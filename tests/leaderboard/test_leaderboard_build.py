"""Which runs count, what stands in the cells, and what the ranks claim."""

import json
import math

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from made_runs import metric, write_run

from halueval.errors import ConfigError, DataError, UsageError
from halueval.leaderboard.board import Cell
from halueval.leaderboard.build import build_board
from halueval.leaderboard.cells import BY_KEY, cells_of, mean_cell, metric_of, with_ranks
from halueval.leaderboard.settings import BoardSpec, read_spec


def board(root, **spec):
    return build_board([root], BoardSpec(**spec))


def left_out(made):
    return {item.path: (item.problem, item.reason) for item in made.excluded}


def cell(value, low, high):
    return Cell(value, low, high, 10, 0, {"t": "m"})


def test_models_stand_best_first_and_overlapping_intervals_share_a_rank(tmp_path):
    write_run(tmp_path, "worst", rate=(0.9, 0.8, 0.95))
    write_run(tmp_path, "middle", rate=(0.5, 0.3, 0.7))
    write_run(tmp_path, "best", rate=(0.3, 0.2, 0.4))
    (task,) = board(tmp_path).tasks
    assert [entry.model for entry in task.entries] == ["best", "middle", "worst"]
    assert [entry.cells["hallucination_rate"].rank for entry in task.entries] == [1, 1, 3]
    assert [entry.cells["answer_rate"].rank for entry in task.entries] == [None] * 3


def test_ranks_count_models_that_are_wholly_better_by_hand():
    # a beats c; b overlaps both: a 1, b 1, c 2.
    column = BY_KEY["accuracy"]
    cells = [cell(0.8, 0.7, 0.9), cell(0.65, 0.5, 0.75), cell(0.5, 0.4, 0.6)]
    assert [c.rank for c in with_ranks(column, cells)] == [1, 1, 2]


@settings(deadline=None)  # no timed assertions
@given(st.lists(st.tuples(st.floats(0, 1), st.floats(0, 0.3)), min_size=2, max_size=8), st.randoms())
def test_ranks_do_not_depend_on_the_order_and_never_contradict_an_interval(values, random):
    column = BY_KEY["hallucination_rate"]
    cells = [cell(v, v - w, v + w) for v, w in values]
    ranked = with_ranks(column, cells)
    for one in ranked:
        for other in ranked:
            if one.ci_high < other.ci_low:
                assert one.rank < other.rank
    pairs = list(zip(cells, [c.rank for c in ranked], strict=True))
    random.shuffle(pairs)
    assert [c.rank for c in with_ranks(column, [c for c, _ in pairs])] == [rank for _, rank in pairs]


def test_a_mean_over_tasks_adds_their_variances():
    made = mean_cell(BY_KEY["hallucination_rate"], {"a": cell(0.2, 0.1, 0.3), "b": cell(0.6, 0.4, 0.8)})
    half = math.sqrt(0.1**2 + 0.2**2) / 2
    assert (made.value, made.ci_low, made.ci_high) == pytest.approx((0.4, 0.4 - half, 0.4 + half))
    assert made.n_scored == 20


def test_a_mean_lacks_what_one_task_lacks():
    none = Cell(None, None, None, 0, 5, {"b": "m"}, "abstained")
    made = mean_cell(BY_KEY["hallucination_rate"], {"a": cell(0.2, 0.1, 0.3), "b": none})
    assert (made.value, made.reason) == (None, "no value on b: abstained")
    bare = mean_cell(BY_KEY["hallucination_rate"], {"a": cell(0.2, 0.1, 0.3), "b": cell(0.4, None, None)})
    assert (bare.value, bare.ci_low) == (pytest.approx(0.3), None)
    assert bare.reason.startswith("no interval on b")


def test_the_mean_of_one_task_is_that_task():
    made = mean_cell(BY_KEY["hallucination_rate"], {"a": cell(0.2, 0.05, 0.5)})
    assert (made.value, made.ci_low, made.ci_high) == (0.2, 0.05, 0.5)


def test_no_rank_comes_from_tasks_that_others_lack(tmp_path):
    for model in ("alpha", "beta"):
        write_run(tmp_path, model, "one", rate=(0.4, 0.3, 0.5))
        write_run(tmp_path, model, "two", rate=(0.4, 0.3, 0.5))
    write_run(tmp_path, "lucky", "one", rate=(0.1, 0.05, 0.2))
    made = board(tmp_path)
    assert [entry.model for entry in made.overall.entries] == ["alpha", "beta"]
    assert made.overall.absent == {"lucky": "has no run of two"}
    assert made.overall.tasks["hallucination_rate"] == ("one", "two")
    assert [entry.model for entry in made.tasks[0].entries] == ["lucky", "alpha", "beta"]


def test_the_newest_run_of_a_task_counts(tmp_path):
    old = write_run(tmp_path, finished="2026-01-01T00:00:00+00:00", rate=(0.9, 0.8, 0.95))
    write_run(tmp_path, finished="2026-02-01T00:00:00+00:00", rate=(0.2, 0.1, 0.3))
    made = board(tmp_path)
    assert made.tasks[0].entries[0].cells["hallucination_rate"].value == 0.2
    assert left_out(made)[old.relative_to(tmp_path).as_posix()][0] == "superseded"


def test_a_name_that_stood_for_two_weights_is_two_models(tmp_path):
    write_run(tmp_path, weights="a" * 64)
    write_run(tmp_path, weights="b" * 64)
    assert [model.key for model in board(tmp_path).models] == ["alpha@aaaaaaaa", "alpha@bbbbbbbb"]


def test_runs_of_another_setup_are_left_out_with_what_differs(tmp_path):
    write_run(tmp_path, "alpha")
    write_run(tmp_path, "beta")
    odd = write_run(tmp_path, "gamma", num_fewshot=0)
    made = board(tmp_path)
    assert [model.key for model in made.models] == ["alpha", "beta"]
    assert left_out(made) == {
        odd.relative_to(tmp_path).as_posix(): ("mismatch", "differs in num_fewshot 0 (the board's: 4)")
    }


def test_limited_and_dirty_runs_are_left_out_unless_asked_for(tmp_path):
    write_run(tmp_path, "short", limit=20)
    write_run(tmp_path, "changed", dirty=True)
    made = board(tmp_path)
    assert made.tasks == ()
    assert made.overall is None
    assert sorted(problem for problem, _ in left_out(made).values()) == ["dirty", "limited"]
    asked = build_board([tmp_path], BoardSpec(), include=["limited", "dirty"])
    assert asked.included == ("limited", "dirty")
    by_model = {entry.model: entry for entry in asked.tasks[0].entries}
    assert by_model["changed"].remark == "was made from a checkout with uncommitted changes"
    assert by_model["short"].remark.startswith("differs in limit 20")
    assert [entry.model for entry in board(tmp_path, limit=20).tasks[0].entries] == ["short"]


def test_a_run_that_is_let_through_is_marked_and_has_no_rank_where_its_setup_differs(tmp_path):
    for model in ("alpha", "beta"):
        write_run(tmp_path, model)
    odd = write_run(tmp_path, "gamma", num_fewshot=0, rate=(0.1, 0.05, 0.15))
    for include in ("mismatch", odd.name, odd.relative_to(tmp_path).as_posix(), str(odd)):
        made = build_board([tmp_path], include=[include])
        assert made.excluded == ()
        assert [entry.model for entry in made.tasks[0].entries] == ["alpha", "beta", "gamma"]
        gamma = made.tasks[0].entries[2]
        assert gamma.remark == "differs in num_fewshot 0 (the board's: 4)"
        assert gamma.cells["hallucination_rate"].rank is None
        assert made.tasks[0].entries[0].cells["hallucination_rate"].rank == 1
        assert made.overall.absent == {"gamma": "has a run of another set-up on facts"}


def test_a_run_asked_for_by_name_counts_before_a_newer_one(tmp_path):
    old = write_run(tmp_path, finished="2026-01-01T00:00:00+00:00")
    new = write_run(tmp_path, finished="2026-02-01T00:00:00+00:00")
    made = build_board([tmp_path], include=[old.name])
    assert made.tasks[0].entries[0].run_id == old.name
    path = new.relative_to(tmp_path).as_posix()
    assert left_out(made) == {path: ("superseded", f"{old.relative_to(tmp_path).as_posix()} was asked for")}


def test_a_run_that_cannot_be_used_cannot_be_asked_for(tmp_path):
    cut = write_run(tmp_path)
    (cut / "samples.jsonl").write_bytes(b"")
    with pytest.raises(UsageError, match=r"cannot be let through: samples\.jsonl has 0 whole lines of 20"):
        build_board([tmp_path], include=[cut.relative_to(tmp_path).as_posix()])


def test_a_limit_that_leaves_nothing_out_is_none(tmp_path):
    write_run(tmp_path, "alpha", limit=500)
    write_run(tmp_path, "beta")
    assert [model.key for model in board(tmp_path).models] == ["alpha", "beta"]
    assert {item.reason for item in board(tmp_path, limit=50).excluded} == {
        "ran on all 100 rows; this board is of --limit 50"
    }


def test_times_are_compared_as_times(tmp_path):
    write_run(tmp_path, finished="2026-01-01T23:30:00+00:00", rate=(0.9, 0.8, 0.95))
    write_run(tmp_path, finished="2026-01-01T22:45:00-01:00", rate=(0.2, 0.1, 0.3))  # 15 minutes later
    assert board(tmp_path).tasks[0].entries[0].cells["hallucination_rate"].value == 0.2


def test_a_row_is_of_one_way_of_running_a_model(tmp_path):
    write_run(tmp_path, task="one")
    write_run(tmp_path, task="two")
    newer = write_run(tmp_path, task="two", dtype="bfloat16", finished="2026-02-01T00:00:00+00:00")
    made = board(tmp_path)
    assert made.models[0].dtype == "float32"
    assert left_out(made) == {
        newer.relative_to(tmp_path).as_posix(): (
            "superseded",
            "ran in bfloat16; this model's row is of runs in float32",
        )
    }


def test_other_versions_of_a_shown_figure_are_another_setup_and_other_figures_are_not(tmp_path):
    for model in ("alpha", "beta"):
        write_run(tmp_path, model, scorers={"exact_match": 2, "hallucination_rate": 1})
    old = write_run(tmp_path, "gamma", scorers={"exact_match": 1})
    write_run(tmp_path, "silent", scorers={"rouge1": 7})
    made = board(tmp_path)
    assert [model.key for model in made.models] == ["alpha", "beta", "silent"]
    assert left_out(made) == {
        old.relative_to(tmp_path).as_posix(): ("mismatch", "differs in version of exact_match 1 (the board's: 2)")
    }


def test_a_figure_without_an_interval_has_no_rank():
    column = BY_KEY["accuracy"]
    cells = [cell(0.9, None, None), cell(0.8, 0.7, 0.9), cell(0.2, 0.1, 0.3), None]
    assert [c and c.rank for c in with_ranks(column, cells)] == [None, 1, 2, None]


def test_weights_that_begin_alike_are_still_told_apart(tmp_path):
    write_run(tmp_path, weights="a" * 8 + "1" * 56)
    write_run(tmp_path, weights="a" * 8 + "2" * 56)
    assert [model.key for model in board(tmp_path).models] == ["alpha@aaaaaaaa11111111", "alpha@aaaaaaaa22222222"]


def test_only_what_can_be_let_through_can_be_included(tmp_path):
    with pytest.raises(UsageError, match=r"--include truncated: neither limited, dirty, mismatch nor a run's id"):
        build_board([tmp_path], BoardSpec(), include=["truncated"])


def test_broken_runs_are_named_and_the_rest_is_built(tmp_path):
    good = write_run(tmp_path, "good")
    record = json.loads((good / "run.json").read_text())
    cases = {
        "schema": {**record, "schema_version": 99},
        "no-metrics": {k: v for k, v in record.items() if k != "metrics"},
        "bad-metric": {**record, "metrics": {"exact_match": {"value": 1}}},
        "bad-type": {**record, "model": {**record["model"], "name": 7}},
        "bad-number": {**record, "metrics": {"exact_match": {**record["metrics"]["exact_match"], "value": "0.4"}}},
        "list": [1],
    }
    for name, content in cases.items():
        (tmp_path / name).mkdir()
        (tmp_path / name / "run.json").write_text(json.dumps(content))
    (tmp_path / "not-json").mkdir()
    (tmp_path / "not-json" / "run.json").write_text("{")
    for name, text in (("nan", json.dumps({**record, "metrics": {"m": math.nan}})), ("deep", "[" * 100_000)):
        (tmp_path / name).mkdir()
        (tmp_path / name / "run.json").write_text(text)
    (tmp_path / "answered" / "responses").mkdir(parents=True)
    (tmp_path / "unfinished").mkdir()
    (tmp_path / "unfinished" / "samples.jsonl").write_text("{}\n")
    cut = write_run(tmp_path, "cut")
    (cut / "samples.jsonl").write_bytes((cut / "samples.jsonl").read_bytes()[:-10])
    twin = write_run(tmp_path, "good", directory=tmp_path / "twin", run_id=record["run_id"])
    (tmp_path / "loop").symlink_to(tmp_path, target_is_directory=True)
    (tmp_path / "gone").symlink_to(tmp_path / "nowhere")
    made = board(tmp_path)
    assert [model.key for model in made.models] == ["good"]
    reasons = left_out(made)
    assert reasons["schema"] == ("schema", "run.json is of schema version 99; this halueval reads 1")
    assert reasons["list"][0] == "schema"
    assert reasons["no-metrics"] == ("unreadable", "run.json has no metrics")
    assert reasons["bad-type"] == ("unreadable", "run.json has no model.name of the right type")
    assert reasons["bad-number"] == reasons["bad-metric"]
    assert reasons["nan"] == ("unreadable", "run.json cannot be read: NaN is no number")
    assert reasons["deep"][0] == "unreadable"
    assert reasons["answered"] == ("unfinished", "has responses but no finished run; repeat its command")
    assert reasons["bad-metric"] == ("unreadable", "run.json has no metrics.exact_match with a value and an interval")
    assert reasons["not-json"][0] == "unreadable"
    assert reasons["unfinished"][0] == "unfinished"
    assert reasons[cut.relative_to(tmp_path).as_posix()] == (
        "truncated",
        "samples.jsonl has 19 whole lines of 20; run it again",
    )
    assert reasons[twin.name] == ("duplicate", f"has the run id of {good.relative_to(tmp_path).as_posix()}")
    assert reasons["loop"] == ("link", "a link to a directory that it lies in")
    assert reasons["gone"][0] == "link"
    assert len(reasons) == 15


def test_links_are_followed_once_however_many_lead_to_each_other(tmp_path):
    store = tmp_path / "store"
    run = write_run(store, "alpha")
    names = [f"d{i}" for i in range(9)]
    root = tmp_path / "results"
    for name in names:
        (root / name).mkdir(parents=True)
        for other in names:
            (root / name / other).symlink_to(root / other, target_is_directory=True)
    (root / "d3" / "store").symlink_to(store, target_is_directory=True)
    (root / "d5" / "latest").symlink_to(run, target_is_directory=True)
    made = board(root)
    assert [model.key for model in made.models] == ["alpha"]
    assert left_out(made)["d0/d0"] == ("link", "a link to a directory that it lies in")
    assert left_out(made)["d0/d1"] == ("link", "a link to a directory that is read already")
    assert left_out(made)["d5/latest"][0] in ("link", "duplicate")
    assert len(made.excluded) == 9 * 9 + 1


def test_samples_that_were_changed_are_found_when_asked(tmp_path):
    run = write_run(tmp_path)
    text = (run / "samples.jsonl").read_bytes()
    (run / "samples.jsonl").write_bytes(text.replace(b'"7"', b'"8"'))
    assert board(tmp_path).excluded == ()
    (item,) = build_board([tmp_path], verify=True).excluded
    assert item.reason == "samples.jsonl is missing or was changed after the run"


def test_a_missing_directory_is_named(tmp_path):
    with pytest.raises(DataError, match="no such directory of results"):
        build_board([tmp_path / "nowhere"])


def test_lineage_and_family_come_from_the_base(tmp_path):
    write_run(tmp_path, "smollm2-135m")
    write_run(tmp_path, "tuned", base="smollm2-135m")
    write_run(tmp_path, "twice", base="tuned")
    made = board(tmp_path)
    assert made.pairs == (("smollm2-135m", "tuned"), ("tuned", "twice"))
    assert {model.family for model in made.models} == {"smollm2"}
    assert {model.size for model in made.models} == {"< 0.5B"}


def test_tasks_stand_by_kind_and_language_models_have_their_own_column(tmp_path):
    write_run(tmp_path, "alpha", "text", kind="language_modeling", rate=(1.1, 1.0, 1.2))
    write_run(tmp_path, "alpha", "facts", more_metrics={"ece": metric(0.2, 0.1, 0.3, better=False)})
    made = board(tmp_path)
    assert [(task.task, task.columns) for task in made.tasks] == [
        ("facts", ("hallucination_rate", "answer_rate", "accuracy", "ece")),
        ("text", ("bits_per_byte",)),
    ]
    assert made.tasks[0].entries[0].cells["accuracy"].metrics == {"facts": "exact_match"}


@pytest.mark.parametrize(
    ("kind", "output_type", "figure"),
    [
        ("qa", "generate_until", "m"),
        ("classification", "generate_until", "m"),
        ("summarization", "multiple_choice", "m"),
        ("summarization", "generate_until", None),
        ("language_modeling", "loglikelihood_rolling", None),
    ],
)
def test_accuracy_is_the_main_figure_of_tasks_that_have_right_answers(kind, output_type, figure):
    task = {"kind": kind, "output_type": output_type, "primary_metric": "m"}
    assert metric_of("accuracy", task) == figure


def test_settings_come_from_the_results_and_misspelt_keys_are_told(tmp_path):
    assert read_spec(None, [tmp_path]) == BoardSpec()
    (tmp_path / "leaderboard.yaml").write_text("title: Ours\nlimit: 50\ntasks: [facts]\n")
    spec = read_spec(None, [tmp_path])
    assert (spec.title, spec.limit, spec.tasks) == ("Ours", 50, ["facts"])
    (tmp_path / "leaderboard.yaml").write_text("titel: Ours\n")
    with pytest.raises(ConfigError, match=r"unknown key 'titel'.*title"):
        read_spec(None, [tmp_path])


def test_a_figure_that_no_resample_changes_has_wilsons_interval_on_the_board_and_says_so():
    made = cells_of(
        {
            "task": {"name": "pairs", "kind": "classification", "primary_metric": "balanced_accuracy"},
            "metrics": {
                "balanced_accuracy": {**metric(0.5, n=100, better=True), "ci_reason": "every resample gives the same"},
                "response_words": metric(1.0, n=100),
            },
        }
    )
    # Wilson's interval of 50 of 100.
    assert (made["accuracy"].ci_low, made["accuracy"].ci_high) == pytest.approx((0.4038, 0.5962), abs=1e-4)
    assert made["accuracy"].reason == "Wilson's interval: every resample gives the same"
    assert made["response_words"].ci_low is None
    mean = mean_cell(BY_KEY["accuracy"], {"pairs": made["accuracy"], "other": cell(0.6, 0.5, 0.7)})
    assert mean.ci_low is not None
    assert mean.reason == "pairs: Wilson's interval: every resample gives the same"
