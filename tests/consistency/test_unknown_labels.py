"""Heads whose configuration does not say what their outputs mean: null with a reason, counted, nothing run."""

import json

import pytest
import yaml
from neural_models import save_pairs
from runs import SUMMARY, prepared, run_fake, write_task
from small_sets import TINY_SET

from halueval.backends.fake import FakeBackend
from halueval.checking import _warn
from halueval.consistency.base import NO_SOURCE, Pair
from halueval.consistency.catalog import create
from halueval.consistency.labels import CHARACTERS_SHOWN, EXAMPLE, UnknownLabelsError, roles_of
from halueval.errors import ModelError
from halueval.job import RunSettings
from halueval.report.tables import footer

PAIRS = [
    Pair("A film of good people came to Paris.", "A film came to Rome."),
    Pair("", "A film."),
    Pair("A b.", "A c."),
]
SAYS_NOTHING = ("LABEL_0", "LABEL_1", "LABEL_2")
TASK = {**SUMMARY, "primary_metric": "rougeL"}
ROWS = [{"text": f"{name} went home in 1990.", "short": f"{name} went home."} for name in ("Ann", "Bob", "Cid")]


@pytest.fixture(autouse=True)
def nothing_is_loaded(monkeypatch):
    _warn.cache_clear()
    monkeypatch.setattr("halueval.backends.loading.load", lambda *_, **__: pytest.fail("weights were loaded"))


def made(tmp_path, name, labels):
    model = str(save_pairs(tmp_path / "head", labels))
    if name == "factscore":
        return create(name, {"checker": "nli", "checker_options": {"model": model}, "threshold": 0.5})
    (tmp_path / "conv.json").write_text('{"weight": [1, 2], "bias": 0}')
    weights = {"weights": str(tmp_path / "conv.json")} if name == "summac_conv" else {}
    return create(name, {"model": model, **weights})


@pytest.mark.parametrize(
    ("name", "labels", "advice"),
    [
        *((name, SAYS_NOTHING, EXAMPLE) for name in ("nli", "summac_zs", "summac_conv", "alignscore", "factscore")),
        ("nli", ("neutral", "contradiction"), EXAMPLE),
        ("nli", ("entailment", "supports", "neutral"), EXAMPLE),
        ("summac_zs", ("entailment", "not_entailment"), EXAMPLE),
        ("minicheck", ("negative", "positive"), "`labels: {LABEL_0: not_entailment, LABEL_1: entailment}`"),
    ],
)
def test_every_pair_is_null_with_a_reason_that_says_what_to_write(tmp_path, name, labels, advice):
    scorer, told = made(tmp_path, name, labels), []
    first, sourceless, last = scorer.score(PAIRS, told.append)
    assert first.value is sourceless.value is last.value is None
    assert first.reason == last.reason == scorer.unusable()
    for part in ("model head:", ", ".join(labels), advice):
        assert part in first.reason
    assert "\n" not in first.reason
    assert sourceless.reason == NO_SOURCE
    assert sum(told) == len(PAIRS)
    assert "unknown" in str(scorer.identity())


def test_names_of_outputs_are_shown_on_one_line_and_not_all_of_a_thousand(tmp_path):
    scorer = made(tmp_path, "nli", ("a\nb\x1b[2J", "y" * 500, *map(str, range(998))))
    reason = scorer.score(PAIRS)[0].reason
    assert f"a b<U+001B>[2J, {'y' * CHARACTERS_SHOWN}, 0, 1, 2, 3, …, which" in reason
    assert reason.isprintable()


@pytest.mark.parametrize(
    ("name", "labels", "said"),
    [
        ("nli", ("LABEL_0",), "its outputs are LABEL_0; needed are two or three"),
        ("minicheck", SAYS_NOTHING, "needs a head of two outputs, not LABEL_0, LABEL_1, LABEL_2"),
    ],
)
def test_a_head_of_the_wrong_size_is_refused(tmp_path, name, labels, said):
    with pytest.raises(ModelError, match=said) as caught:
        made(tmp_path, name, labels).score(PAIRS)
    assert not isinstance(caught.value, UnknownLabelsError)


@pytest.mark.parametrize(
    ("labels", "said"),
    [
        ("entailment,neutral", "has 3 outputs, but `labels` names 2"),
        ("yes,neutral,entailment", "the option `labels` calls an output 'yes'"),
        ("neutral,contradiction,not_entailment", "one of them entailment"),
        ("entailment,entailment,neutral", "of different meaning"),
    ],
)
def test_labels_that_the_user_wrote_wrongly_are_refused_before_anything_is_loaded(tmp_path, labels, said):
    scorer = create("nli", {"model": str(save_pairs(tmp_path / "head", SAYS_NOTHING)), "labels": labels})
    for ask in (scorer.identity, lambda: scorer.score(PAIRS)):
        with pytest.raises(ModelError, match=said) as caught:
            ask()
        assert not isinstance(caught.value, UnknownLabelsError)


def test_a_configuration_without_names_has_those_of_transformers(tmp_path):
    directory = save_pairs(tmp_path / "head")
    config = json.loads((directory / "config.json").read_text())
    del config["id2label"]
    (directory / "config.json").write_text(json.dumps(config))
    assert "its outputs LABEL_0, LABEL_1, which" in create("nli", {"model": str(directory)}).unusable()
    (directory / "config.json").write_text(json.dumps({**config, "num_labels": 4}))
    assert "LABEL_2, LABEL_3, which" in create("nli", {"model": str(directory)}).unusable()
    for wrong in ({"1": "entailment", "2": "neutral"}, ["entailment"], {"one": "entailment"}):
        (directory / "config.json").write_text(json.dumps({**config, "id2label": wrong}))
        with pytest.raises(ModelError, match="`id2label` must name the outputs 0, 1"):
            create("nli", {"model": str(directory)}).unusable()


def test_a_card_or_an_option_that_says_more_is_another_identity(tmp_path):
    save_pairs(tmp_path / "head", ("LABEL_0", "LABEL_1"))
    card = tmp_path / "card.yaml"
    given = create("nli", {"model": str(tmp_path / "head"), "labels": "entailment,neutral"})
    unusable, identities = [given.unusable()], [given.identity()]
    for labels in ("{}", "{LABEL_0: entailment, LABEL_1: not_entailment}", "{LABEL_1: entailment, LABEL_0: neutral}"):
        card.write_text(f"name: own\nsource: head\nlabels: {labels}\n")
        scorer = create("nli", {"model": str(card)})
        unusable.append(scorer.unusable())
        identities.append(scorer.identity())
    assert [why is None for why in unusable] == [True, False, True, True]
    assert len(set(map(str, identities))) == 4


def test_the_reason_of_a_name_is_the_same_wherever_it_stands():
    for names in (SAYS_NOTHING, SAYS_NOTHING[::-1]):
        with pytest.raises(UnknownLabelsError, match=", ".join(names)):
            roles_of(names, model="m")


def test_a_run_has_null_counts_it_says_why_once_and_the_other_figures(tmp_path, caplog, monkeypatch):
    makers = {"nli": create, "likelihood": lambda *_: create("coverage")}  # the embedded model is not needed for it
    monkeypatch.setattr("halueval.checking.create", lambda name, options: makers[name](name, options))
    model = save_pairs(tmp_path / "head", SAYS_NOTHING)
    metric = {"metric": "consistency", "scorer": "nli", "scorer_options": {"model": str(model)}}
    changes = {**TASK, "metric_list": [metric, "rougeL"]}
    task = write_task(tmp_path, rows=ROWS, **changes)
    backend = FakeBackend(lambda prompt: f"{prompt.split()[0]} went home.")
    found = run_fake(task, tmp_path / "out", backend)[0]
    figure = found.record["metrics"]["consistency"]
    assert (figure["value"], figure["n_scored"], figure["n_unscored"]) == (None, 0, 3)
    ((reason, count),) = figure["unscored_reasons"].items()
    assert count == 3
    assert reason.startswith("model head: its configuration calls its outputs LABEL_0, LABEL_1, LABEL_2")
    assert reason.endswith(f"`{EXAMPLE}`")
    assert found.record["metrics"]["rougeL"]["value"] == 1
    assert f"{reason} (3)" in footer(found)
    prepared(write_task(tmp_path, rows=ROWS, **changes | {"task": "others"}), RunSettings(output=tmp_path / "out"))
    assert caplog.text.count(f"figure consistency will have no value: {reason}") == 1


@pytest.fixture
def annotated(tmp_path):
    """A set of eight rows; the arguments that name it."""
    rows = [{"text": f"town {i} has a river", "claim": f"town {i}", "label": i % 2} for i in range(8)]
    (tmp_path / "tiny.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    (tmp_path / "tiny.yaml").write_text(yaml.safe_dump(TINY_SET))
    return ("--on", tmp_path / "tiny.yaml", "--data-dir", tmp_path, "--n-resamples", 100)


def test_validate_scorer_goes_on_with_the_others_and_counts_the_rows(tmp_path, invoke, annotated):
    model = save_pairs(tmp_path / "head", SAYS_NOTHING)
    given = ("validate-scorer", "nli", "coverage", "--option", f"nli:model={model}", *annotated)
    done = invoke(*given, "--scores", tmp_path / "kept", "--json", tmp_path / "a.json")
    assert done.returncode == 0
    record = json.loads((tmp_path / "a.json").read_text())
    assert (record["coverage"]["tiny"]["n"], record["coverage"]["tiny"]["n_unscored"]) == (8, 0)
    entry = record["nli"]["tiny"]
    assert (entry["n"], entry["n_unscored"], entry["roc_auc"]["value"]) == (0, 8, None)
    ((reason, count),) = entry["unscored_reasons"].items()
    assert count == 8
    assert "0 (+8 unscored)" in done.stdout
    assert f"8 rows unscored: {reason}" in " ".join(done.stdout.split())
    assert done.stderr.count(reason) == 1
    assert done.stderr.index(f"nli will score no row: {reason}") < done.stderr.index("nli on tiny")


@pytest.mark.parametrize(
    ("option", "said"),
    [
        ("nli:model=nowhere", "unknown model 'nowhere'"),
        ("nli:device=cpu", "consistency scorer 'nli' needs a model"),
        ("nli:model={model}", "`labels` names 2"),
    ],
)
def test_what_is_not_there_is_told_before_any_progress(tmp_path, invoke, annotated, option, said):
    model = save_pairs(tmp_path / "head", SAYS_NOTHING)
    options = ("--option", option.format(model=model), "--option", "nli:labels=entailment,neutral")
    done = invoke("validate-scorer", "coverage", "nli", *options, *annotated, "--json", tmp_path / "a.json")
    assert done.returncode == 2
    assert said in done.stderr.splitlines()[-1]
    assert " on tiny" not in done.stderr
    assert not (tmp_path / "a.json").exists()
