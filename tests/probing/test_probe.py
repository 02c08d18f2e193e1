"""The probe on a scripted model: prompts, classes, resumption, and what a comparison makes of the labels."""

import json
from dataclasses import replace

import pytest
from click.testing import CliRunner
from runs import CAPITALS, identity, knows, run_fake, write_task

from halueval.backends.fake import FakeBackend
from halueval.cli.main import cli
from halueval.comparison import diff
from halueval.dataset import load_data
from halueval.errors import DataError, UsageError
from halueval.job import ModelHandle, SilentObserver
from halueval.known import read_labels
from halueval.probing.asking import prepare_probe
from halueval.probing.probe import run_probe
from halueval.probing.settings import FIRST_SEED, ProbeSettings
from halueval.prompt import build_samples
from halueval.registry import Registry
from halueval.schema import GenerationResponse


def settings(output, **changes):
    return replace(ProbeSettings(output=output, num_prompts=4, num_draws=3, num_fewshot=2, n_resamples=100), **changes)


def prepare(task_path, options, model=None):
    task = Registry().task(str(task_path))
    data = load_data(task, base=task_path.parent)
    return prepare_probe(task, data, model or identity(), options)


def probe(task_path, options, backend=None, model=None):
    model = model or identity()
    handle = ModelHandle(model, lambda: backend or FakeBackend(knows("France", "Italy")))
    return run_probe(prepare(task_path, options, model), handle, options, SilentObserver())


class Moody(FakeBackend):
    """Knows France always, Italy after one of the prompts, and Spain when it is drawn from."""

    def run(self, batch, advance=lambda _: None):
        result = super().run(batch, advance)
        answers = []
        for request, answer in zip(batch.requests, result.responses, strict=True):
            country = request.context.rsplit("capital of ", 1)[1].split("?")[0]
            right = (
                country == "France"
                or (country == "Italy" and "Peru" in request.context)
                or (country == "Spain" and request.temperature > 0)
            )
            text = f" {CAPITALS[country]}" if right else " Atlantis"
            answers.append(replace(answer, text=text) if isinstance(answer, GenerationResponse) else answer)
        return replace(result, responses=answers)


def test_facts_are_classed_by_greedy_and_drawn_answers(tmp_path):
    task = write_task(tmp_path, num_fewshot=2)
    made = probe(task, settings(tmp_path / "out"), Moody(lambda prompt: ""))
    _, facts = read_labels(made.directory / "labels.jsonl")
    classes = {list(CAPITALS)[int(fact.sample_id)]: fact for fact in facts}
    assert classes["France"].known_class == "HighlyKnown"
    assert classes["Italy"].known_class == "MaybeKnown"
    assert 0 < classes["Italy"].p_greedy < 1
    assert (classes["Spain"].known_class, classes["Spain"].p_sampled) == ("WeaklyKnown", 1.0)
    assert classes["Japan"].known_class == "Unknown"
    assert [row["count"] for row in made.record["classes"]] == [1, 1, 1, 7]
    assert made.record["classes"][0]["fresh_accuracy"]["value"] == 1.0
    assert made.record["n_facts"] == 10
    # Ten facts, four prompts of one greedy and three drawn answers each, and one fresh prompt.
    assert made.record["engine"]["requests"] == 10 * (4 * 4 + 1)


def test_prompts_differ_in_their_examples_and_are_not_those_of_a_run(tmp_path):
    task_path = write_task(tmp_path, num_fewshot=2)
    options = settings(tmp_path / "out")
    made = prepare(task_path, options)
    task = Registry().task(str(task_path))
    scoring = {s.prompt for s in build_samples(task, load_data(task, base=tmp_path), num_fewshot=2, seed=0, limit=None)}
    for fact, numbers in zip(made.facts, made.asked, strict=True):
        prompts = {made.prepared.samples[i].prompt for i in numbers}
        assert len(prompts) >= 4  # five draws of two of nine examples
        question = fact.prompt.rsplit("Q:", 1)[1]
        assert all(prompt.count(question) == 1 for prompt in prompts)  # never among its own examples
    assert len(scoring & {sample.prompt for sample in made.prepared.samples}) <= 2
    assert FIRST_SEED > 10**6
    seeds = [request.seed for request in made.prepared.requests if request.temperature > 0]
    assert len(set(seeds)) == len(seeds)


def test_a_draw_does_not_depend_on_what_else_is_asked(tmp_path):
    task = write_task(tmp_path, num_fewshot=2)
    few = prepare(task, settings(tmp_path / "a", limit=3)).prepared.requests
    many = prepare(task, settings(tmp_path / "a")).prepared.requests
    assert set(few) <= set(many)


class Dying(FakeBackend):
    """Is killed in the middle."""

    def __init__(self, left):
        super().__init__(knows("France", "Italy"))
        self.left = left

    def run(self, batch, advance=lambda _: None):
        self.left -= 1
        if self.left < 0:
            raise KeyboardInterrupt
        return super().run(batch, advance)


def test_an_interrupted_probe_goes_on_and_ends_in_the_same_labels(tmp_path):
    task = write_task(tmp_path, num_fewshot=2)
    whole = probe(task, settings(tmp_path / "whole", batch_size=8))
    with pytest.raises(KeyboardInterrupt):
        probe(task, settings(tmp_path / "cut", batch_size=8), Dying(5))
    assert not list((tmp_path / "cut").rglob("labels.jsonl"))
    again = probe(task, settings(tmp_path / "cut", batch_size=8))
    assert (again.directory / "labels.jsonl").read_bytes() == (whole.directory / "labels.jsonl").read_bytes()
    assert again.directory.name == whole.directory.name
    third = probe(task, settings(tmp_path / "cut", batch_size=8), Dying(0))
    assert third.record == again.record


def test_a_comparison_is_broken_down_by_what_the_base_knew(tmp_path):
    task = write_task(tmp_path, num_fewshot=2, rows=[{"country": c, "capital": k} for c, k in CAPITALS.items()] * 1)
    output = tmp_path / "results"
    base, _ = run_fake(task, output, model=identity(name="base", weights_sha256="b"))
    tuned, _ = run_fake(
        task,
        output,
        FakeBackend(knows("Italy")),
        model=identity(name="tuned", weights_sha256="t"),
    )
    before = diff(base, tuned, n_resamples=100).record["tasks"]["capitals"]
    assert "known_class" not in before["strata"]
    made = probe(task, settings(output), model=identity(name="base", weights_sha256="b"))
    after = diff(base, tuned, n_resamples=100).record["tasks"]["capitals"]
    assert {name: found["n"] for name, found in after["strata"]["known_class"].items()} == {
        "HighlyKnown": 2,
        "Unknown": 8,
    }
    assert after["strata"]["known_class"]["HighlyKnown"]["induced_rate"]["value"] == 0.5
    assert any(made.directory.name in note for note in after["notes"])
    named = diff(base, tuned, n_resamples=100, known_class=[made.directory / "labels.jsonl"])
    assert named.record["tasks"]["capitals"]["strata"] == after["strata"]


def test_labels_of_other_weights_are_refused(tmp_path):
    task = write_task(tmp_path, num_fewshot=2)
    output = tmp_path / "results"
    base, _ = run_fake(task, output, model=identity(name="base", weights_sha256="b"))
    tuned, _ = run_fake(task, output, model=identity(name="tuned", weights_sha256="t"))
    made = probe(task, settings(tmp_path / "other"), model=identity(name="other", weights_sha256="o"))
    with pytest.raises(DataError, match=r"labels of other \(o\), and the base is base \(b\)"):
        diff(base, tuned, n_resamples=100, known_class=[made.directory / "labels.jsonl"])
    with pytest.raises(UsageError, match="give one of them"):
        diff(base, tuned, known_class=[made.directory / "labels.jsonl"] * 2)


def test_answers_that_failed_give_no_class_and_are_counted(tmp_path):
    class Failing(FakeBackend):
        def run(self, batch, advance=lambda _: None):
            from halueval.schema import FailedResponse

            result = super().run(batch, advance)
            answers = [
                FailedResponse("broken") if request.context.endswith("capital of Peru?\nA:") else answer
                for request, answer in zip(batch.requests, result.responses, strict=True)
            ]
            return replace(result, responses=answers)

    made = probe(write_task(tmp_path, num_fewshot=2), settings(tmp_path / "out"), Failing(knows("France")))
    assert made.record["unlabelled"] == {"broken": 1}
    assert made.record["n_facts"] == 9


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"num_prompts": 1}, "--num-prompts 1"),
        ({"num_draws": 0}, "--num-draws 0"),
        ({"temperature": 0.0}, "--temperature 0.0"),
        ({"top_k": -1}, "--top-k -1"),
        ({"num_fewshot": 0}, "--num-fewshot 1 or more"),
    ],
)
def test_bad_settings_are_refused_by_name(tmp_path, changes, said):
    with pytest.raises(UsageError, match=said):
        prepare(write_task(tmp_path, num_fewshot=2), settings(tmp_path / "out", **changes))


def test_a_task_of_choices_is_no_set_of_facts(tmp_path):
    path = write_task(
        tmp_path,
        output_type="multiple_choice",
        doc_to_choice=["Paris", "Rome"],
        doc_to_target="0",
        generation_kwargs=None,
    )
    with pytest.raises(UsageError, match="generates answers, and this task is of kind qa, multiple_choice"):
        prepare(path, settings(tmp_path / "out"))


@pytest.mark.slow
def test_the_command_on_the_embedded_model(embedded, tmp_path):
    arguments = [
        "-m",
        "smollm2-135m-instruct",
        "-t",
        "facts_qa",
        "--limit",
        "2",
        "--num-prompts",
        "2",
        "--num-draws",
        "2",
    ]
    made = CliRunner().invoke(
        cli, ["probe", *arguments, "-o", str(tmp_path), "--dtype", "float32", "--json", "-q"], standalone_mode=False
    )
    assert made.exception is None
    record = json.loads(made.stdout)
    assert record["n_facts"] == 2
    assert record["engine"]["requests"] == 2 * (2 * 3 + 1)
    header, facts = read_labels(next(tmp_path.rglob("labels.jsonl")))
    assert header.model == "smollm2-135m-instruct"
    assert len(facts) == 2


def test_a_run_can_hold_the_classes_of_its_base(tmp_path):
    task = write_task(tmp_path, num_fewshot=2)
    made = probe(task, settings(tmp_path / "out"), model=identity(name="base", weights_sha256="b"))
    tuned = identity(name="tuned", weights_sha256="t", base="base")
    plain, _ = run_fake(task, tmp_path / "runs", limit=4, model=tuned)
    run, _ = run_fake(task, tmp_path / "runs", limit=4, model=tuned, known_class=made.directory / "labels.jsonl")
    assert run.run_id != plain.run_id
    classes = dict(zip(run.samples["target"], run.samples["group.known_class"], strict=True))
    assert classes == {"Paris": "HighlyKnown", "Rome": "HighlyKnown", "Madrid": "Unknown", "Tokyo": "Unknown"}
    assert "group.known_class" not in plain.samples


def test_labels_of_other_data_are_no_stratum_of_a_run(tmp_path):
    task = write_task(tmp_path, num_fewshot=2)
    made = probe(task, settings(tmp_path / "out"))
    other = tmp_path / "other"
    other.mkdir()
    changed = write_task(other, rows=[{"country": "Fiji", "capital": "Suva"}, {"country": "Chad", "capital": "N"}])
    with pytest.raises(DataError, match="labels of other data, and the run is of capitals"):
        run_fake(changed, tmp_path / "runs", known_class=made.directory / "labels.jsonl")


def test_a_run_finds_the_classes_of_its_model_or_its_base_and_says_so(tmp_path, caplog):
    task = write_task(tmp_path, num_fewshot=2)
    output = tmp_path / "results"
    base = identity(name="base", weights_sha256="b")
    lineage = {"base_weights_sha256": "b"}
    models = {
        "own": base,
        "of its base": identity(name="tuned", weights_sha256="t", base="base", lineage=lineage),
        "of another base": identity(
            name="other", weights_sha256="o", base="base", lineage={"base_weights_sha256": "x"}
        ),
        "by name alone": identity(name="named", weights_sha256="n", base="base"),
    }
    before, _ = run_fake(task, output, limit=3, model=base, find_known_class=True)
    made = probe(task, settings(output), model=base)
    found = {}
    for name, model in models.items():
        caplog.clear()
        with caplog.at_level("INFO", "halueval"):
            run, _ = run_fake(task, output, limit=4, model=model, find_known_class=True)
        found[name] = "group.known_class" in run.samples
        assert (str(made.directory / "labels.jsonl") in caplog.text) == found[name]
        assert "group.known_class" not in run_fake(task, output, limit=4, model=model)[0].samples
    assert found == {"own": True, "of its base": True, "of another base": False, "by name alone": False}
    # What was stored without labels stays what it was, and is not run anew.
    again, _ = run_fake(task, output, limit=3, model=base, find_known_class=True)
    assert (again.run_id, "group.known_class" in again.samples) == (before.run_id, False)


def test_labels_are_named_or_not_wanted(tmp_path):
    both = ["--known-class", str(tmp_path / "labels.jsonl"), "--no-known-class"]
    made = CliRunner().invoke(cli, ["run", "-m", "smollm2-135m-instruct", "-t", "facts_qa", *both])
    assert isinstance(made.exception, UsageError)
    assert "leave one out" in str(made.exception)


def test_labels_of_a_model_that_is_no_base_are_refused_when_named(tmp_path):
    task = write_task(tmp_path, num_fewshot=2)
    labels = probe(task, settings(tmp_path / "out"), model=identity(name="base", weights_sha256="b")).directory
    for lineage in (None, {"base_weights_sha256": "x"}):
        model = identity(name="tuned", weights_sha256="t", base=lineage and "base", lineage=lineage)
        with pytest.raises(DataError, match=r"labels of base \(b\), which are not those of tuned \(t\)"):
            run_fake(task, tmp_path / "runs", model=model, known_class=labels / "labels.jsonl")


def test_named_labels_take_the_place_of_those_that_a_run_holds(tmp_path):
    task = write_task(tmp_path, num_fewshot=2)
    model = identity(name="base", weights_sha256="b")
    held = probe(task, settings(tmp_path / "held"), model=model).directory / "labels.jsonl"
    knowing = FakeBackend(knows("France", "Italy", "Spain"))
    other = probe(task, settings(tmp_path / "other"), knowing, model=model).directory / "labels.jsonl"
    base, _ = run_fake(task, tmp_path / "runs", model=model, known_class=held)
    tuned, _ = run_fake(task, tmp_path / "runs", model=identity(name="tuned", weights_sha256="t"))
    for named, known in (((), 2), ([other], 3)):
        strata = diff(base, tuned, n_resamples=100, known_class=named).record["tasks"]["capitals"]["strata"]
        assert strata["known_class"]["HighlyKnown"]["n"] == known
    with pytest.raises(DataError, match="cannot be read"):
        diff(base, tuned, n_resamples=100, known_class=[tmp_path / "none.jsonl"])
