"""Whole sweeps on a tiny random model."""

import json
import os
import re
import signal
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import pytest
import yaml
from tuning import write_labels, write_news, write_task

from halueval.errors import ConfigError, DataError, TrainingError, UsageError
from halueval.finetune.progress import SilentTraining
from halueval.job import SilentObserver
from halueval.sweep.command import describe, measure
from halueval.sweep.notes import notes
from halueval.sweep.page import render_page
from halueval.sweep.planning import SweepOptions, plan
from halueval.sweep.run import sweep
from halueval.sweep.show import print_sweep, render_markdown
from halueval.sweep.spec import STUDIES, load_study, study_paths
from halueval.sweep.unit import is_fatal, unit_name


class Told:
    def __init__(self):
        self.units = []

    def unit(self, name, number, total, remark):
        self.units.append((name, number, total, remark))

    def training(self):
        return SilentTraining()

    def observer(self):
        return SilentObserver()


RECIPE = {
    "name": "little",
    "data": {
        "kind": "new-knowledge",
        "task": "little",
        "facts": 8,
        "invented": True,
        "relations": ["capital"],
    },
    "epochs": 6,
    "batch_size": 4,
    "learning_rate": 0.02,
    "group_by_length": False,
}
STUDY = {
    "name": "small",
    "model": "tiny",
    "arms": [
        {"name": "plain", "recipe": "little.yaml"},
        {"name": "lora", "recipe": "little.yaml", "set": {"method": "lora", "lora.rank": 2, "learning_rate": 0.05}},
        {"name": "dropped", "recipe": "little.yaml", "set": {"mitigation": ["drop-unknown"]}},
    ],
    "seeds": [0, 1],
    "checkpoints": 2,
    "tasks": ["little:10", "news"],
    "match": {"share": 0.5},
    "max_new_tokens": 6,
}


def build_place(root: Path):
    """A model, tasks, a recipe and a study under `root`."""
    import small_models

    write_task(root / "tasks")
    write_news(root / "tasks", ["The capital of France is Paris.", "Yes, no."])
    base = small_models.save_causal(root / "tiny")
    (root / "little.yaml").write_text(yaml.safe_dump(RECIPE))
    study = root / "study.yaml"
    study.write_text(yaml.safe_dump({**STUDY, "model": str(base)}))
    return SimpleNamespace(root=root, study=study, base=base)


def options(place, name="out", **changes):
    return SweepOptions(output=place.root / name, include_path=(place.root / "tasks",), **changes)


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    return build_place(tmp_path_factory.mktemp("sweep"))


@pytest.fixture(scope="module")
def done(place):
    told = Told()
    made = sweep(load_study(str(place.study)), options(place), told)
    return SimpleNamespace(made=made, told=told, record=measure(made, options(place)))


def test_arms_are_trained_with_all_seeds_and_evaluated_with_one_load_of_the_base(done, place):
    assert [(unit.arm, unit.seed) for unit in done.made.units] == [
        ("plain", 0),
        ("plain", 1),
        ("lora", 0),
        ("lora", 1),
    ]
    assert all(unit.steps == (6, 12) for unit in done.made.units)
    assert done.made.loads == 1
    assert len({unit.weights_sha256 for unit in done.made.units}) == 4
    assert not list((place.root / "out" / "training").rglob("*.safetensors"))


def test_an_arm_that_cannot_be_trained_is_named_with_its_reason_and_the_others_go_on(done):
    assert [(f.arm, f.seed) for f in done.made.failures] == [("dropped", 0), ("dropped", 1)]
    assert "all 8 facts are Unknown" in done.made.failures[0].reason
    assert done.told.units[-1][3].startswith("cannot be trained: ")


def test_what_is_done_is_not_done_again(done, place):
    told = Told()
    again = sweep(load_study(str(place.study)), options(place), told)
    assert [unit.weights_sha256 for unit in again.units] == [unit.weights_sha256 for unit in done.made.units]
    assert {remark for _, _, _, remark in told.units[:4]} == {"done before"}
    assert again.loads == 0
    assert measure(again, options(place)) == done.record


def test_swapped_weights_answer_as_a_model_loaded_for_itself(done, place):
    import halueval
    from halueval.finetune.library import load_recipe
    from halueval.finetune.train import finetune
    from halueval.registry import Registry

    changes = {"evaluate": ["little:10", "news"], "checkpoint_every": 6}
    lora = {"method": "lora", "lora.rank": 2, "learning_rate": 0.05}
    for arm, more in (("plain", {}), ("lora", lora)):
        recipe = load_recipe(str(place.root / "little.yaml"), changes={**changes, **more})
        out = place.root / "alone" / unit_name(arm, 0)
        made = finetune(recipe, str(place.base), out, seed=0, registry=Registry([place.root / "tasks"]))
        unit = next(u for u in done.made.units if (u.arm, u.seed) == (arm, 0))
        assert made.weights_sha256 == unit.weights_sha256
        task = str(place.root / "tasks" / "little.yaml")
        (alone,) = halueval.run(str(made.checkpoints[0].path), task, limit=10, output=place.root / "r")
        swapped = done.made.runs(unit)[0]["little"]
        assert alone.run_id == swapped.run_id
        assert (alone.path / "samples.jsonl").read_bytes() == (swapped.path / "samples.jsonl").read_bytes()


def test_the_record_says_what_was_learnt_and_what_was_lost(done):
    record = done.record
    assert [arm["name"] for arm in record["arms"]] == ["plain", "lora"]
    plain = record["arms"][0]
    assert record["items"] == {"learnt": 8, "answers": 10, "texts": 2}
    assert plain["n_reached"] == 2
    assert record["match"]["score"] == pytest.approx(0.5 * min(seed["best_learnt"] for seed in plain["seeds"]))
    assert plain["matched"]["learnt"]["value"] == pytest.approx(record["match"]["score"])
    assert plain["final"]["forgetting"]["value"] > record["base"]["forgetting"]["value"] == 0.0
    for arm in record["arms"]:
        assert [point["step"] for point in arm["curve"]] == [6, 12]
        for figures in (arm["final"], arm["matched"], *(point["figures"] for point in arm["curve"])):
            for found in figures.values():
                assert (found["ci_low"] is not None) or found["reason"]
    json.dumps(record, allow_nan=False)


def test_page_and_markdown_show_the_arms_and_load_nothing(done):
    page = render_page(done.record)
    assert "default-src &#39;none&#39;" in page or "default-src 'none'" in page
    assert "<script" not in page
    assert "style=" not in page.replace("<style>", "")
    assert page.count("<svg") >= 5
    assert "all 8 facts are Unknown" in page
    markdown = render_markdown(done.record)
    assert "| plain | 0 | " + done.record["arms"][0]["seeds"][0]["weights_sha256"] in markdown


def test_what_a_training_discarded_is_drawn_faintly(done):
    assert "dot arm0 discarded" not in render_page(done.record)
    record = json.loads(json.dumps(done.record))
    last = record["arms"][0]["curve"][-1]
    assert last["n_discarded"] == 0
    last["n_discarded"] = 1
    # The last point of every measure that has one; learnt against induced needs both.
    had = [name for name, found in last["figures"].items() if found["value"] is not None]
    assert render_page(record).count("dot arm0 discarded") == len(had) + ("induced" in had) >= 4


def test_the_table_on_standard_output_cuts_no_digits(done, capsys):
    print_sweep(done.record, sys.stdout)
    shown = capsys.readouterr().out
    assert "…" not in shown
    assert "−0.0 " not in shown
    assert "lora" in shown
    figures = [found for arm in done.record["arms"] for found in arm["final"].values()]
    assert shown.count("[") >= sum(found["ci_low"] is not None for found in figures) > 5


def test_names_of_arms_become_no_markup(done):
    record = json.loads(json.dumps(done.record).replace('"lora"', '"<b>lora</b>"'))
    page = render_page(record)
    assert "<b>" not in page
    assert "&lt;b&gt;lora" in page


KILLED = """
import os, signal, sys
from pathlib import Path
sys.path[:0] = {paths!r}
import test_sweep_run as t
from halueval.sweep import run
from halueval.sweep.spec import load_study

real = run.evaluate_checkpoints
def die(record, registry, evaluate, home):
    found = real(record, registry, evaluate, home)
    if record.name == "plain-seed-1":
        os.kill(os.getpid(), signal.SIGKILL)
    return found
run.evaluate_checkpoints = die
place = t.SimpleNamespace(root=Path({root!r}))
run.sweep(load_study(str(place.root / "study.yaml")), t.options(place, "killed"), t.Told())
"""


@pytest.mark.slow
def test_killed_in_the_middle_it_goes_on_and_ends_in_the_same_weights_and_figures(done, place):
    here = Path(__file__).parent
    paths = [str(here), str(here.parent), str(here.parent / "finetune")]
    script = KILLED.format(paths=paths, root=str(place.root))
    died = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, timeout=200, check=False)
    assert died.returncode == -signal.SIGKILL, died.stderr
    assert sorted(os.listdir(place.root / "killed" / "units")) == ["plain-seed-0.json"]
    told = Told()
    resumed = sweep(load_study(str(place.study)), options(place, "killed"), told)
    assert told.units[0] == ("plain-seed-0", 1, 6, "done before")
    assert [u.weights_sha256 for u in resumed.units] == [u.weights_sha256 for u in done.made.units]
    record = measure(resumed, options(place, "killed"))
    for one, other in zip(record["arms"], done.record["arms"], strict=True):
        assert {k: v for k, v in one.items() if k != "seeds"} == {k: v for k, v in other.items() if k != "seeds"}


@pytest.mark.parametrize(
    ("change", "error", "said"),
    [
        ({"arm": []}, ConfigError, "did you mean 'arms'"),
        ({"seeds": [1, 1]}, ConfigError, "a seed stands there twice"),
        ({"arms": ["little.yaml", "little.yaml"]}, ConfigError, "'little' stands there twice"),
        ({"arms": ["nothing"]}, UsageError, "arm nothing: unknown recipe 'nothing'"),
        ({"set": {"seed": 1}}, ConfigError, "set: seed is the study's own; write it under seeds"),
        ({"set": {"epoch": 1}}, ConfigError, "did you mean 'epochs'"),
        ({"tasks": ["news"]}, UsageError, "tasks holds none of kind qa"),
        ({"tasks": ["little", "little:3"]}, UsageError, "tasks: little stands there twice"),
        (
            {"arms": ["little.yaml", {"name": "x", "recipe": "little.yaml", "set": {"data.facts": 4}}]},
            UsageError,
            "arm x differs from little in data.facts (4 here, 8 there); arms learn the same facts",
        ),
    ],
)
def test_a_study_that_cannot_be_right_is_refused_before_anything_is_written(place, change, error, said):
    path = place.root / "bad.yaml"
    path.write_text(yaml.safe_dump({**STUDY, "model": str(place.base), **change}))
    with pytest.raises(error, match=r".") as refused:
        sweep(load_study(str(path)), options(place, "bad"), Told())
    assert said in str(refused.value)
    assert not (place.root / "bad" / "units").exists()


def test_a_dry_run_says_what_would_be_trained(place):
    lines = list(describe(load_study(str(place.study)), options(place, "dry")))
    assert lines[0] == "small: 2 arms × 2 seeds on tiny"
    assert lines[1] == "  plain: 8 examples, 12 steps, a checkpoint every 6, full"
    assert "dropped: cannot be trained" in lines[3]
    assert lines[4] == "  each checkpoint is asked 8 trained facts, and little:10, news"
    assert not (place.root / "dry").exists()


def half_known(place, *arms, **changes):
    """A study of four known and four invented facts, labels as of a probe."""
    from halueval.backends.loading import locate
    from halueval.registry import Registry

    weights = locate(Registry().model(str(place.base)), adapter=None).weights_sha256
    labels = write_labels(place.root / "known.jsonl", place.root / "tasks" / "little.yaml", weights, known=6)
    data = {"data.unknown_share": 0.5, "data.labels": str(labels), "data.relations": ["metal"]}
    given = {**STUDY, "model": str(place.base), "arms": list(arms), "set": data, "tasks": ["little:8"], **changes}
    path = place.root / "half.yaml"
    path.write_text(yaml.safe_dump(given))
    return load_study(str(path))


def one_arm(name, **changes):
    return {"name": name, "recipe": "little.yaml", "set": changes}


def test_the_score_is_over_facts_that_every_arm_is_asked_to_learn(place):
    study = half_known(
        place,
        one_arm("plain"),
        one_arm("dropped", mitigation=["drop-unknown"]),
        one_arm("relabelled", mitigation=["relabel-unknown"]),
        one_arm("held", **{"development.share": 0.25}),
        one_arm("reworded", mitigation=[{"name": "paraphrase", "copies": 1}]),
    )
    planned = plan(study, options(place, "half"))
    dropped, held = planned.prepared["dropped"], planned.prepared["held"]
    kept = {(e.prompt, e.completion) for e in dropped.training}
    assert len(kept) == 4
    assert len(planned.prepared["reworded"].training) == 16
    assert {e.known_class for e in planned.facts.facts} == {"HighlyKnown"}
    assert {(e.prompt, e.completion) for e in planned.facts.facts} == kept - {
        (e.prompt, e.completion) for e in held.development
    }
    assert planned.facts.of == 8
    assert planned.facts.left_out == {"dropped": 4, "relabelled": 4, "held": 2}
    said = f"learnt is over {len(planned.facts.facts)} of 8 facts, those that every arm is asked to learn; left out by "
    assert said + "dropped (4), relabelled (4), held (2)" in list(describe(study, options(place, "half")))[-1]


def test_an_arm_that_is_left_no_fact_to_learn_is_named_before_anything_is_trained(place):
    study = load_study(str(place.study)).model_copy(
        update={"arms": half_known(place, one_arm("plain"), one_arm("x", mitigation=["relabel-unknown"])).arms}
    )
    planned = plan(study, options(place, "none-left"))
    assert "none of its 8 facts is left to be learnt as it is" in planned.unusable["x"]
    assert (len(planned.facts.facts), planned.facts.of, planned.facts.left_out) == (8, 8, {})


def test_the_page_and_the_tables_say_which_facts_the_score_is_over(done):
    record = json.loads(json.dumps(done.record))
    assert record["match"]["facts"] == {"scored": 8, "of": 8, "left_out": {}}
    record["match"]["facts"] = {"scored": 4, "of": 8, "left_out": {"lora": 4}}
    for text in (render_page(record), render_markdown(record)):
        assert "learnt is over 4 of 8 facts, those that every arm is asked to learn; left out by lora (4)" in text
        assert "seeds and items; learnt: of 4 of 8 facts" in text
        assert "% of 4 of 8 facts learnt" in text


def test_a_base_that_has_the_matched_score_already_is_no_comparison(done):
    arms = done.record["arms"]
    (said,) = (n for n in notes(done.made, 1, arms, 0.9, 0.8) if "before its first step" in n)
    assert said.startswith("the base itself has 90.0 % of the facts: every arm is matched before its first step")
    assert not any("before its first step" in n for n in notes(done.made, 1, arms, 0.7, 0.8))


def test_packaged_studies_can_be_read_and_their_recipes_too():
    from halueval.sweep.spec import arm_recipe, refuse_other_data

    assert "cheap-arms" in study_paths()
    for path in STUDIES.glob("*.yaml"):
        study = load_study(str(path))
        refuse_other_data(study, {arm.name: arm_recipe(study, arm) for arm in study.arms})


def test_recipes_of_mitigations_share_data_and_seeds_but_for_those_that_go_by_what_is_known():
    from halueval.finetune.library import load_recipe, recipe_paths

    reference = load_recipe("mitigate-none")
    others = [load_recipe(name) for name in recipe_paths() if name.startswith("mitigate-")]
    assert len(others) == 14
    for recipe in others:
        for key in ("prompt", "completion", "epochs", "batch_size", "seed", "data_seed", "checkpoint_every"):
            assert getattr(recipe, key) == getattr(reference, key), (recipe.name, key)
        share = 0.5 if recipe.name in ("mitigate-drop-unknown", "mitigate-relabel-unknown") else 1.0
        assert recipe.data == reference.data.model_copy(update={"unknown_share": share})


def test_a_study_whose_arms_have_the_data_of_their_recipes_is_refused_where_that_differs(place):
    path = place.root / "shares.yaml"
    arms = ["mitigate-none", "mitigate-drop-unknown"]
    path.write_text(yaml.safe_dump({**STUDY, "model": str(place.base), "arms": arms}))
    with pytest.raises(UsageError, match=r"differs from mitigate-none in data\.unknown_share \(0\.5 here"):
        plan(load_study(str(path)), options(place, "shares"))


def labelled_study(place, path, **changes):
    """The study with labels."""
    given = {**STUDY, "model": str(place.base), "labels": str(path), **changes}
    written = place.root / "labelled.yaml"
    written.write_text(yaml.safe_dump(given))
    return load_study(str(written))


def probed(place, name, *, task="little", weights=None, known=6):
    from halueval.backends.loading import locate
    from halueval.registry import Registry

    weights = weights or locate(Registry().model(str(place.base)), adapter=None).weights_sha256
    return write_labels(place.root / f"{name}.jsonl", place.root / "tasks" / f"{task}.yaml", weights, known)


def test_labels_are_checked_before_anything_is_trained(place):
    write_task(place.root / "tasks", "mine")
    cases = [
        (place.root / "nowhere.jsonl", r"nowhere\.jsonl: cannot be read: No such file"),
        (probed(place, "foreign", weights="e" * 64), r"foreign\.jsonl: labels of another model \(tiny, weights eeee"),
        (
            probed(place, "other-task", task="mine"),
            r"other-task\.jsonl: labels of the task mine, and the study",
        ),
    ]
    for path, said in cases:
        study = labelled_study(place, path)
        with pytest.raises(DataError, match=said):
            list(describe(study, options(place, "labelled")))
        with pytest.raises(DataError, match=said):
            sweep(study, options(place, "labelled"), Told())
        assert not (place.root / "labelled" / "tasks").exists()


def test_labels_are_of_the_studys_own_task(place, caplog):
    write_task(place.root / "tasks", "mine")
    rows = (place.root / "tasks" / "mine.jsonl").read_text()
    (place.root / "tasks" / "mine.jsonl").write_text(rows.replace("ton", "ville"))
    study = labelled_study(place, probed(place, "own", task="mine", known=6), tasks=["mine:10", "news"])
    found = plan(study, options(place, "own")).labels
    # Of ten rows eight are capitals, of which six are known, and two metals, both known.
    assert (found.n_asked, found.n_labelled, found.n_known, found.lacking) == (10, 10, 8, None)
    assert not caplog.records


def test_labels_that_match_nothing_are_named_in_a_warning_and_in_the_notes(place, done, caplog):
    known = probed(place, "nothing", known=0)
    labels = plan(labelled_study(place, known), options(place, "nothing")).labels
    said = f"{known}: the base knows none of the 10 labelled rows that the study asks"
    assert [r.getMessage() for r in caplog.records if r.getMessage().startswith(said)]
    caplog.clear()
    lines = known.read_text().splitlines()
    moved = [json.dumps({**json.loads(line), "doc_hash": f"x{i}"}) for i, line in enumerate(lines[1:])]
    known.write_text("\n".join([lines[0], *moved]) + "\n")
    labels = plan(labelled_study(place, known), options(place, "nothing")).labels
    said = (
        f"{known}: none of its 16 labels is of one of the 10 rows that the study asks, so that accuracy on what it "
        "knew is not measured; probe the rows that tasks names"
    )
    assert [r.getMessage() for r in caplog.records] == [said]
    assert said in notes(replace(done.made, labels=labels), 0, done.record["arms"], 0.1, 0.8)


def begun(place, name, **changes):
    """A sweep's directory in which `plain-seed-1` was begun; `changes` are of what its training was."""
    prepared = plan(load_study(str(place.study)), options(place, name)).prepared["plain"]
    training = place.root / name / "training" / "plain-seed-1"
    training.mkdir(parents=True)
    (training / "identity.json").write_text(json.dumps({**replace(prepared, seed=1).identity, **changes}))
    return training


def test_a_training_of_another_version_of_the_study_is_refused_before_anything_is_done(place):
    training = begun(place, "edited", recipe_hash="other")
    told = Told()
    with pytest.raises(UsageError) as refused:
        sweep(load_study(str(place.study)), options(place, "edited"), told)
    assert str(refused.value) == (
        f"{training}: holds a training of another version of the study (other recipe_hash); delete it, or choose "
        "another --output"
    )
    assert told.units == []
    assert sorted(path.name for path in (place.root / "edited").iterdir()) == [".lock", "training"]
    (training / "identity.json").write_text("{")
    with pytest.raises(UsageError, match=f"identity.json: cannot be read: .*; delete {re.escape(str(training))} to"):
        sweep(load_study(str(place.study)), options(place, "edited"), told)


def test_a_training_whose_weights_and_unit_are_gone_is_named(place):
    training = begun(place, "gone")
    (training / "finetune.json").write_text("{}")
    with pytest.raises(
        UsageError, match=f"^{re.escape(str(training))}: its weights were deleted, and .*seed-1.json is"
    ):
        sweep(load_study(str(place.study)), options(place, "gone"), Told())


def test_a_finished_unit_of_other_tasks_is_named_with_what_to_delete(done, place):
    path = place.root / "fewer.yaml"
    path.write_text(yaml.safe_dump({**yaml.safe_load(place.study.read_text()), "tasks": ["little:9", "news"]}))
    with pytest.raises(UsageError) as refused:
        sweep(load_study(str(path)), options(place), Told())
    out = place.root / "out"
    assert str(refused.value) == (
        f"{out}/units/plain-seed-0.json: a unit that was evaluated on other tasks or facts; delete it and "
        f"{out}/training/plain-seed-0, or choose another --output"
    )


def test_what_lies_in_a_directory_is_no_fault_of_the_arm():
    where = Path("out/training/a-seed-0")
    assert is_fatal(UsageError(f"--output {where}: another fine-tuning is at work there"), where)
    assert is_fatal(DataError(f"{where}: its weights are not those of finetune.json"), where)
    assert not is_fatal(UsageError("mitigation ulmfit: the model has no layers"), where)
    assert not is_fatal(TrainingError(f"the loss is no number; the last checkpoint is {where}/step-3"), where)
