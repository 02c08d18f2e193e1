"""`halueval explain` from end to end: on planted runs without models, on small models with them, and on bad input."""

from __future__ import annotations

import hashlib
import json
import re

import planted
import pytest
from runs import write_task
from small_models import save_adapter, save_bert, save_causal

import halueval
from halueval.explaining.training import read_training
from halueval.explanation import Settings, explain
from halueval.schema import canonical_json

FAST = ("--n-permutations", 19)
HOSTILE = ("<script>alert(1)</script>", "'><img src=x onerror=alert(1)>", "| [x](http://evil) `a`", "\ud800 half")


@pytest.fixture(scope="module")
def runs(tmp_path_factory):
    return planted.planted_runs(tmp_path_factory)


@pytest.fixture
def train(tmp_path):
    """Facts 100 to 149 of the task, under the relation that it calls south."""
    file = tmp_path / "train.jsonl"
    rows = [
        {"prompt": f"Q: What is the capital of C{i}?\nA:", "completion": f" K{i}\n", "relation": "south"}
        for i in range(100, 150)
    ]
    file.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return file


def test_planted_runs_without_models(invoke, runs, train):
    arguments = ("explain", runs["base"].path, runs["planted"].path, "--train-data", train, "--no-models", *FAST)
    done = invoke(*arguments, "--json", "-", "-q")
    assert done.returncode == 0
    record = json.loads(done.stdout)
    task = record["tasks"]["capitals"]
    assert task["induced_rate"]["count"] == 12
    assert task["overlap"]["exact"]["value"] == 0.25
    seen, relations = task["generalisation"]
    assert {name: group["n"] for name, group in seen["groups"].items()} == {"unseen": 150, "seen": 50}
    # All 12 induced errors are in the north, none of them seen: 12 of 100 sound ones unseen against 0 of 50.
    assert seen["induced_difference"]["value"] == pytest.approx(0.12)
    assert {name: group["n"] for name, group in relations["groups"].items()} == {
        "other relations": 100,
        "same relation": 50,
    }
    assert task["distribution"]["nll_whole_task"]["reason"] == "left out (--no-models)"
    assert record["weights"]["reason"] == "left out (--no-models)"
    assert record["behaviour"]["kl"]["value"] is None
    told = invoke(*arguments).stdout
    assert "25.0 % [" in told
    assert "of its questions are in the training data" in told
    assert "not measured" in told


def test_words_are_no_stronger_than_the_evidence(invoke, runs, train):
    for form in ("--markdown", "--html", "--json"):
        done = invoke(
            "explain", runs["base"].path, runs["planted"].path, "--train-data", train, "--no-models", *FAST, form, "-"
        )
        text = done.stdout.lower()
        assert "shows what goes together" in text
        assert not re.search(r"caused by|because of|due to|is responsible|proves", text)


def test_without_training_data_every_gap_has_its_reason(runs):
    record = explain(runs["base"].path, runs["slight"].path, settings=Settings(models=False)).record
    task = record["tasks"]["capitals"]
    for measure in (*task["distribution"].values(), *task["overlap"].values()):
        assert measure["value"] is None
        assert measure["reason"] == "no training data; name it with --train-data"
    assert any("nothing to explain" in line for line in task["statements"])


@pytest.mark.parametrize(
    ("content", "said"),
    [
        ("", "is empty"),
        ('{"prompt": "a", "completion": "b"}\n{"prompt": \n', "row 2 (line 2): not JSON"),
        ('{"prompt": "a", "completion": "b"}\n\n[1]\n', "row 2 (line 3): holds a list"),
        ('{"question": "a"}\n', "row 1: needs the columns prompt and completion, or text; the row has question"),
        ('{"prompt": 3, "completion": "b"}\n', "row 1: prompt is a int; it must be text"),
    ],
)
def test_bad_training_data_is_one_line(invoke, runs, tmp_path, content, said):
    file = tmp_path / "bad.jsonl"
    file.write_text(content)
    page = tmp_path / "page.html"
    done = invoke("explain", runs["base"].path, runs["planted"].path, "--train-data", file, "--html", page)
    assert done.returncode == 2
    assert len(done.stderr.splitlines()) == 1
    assert said in done.stderr
    assert not page.exists()


def test_other_bad_input_is_one_line(invoke, runs, tmp_path):
    planted.facts_task(tmp_path / "other", n=10, task="other")
    other = planted.run_of(tmp_path / "other" / "other.yaml", tmp_path / "out")
    done = invoke("explain", runs["base"].path, other.path)
    assert (done.returncode, len(done.stderr.splitlines())) == (2, 1)
    assert "no task in common" in done.stderr
    done = invoke("explain", runs["base"].path, runs["planted"].path, "--json", "-", "--html", "-")
    assert done.returncode == 2
    assert "both go to standard output" in done.stderr
    done = invoke("explain", runs["base"].path, runs["planted"].path, "--neutral", tmp_path / "none.jsonl")
    assert (done.returncode, "no such file" in done.stderr) == (2, True)


@pytest.fixture(scope="module")
def world(tmp_path_factory):
    """Two small models, an adapter, their runs, training data and general text."""
    root = tmp_path_factory.mktemp("world")
    task = write_task(root)
    base, tuned = save_causal(root / "base"), save_causal(root / "tuned", seed=1)
    adapter = save_adapter(base, root / "lora", trained=True)
    rows = [{"prompt": "Q: What is the capital of Peru?\nA:", "completion": " Lima"}, {"text": "yes no maybe"}] * 3
    (root / "train.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    (root / "neutral.jsonl").write_text(
        "".join(json.dumps({"text": f"{i} people came on 4 June"}) + "\n" for i in range(5))
    )
    common = {"device": "cpu", "dtype": "float32", "output": root / "out"}
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("HALUEVAL_CACHE", str(root / "cache"))
        first, second = (halueval.run(str(model), str(task), **common)[0] for model in (base, tuned))
        third = halueval.run(str(base), str(task), adapter=adapter, **common)[0]
    return {"root": root, "base": first, "tuned": second, "lora": third, "encoder": save_bert(root / "encoder")}


def measured(world, monkeypatch, candidate, **options):
    from halueval.consistency import encoder
    from halueval.source import Wanted

    monkeypatch.setattr(encoder, "SOURCES", (Wanted(str(world["encoder"])),))
    options = {"neutral": world["root"] / "neutral.jsonl", "n_permutations": 19, "device": "cpu", **options}
    return explain(world["base"].path, world[candidate].path, settings=Settings(**options))


def test_everything_is_measured_on_models(world, monkeypatch):
    made = measured(world, monkeypatch, "tuned", train_data=world["root"] / "train.jsonl")
    record = made.record
    task = record["tasks"]["capitals"]
    assert [key for key, m in task["distribution"].items() if m["value"] is None] == []
    assert record["weights"]["relative_change"] > 0.5
    assert record["behaviour"]["kl"]["value"] > 0
    assert record["behaviour"]["bits_per_byte_change"]["n"] == 5
    assert record["settings"]["n_tests"] > 0
    page = made.to_html()
    assert "<script" not in page
    assert " style=" not in page
    assert page.count("<svg") >= 3
    style = re.search(r"<style>(.*?)</style>", page, re.DOTALL)[1]
    import base64

    assert base64.b64encode(hashlib.sha256(style.encode()).digest()).decode() in page
    assert "http://" not in page
    assert "https://" not in page
    json.dumps(record, allow_nan=False)


def test_an_adapter_is_named_and_measured(world, monkeypatch):
    lost = measured(world, monkeypatch, "lora").record
    assert "--candidate-adapter" in lost["weights"]["reason"]
    found = measured(
        world,
        monkeypatch,
        "lora",
        candidate_adapter=world["root"] / "lora",
        candidate_model=str(world["root"] / "base"),
    )
    assert 0 < found.record["weights"]["relative_change"] < 5
    moved = {g["kind"] for g in found.record["weights"]["groups"] if g["relative_change"]}
    assert moved == {"attention"}


def test_weights_other_than_the_runs_are_refused(world, invoke):
    done = invoke("explain", world["base"].path, world["tuned"].path, "--candidate-model", world["root"] / "base")
    assert (done.returncode, len(done.stderr.splitlines())) == (2, 1)
    assert "are not those of the run" in done.stderr


def test_data_beside_the_weights_is_taken_if_its_digest_is_right(world, monkeypatch):
    tuned = world["root"] / "tuned"
    rows = [{"prompt": "Q: a?\nA:", "completion": " b", "relation": "r"}]
    (tuned / "train.jsonl").write_text(json.dumps(rows[0]) + "\n")
    digest = hashlib.sha256(canonical_json(rows[0]).encode() + b"\n").hexdigest()
    assert read_training(tuned / "train.jsonl").sha256 == digest
    try:
        (tuned / "finetune.json").write_text(json.dumps({"data_sha256": digest}))
        info = measured(world, monkeypatch, "tuned").record["training"]
        assert (info["n"], info["found"]) == (1, "beside the candidate's weights")
        (tuned / "finetune.json").write_text(json.dumps({"data_sha256": "0" * 64}))
        info = measured(world, monkeypatch, "tuned").record["training"]
        assert info["path"] is None
        assert "is not the data" in info["reason"]
    finally:
        (tuned / "train.jsonl").unlink()
        (tuned / "finetune.json").unlink()


def test_texts_of_others_cannot_break_out(runs, tmp_path):
    bad = planted.run_of(runs["task"], tmp_path, wrong=range(150, 200), weights="h", name="<b>h|x")
    file = tmp_path / "t.jsonl"
    file.write_text(
        "".join(
            json.dumps({"prompt": text, "completion": "x", "relation": text}) + "\n" for text in HOSTILE if text.strip()
        )
    )
    made = explain(runs["base"].path, bad.path, settings=Settings(train_data=file, models=False, n_permutations=19))
    for text in (made.to_html(), made.to_markdown()):
        assert "<b>h" not in text
        assert "<script" not in text
