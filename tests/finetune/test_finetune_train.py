import json
import os
import signal
import subprocess
import sys
from types import SimpleNamespace

import pytest
from tuning import make_place, train

from halueval.errors import DataError, UsageError
from halueval.finetune.library import load_recipe
from halueval.finetune.train import finetune


@pytest.fixture
def place(tmp_path):
    return make_place(tmp_path)


KILLED = """
import os, signal, sys
from pathlib import Path
sys.path[:0] = [{tests!r}, {here!r}]
from tuning import values
from halueval.finetune import checkpoints
from halueval.finetune.library import recipe_from
from halueval.finetune.train import finetune
from halueval.registry import Registry

sync = checkpoints.sync
def die(directory):
    if directory.name == ".step-4.partial":
        os.kill(os.getpid(), signal.SIGKILL)
    sync(directory)
checkpoints.sync = die
root = Path({root!r})
finetune(recipe_from(values(checkpoint_every=2), None), str(root / "tiny"), root / "killed",
         registry=Registry([root / "tasks"]))
"""


@pytest.mark.slow
def test_killed_while_writing_a_checkpoint_it_goes_on_and_ends_in_the_same_weights(place):
    here = os.path.dirname(__file__)
    script = KILLED.format(tests=os.path.dirname(here), here=here, root=str(place.root))
    died = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, timeout=200, check=False)
    assert died.returncode == -signal.SIGKILL, died.stderr
    left = place.root / "killed" / "checkpoints"
    assert sorted(path.name for path in left.iterdir()) == [".step-4.partial", "step-2"]
    assert not (place.root / "killed" / "halueval.yaml").exists()

    told = []
    progress = SimpleNamespace(
        begin=lambda *given: told.append(given), step=lambda *_: None, note=lambda _: None, end=lambda: None
    )
    resumed = train(place, "killed", checkpoint_every=2, progress=progress)
    whole = train(place, "whole", checkpoint_every=2)
    assert told == [("killed", 6, 2)]
    assert resumed.weights_sha256 == whole.weights_sha256
    assert resumed.document["losses"] == whole.document["losses"]
    assert not list(left.glob(".*"))


def test_what_is_done_is_not_done_again_and_nothing_else_is_overwritten(place):
    first = train(place, "out")
    before = (place.root / "out" / "model.safetensors").stat().st_mtime_ns
    again = train(place, "out", checkpoint_every=1)
    assert again.weights_sha256 == first.weights_sha256
    assert (place.root / "out" / "model.safetensors").stat().st_mtime_ns == before
    with pytest.raises(UsageError, match=r"holds another fine-tuning \(other seed\).*--fresh"):
        train(place, "out", seed=1)
    other = train(place, "out", seed=1, fresh=True)
    assert other.weights_sha256 != first.weights_sha256
    (place.root / "full").mkdir()
    (place.root / "full" / "thesis.txt").write_text("mine")
    with pytest.raises(UsageError, match=r"holds thesis\.txt"):
        train(place, "full")


def test_the_model_says_what_it_was_made_from_and_a_run_stores_it(place):
    import halueval

    made = train(place, "tuned", method="lora", lora={"rank": 2}, checkpoint_every=3)
    assert made.steps == 6
    assert [checkpoint.step for checkpoint in made.checkpoints] == [3, 6]
    task = str(place.root / "tasks" / "little.yaml")
    for path, name, step in ((made.path, "tuned", 6), (made.checkpoints[0].path, "tuned-step-3", 3)):
        (run,) = halueval.run(str(path), task, limit=2, output=place.root / "results", dtype="float32")
        model = run.record["model"]
        assert (model["name"], model["base"]) == (name, "tiny")
        lineage = model["lineage"]
        assert (lineage["recipe"], lineage["step"], lineage["method"]) == ("little-recipe", step, "lora")
        assert lineage["data_sha256"] == made.data_sha256
        assert lineage["base_weights_sha256"] == model["weights_sha256"]
    assert made.weights_sha256 == json.loads((made.path / "finetune.json").read_text())["weights_sha256"]
    assert not list(made.path.rglob("*.bin"))


def test_learning_is_seen_in_the_answers(place):
    import halueval

    data = {"kind": "task", "task": "little", "relations": ["capital"], "relation_column": "relation"}
    made = train(place, "tuned", data=data, epochs=40, learning_rate=0.01, evaluate=[], group_by_length=False)
    task = str(place.root / "tasks" / "little.yaml")
    (run,) = halueval.run(str(made.path), task, limit=8, output=place.root / "results", dtype="float32")
    assert run.metrics.loc["exact_match", "value"] >= 0.75


def test_training_on_what_is_evaluated_is_refused_unless_asked_for(place):
    path = place.root / "mine.jsonl"
    path.write_text('{"prompt": "Q: What is the capital of Arl?\\nA:", "completion": " Arlton\\n"}\n')
    data = {"kind": "file", "path": str(path)}
    with pytest.raises(DataError, match="1 of 1 training examples are also evaluated"):
        train(place, "out", data=data)
    assert not (place.root / "out").exists()
    assert train(place, "out", data=data, allow_overlap=True).document["overlapping"] == 1


def test_choosing_weights_on_what_is_evaluated_is_refused_unless_asked_for(place):
    path = place.root / "held.jsonl"
    path.write_text('{"prompt": "Q: What is the capital of Arl?\\nA:", "completion": " Arlton\\n"}\n')
    development = {"path": str(path)}
    with pytest.raises(DataError, match=r"1 of 1 development examples are also evaluated.*is in little"):
        train(place, "out", development=development)
    assert not (place.root / "out").exists()
    assert train(place, "out", development=development, allow_overlap=True).document["overlapping"] == 1


def test_examples_that_are_too_long_are_refused_or_dropped_and_counted(place):
    path = place.root / "mine.jsonl"
    path.write_text('{"text": "A film was good."}\n' + json.dumps({"text": "film " * 200}) + "\n")
    data = {"kind": "file", "path": str(path)}
    with pytest.raises(DataError, match=r"training example 2 .*window holds 128.*too_long: drop"):
        train(place, "out", data=data)
    assert not (place.root / "out").exists()
    made = train(place, "out", data=data, evaluate=[], too_long="drop")
    assert (made.examples, made.document["dropped_too_long"]) == (1, 1)


def test_early_stopping_keeps_the_best_weights(place):
    from halueval.backends.fingerprint import weights_sha256

    made = train(
        place,
        "out",
        epochs=12,
        learning_rate=0.03,
        development={"share": 0.3},
        early_stopping={"patience": 2},
    )
    losses = made.document["development_losses"]
    assert made.stopped_early
    assert made.steps < 12 * 2
    assert made.best_step == min(losses, key=lambda pair: pair[1])[0]
    assert made.weights_sha256 == weights_sha256(made.path / "checkpoints" / f"step-{made.best_step}")


def test_only_the_newest_checkpoints_are_kept_where_asked(place):
    made = train(place, "out", checkpoint_every=1, keep_checkpoints=2)
    assert [checkpoint.step for checkpoint in made.checkpoints] == [5, 6]


@pytest.mark.parametrize("name", ["t5", "bart"])
def test_an_encoder_decoder_learns(place, models, name):
    changes = {
        "data.task": "little",
        "data.examples": 12,
        "evaluate": ["little:4"],
        "epochs": 6,
        "learning_rate": 0.003,
    }
    recipe = load_recipe("summaries", changes=changes)
    made = finetune(recipe, str(models(name)), place.root / f"tuned-{name}", registry=place.registry)
    assert made.examples == 12
    losses = [loss for _, loss in made.document["losses"]]
    assert losses[-1] < losses[0]
    assert (made.path / "halueval.yaml").read_text().startswith(f"name: tuned-{name}\n")


@pytest.mark.parametrize("classes", [("negative", "positive"), ("cold", "mild", "zebra")])
def test_a_classifier_learns_with_its_own_head_or_a_new_one(place, models, classes):
    import halueval

    path = place.root / "rows.jsonl"
    rows = [{"text": f"{name} was it {i}", "label": name} for i in range(4) for name in classes]
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    changes = {"data": {"kind": "file", "path": str(path)}, "evaluate": [], "epochs": 25, "learning_rate": 0.01}
    recipe = load_recipe("sentiment", changes=changes)
    made = finetune(recipe, str(models("bert")), place.root / "head", registry=place.registry)
    losses = [loss for _, loss in made.document["losses"]]
    assert made.loss < losses[0] / 2
    assert made.document["new_head"] == ("zebra" in classes)
    task = place.root / "heads.yaml"
    listed = json.dumps(list(classes))
    task.write_text(
        f"task: heads\nkind: classification\noutput_type: multiple_choice\nsource: rows.jsonl\n"
        f"doc_to_text: text\ndoc_to_choice: {listed}\ndoc_to_target: label\n"
        f'classifier: {{text: "{{{{text}}}}", labels: {json.dumps([[c] for c in classes])}}}\n'
    )
    (run,) = halueval.run(str(made.path), str(task), output=place.root / "results", dtype="float32")
    assert run.metrics.loc["accuracy", "value"] == 1.0


def test_a_recipe_for_another_kind_of_model_is_refused(place, models):
    with pytest.raises(UsageError, match="trains a causal model, and t5 is seq2seq"):
        train(place, "out", models("t5"))


def test_the_command_ends_with_the_next_commands(place, invoke, monkeypatch):
    monkeypatch.chdir(place.root)
    done = invoke(
        "finetune", "-m", place.base, "-r", "invented-facts", "--set", "data.facts=8", "--evaluate", "facts_qa:5",
        "--seed", "3",
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert "finetuned/tiny-invented-facts-seed3" in done.stdout
    asked = f"--model {place.base} --model finetuned/tiny-invented-facts-seed3 --task facts_qa --limit 5"
    assert f"halueval run {asked}" in done.stdout
    assert "halueval diff tiny tiny-invented-facts-seed3" in done.stdout
    wrong = invoke("finetune", "-m", place.base, "-r", "invented-facts", "--set", "epoch=1")
    assert wrong.returncode == 2
    assert "unknown key 'epoch'; did you mean 'epochs'?" in wrong.stderr
    assert "invented-facts-lora: " in invoke("finetune", "--list").stdout
