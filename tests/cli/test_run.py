"""`halueval run` as a process, with a small causal model: results, resumption after a kill, bad input."""

import csv
import json
import os
import signal
import subprocess
import sys
import time

import pytest
from runs import CAPITALS, write_task


def command(*arguments):
    return [sys.executable, "-m", "halueval", *map(str, arguments)]


def halueval(*arguments, **options):
    return subprocess.run(command(*arguments), capture_output=True, text=True, check=False, **options)


def told(done, *parts):
    """One clear line on standard error, exit 2, and nothing written to `out`."""
    assert done.returncode == 2, done.stderr
    lines = done.stderr.splitlines()
    assert len(lines) == 1, done.stderr
    for part in parts:
        assert part in lines[0]


def test_a_run_prints_its_table_and_path_and_the_same_command_finds_it(models, tmp_path):
    task = write_task(tmp_path)
    arguments = ["run", "-m", models("causal"), "-t", task, "-o", tmp_path / "out"]
    done = halueval(*arguments)
    assert done.returncode == 0, done.stderr
    assert "exact_match" in done.stdout
    assert "95 % CI" in done.stdout
    (run,) = (tmp_path / "out").glob("causal/capitals/*/run.json")
    assert str(run.parent) in done.stdout
    assert "capitals" in done.stderr  # progress
    again = halueval(*arguments, "--quiet", "--json")
    assert again.stderr == ""
    (record,) = json.loads(again.stdout)
    assert record == json.loads(run.read_text())


def test_killed_at_any_moment_and_started_again_gives_the_same_samples(models, tmp_path):
    rows = [{"country": f"{c} {i}", "capital": k} for c, k in CAPITALS.items() for i in range(20)]
    task = write_task(tmp_path, rows=rows, generation_kwargs={"max_gen_toks": 40, "until": ["\x00"]})

    def arguments(out):
        return ["run", "-m", models("causal"), "-t", task, "--max-tokens-per-batch", 64, "-o", tmp_path / out]

    assert halueval(*arguments("whole")).returncode == 0
    for lines in (2, 12):
        process = subprocess.Popen(command(*arguments("out")), stderr=subprocess.DEVNULL, stdout=subprocess.DEVNULL)
        deadline = time.monotonic() + 120
        while process.poll() is None and time.monotonic() < deadline:
            journals = list((tmp_path / "out").rglob("responses/*.jsonl"))
            if journals and journals[0].read_bytes().count(b"\n") >= lines:
                break
            time.sleep(0.005)
        assert process.poll() is None, "the run was over before it could be killed"
        os.kill(process.pid, signal.SIGKILL)
        process.wait()
        assert not list((tmp_path / "out").rglob("run.json"))
    done = halueval(*arguments("out"))
    assert done.returncode == 0
    assert "answered before" in done.stderr
    (whole,) = (tmp_path / "whole").rglob("samples.jsonl")
    (resumed,) = (tmp_path / "out").rglob("samples.jsonl")
    assert resumed.read_bytes() == whole.read_bytes()


def test_an_interrupt_is_exit_3_and_says_how_to_go_on(models, tmp_path):
    rows = [{"country": f"{c} {i}", "capital": k} for c, k in CAPITALS.items() for i in range(40)]
    task = write_task(tmp_path, rows=rows, generation_kwargs={"max_gen_toks": 60, "until": ["\x00"]})
    process = subprocess.Popen(
        command("run", "-m", models("causal"), "-t", task, "-b", 2, "-o", tmp_path / "out"),
        stderr=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        # A shell that started the tests in the background had them ignore SIGINT; a user's terminal does not.
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
    )
    while not list((tmp_path / "out").rglob("responses/*.jsonl")):
        assert process.poll() is None
        time.sleep(0.01)
    process.send_signal(signal.SIGINT)
    _, stderr = process.communicate(timeout=60)
    assert process.returncode == 3
    assert "the same command goes on" in stderr.splitlines()[-1]


def test_predict_only_then_scoring(invoke, models, tmp_path):
    arguments = ["run", "-m", models("causal"), "-t", write_task(tmp_path), "-o", tmp_path / "out"]
    assert invoke(*arguments, "--predict-only").returncode == 0
    assert not list((tmp_path / "out").rglob("run.json"))
    done = invoke(*arguments)
    assert done.returncode == 0
    assert "requests" not in done.stderr  # nothing was asked


@pytest.mark.parametrize("architecture", ["t5", "bart"])
def test_encoder_decoders_run(invoke, models, tmp_path, architecture):
    done = invoke("run", "-m", models(architecture), "-t", write_task(tmp_path), "-o", tmp_path / "out", "-L", 4)
    assert done.returncode == 0, done.stderr


def test_a_classification_head_runs_a_classification_task(invoke, models, tmp_path):
    task = write_task(
        tmp_path,
        task="reviews",
        kind="classification",
        output_type="multiple_choice",
        doc_to_text="{{country}}",
        doc_to_choice=["negative", "positive"],
        doc_to_target="{{ 1 if capital | length > 5 else 0 }}",
        metric_list=["accuracy"],
        primary_metric="accuracy",
        classifier={"text": "{{country}}", "labels": ["negative", "positive"]},
    )
    done = invoke("run", "-m", models("bert"), "-t", task, "-o", tmp_path / "out", "--json", "-q")
    assert done.returncode == 0, done.stderr
    (record,) = json.loads(done.stdout)
    assert {"accuracy", "balanced_accuracy", "macro_f1"} <= set(record["metrics"])
    assert record["model"]["architecture"] == "classifier"


def bad_task(tmp_path, text):
    path = tmp_path / "bad.yaml"
    path.write_text(text, encoding="utf-8")
    return path


GOOD = "task: bad\noutput_type: generate_until\nsource: d.jsonl\n"


@pytest.mark.parametrize(
    ("text", "parts"),
    [
        (GOOD + "doc_to_txt: x\n", ["bad.yaml", "line 4", "unknown key 'doc_to_txt'; did you mean 'doc_to_text'"]),
        (GOOD + "num_fewshot: many\n", ["line 4", "num_fewshot", "'many'"]),
        (GOOD + "doc_to_text: !!python/object/apply:os.system ['id']\n", ["line 4", "python"]),
        (GOOD + "doc_to_text: !function utils.f\n", ["line 4", "!function", "never"]),
        (GOOD + "metric_list: [exact_mach]\n", ["exact_mach", "did you mean 'exact_match'"]),
        (GOOD + "task: again\n", ["line 4", "'task' stands twice"]),
        ("- a\n- b\n", ["list"]),
        ("task: [\n", ["bad.yaml"]),
        ("output_type: generate_until\n", ["task"]),
    ],
)
def test_bad_task_files(invoke, models, tmp_path, text, parts):
    (tmp_path / "d.jsonl").write_text('{"q": "x"}\n')
    done = invoke("run", "-m", models("causal"), "-t", bad_task(tmp_path, text), "-o", tmp_path / "out")
    told(done, *parts)
    assert not (tmp_path / "out").exists()


def data_files(tmp_path):
    good = [json.dumps({"country": c, "capital": k}) for c, k in CAPITALS.items()] * 2
    broken = [*good[:16], '{"country": "Fra', *good[17:]]
    (tmp_path / "broken.jsonl").write_text("\n".join(broken))
    (tmp_path / "empty.jsonl").write_text("")
    (tmp_path / "latin.jsonl").write_bytes('{"country": "Perú", "capital": "Lima"}\n'.encode("latin-1"))
    with (tmp_path / "column.csv").open("w", newline="") as file:
        csv.writer(file).writerows([["country", "capitol"], ["France", "Paris"]])
    (tmp_path / "data.xlsx").write_bytes(b"PK")


@pytest.mark.parametrize(
    ("name", "parts"),
    [
        ("missing.jsonl", ["missing.jsonl"]),
        ("empty.jsonl", ["empty.jsonl", "empty"]),
        ("latin.jsonl", ["latin.jsonl", "UTF-8"]),
        ("broken.jsonl", ["broken.jsonl", "17"]),
        ("column.csv", ["column.csv", "'capital'", "capitol"]),
        ("data.xlsx", ["data.xlsx"]),
    ],
)
def test_bad_data_files(invoke, models, tmp_path, name, parts):
    task = write_task(tmp_path)
    data_files(tmp_path)
    done = invoke("run", "-m", models("causal"), "-t", task, "--data", tmp_path / name, "-o", tmp_path / "out")
    told(done, *parts)
    assert not (tmp_path / "out").exists()


def test_a_label_outside_the_label_set(invoke, models, tmp_path):
    task = write_task(
        tmp_path,
        output_type="multiple_choice",
        doc_to_choice=["a", "b"],
        doc_to_target="{{capital}}",
        metric_list=["accuracy"],
        primary_metric="accuracy",
    )
    done = invoke("run", "-m", models("causal"), "-t", task, "-o", tmp_path / "out")
    told(done, "Paris", "row 1")
    assert not (tmp_path / "out").exists()


def test_a_source_with_a_wrong_digest(invoke, models, tmp_path):
    task = write_task(tmp_path, source={"source": "capitals.jsonl", "sha256": "0" * 64})
    done = invoke("run", "-m", models("causal"), "-t", task, "-o", tmp_path / "out")
    told(done, "wrong digest", "0" * 64)
    assert not (tmp_path / "out").exists()


def test_bad_models(invoke, models, tmp_path):
    task = write_task(tmp_path)
    pickled = tmp_path / "pickled"
    pickled.mkdir()
    (pickled / "config.json").write_text("{}")
    (pickled / "pytorch_model.bin").write_bytes(b"\x80")
    told(invoke("run", "-m", pickled, "-t", task, "-o", tmp_path / "out"), "pickled", "safetensors")
    told(invoke("run", "-m", tmp_path / "no", "-t", task, "-o", tmp_path / "out"), "no")
    chat = invoke("run", "-m", models("causal"), "-t", task, "-o", tmp_path / "out", "--apply-chat-template")
    told(chat, "has no chat template")
    told(invoke("run", "-m", models("bert"), "-t", task, "-o", tmp_path / "out"), "classifier")
    assert not (tmp_path / "out").exists()


def test_an_output_directory_that_cannot_be_written(invoke, models, tmp_path):
    task = write_task(tmp_path)
    (tmp_path / "file").write_text("x")
    told(invoke("run", "-m", models("causal"), "-t", task, "-o", tmp_path / "file" / "out"), "is a file")
    told(invoke("run", "-m", models("causal"), "-t", task, "-o", "/proc/out"), "cannot write in /proc")
    if os.geteuid() != 0:  # root may write anywhere
        (tmp_path / "locked").mkdir(mode=0o500)
        told(invoke("run", "-m", models("causal"), "-t", task, "-o", tmp_path / "locked" / "out"), "cannot write")
