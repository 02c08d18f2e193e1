"""Lookup of tasks, groups and models; includes; the task hash; and the commands built on them."""

from __future__ import annotations

import hashlib
import importlib
import json
import os
import subprocess
import sys
import zipfile
from collections.abc import Callable
from pathlib import Path

import pytest
from click.testing import CliRunner

from halueval import registry as registry_module
from halueval.cli.models import models
from halueval.cli.pull import human_bytes, pull, shown_progress
from halueval.config import ModelSpec, build
from halueval.errors import ConfigError, SourceError, UsageError
from halueval.registry import Registry, task_hash

# The command has the name of its module, so the module is asked for by name.
pull_module = importlib.import_module("halueval.cli.pull")

TASK = "task: {name}\noutput_type: generate_until\ndoc_to_text: '{text}'\n"

Write = Callable[..., Path]


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A working directory, with a packaged directory of our own beside it."""
    here = tmp_path / "here"
    here.mkdir()
    monkeypatch.chdir(here)
    monkeypatch.setattr(registry_module, "packaged_directory", lambda kind: tmp_path / "packaged" / kind)
    monkeypatch.setenv("HALUEVAL_CACHE", str(tmp_path / "cache"))
    return tmp_path


@pytest.fixture
def write(place: Path) -> Write:
    def writer(path: str, text: str | None = None, *, name: str = "", q: str = "Q") -> Path:
        file = place / path
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(TASK.format(name=name or file.stem, text=q) if text is None else text, encoding="utf-8")
        return file

    return writer


# Lookup


def test_a_name_found_earlier_hides_the_same_name_found_later(place: Path, write: Write) -> None:
    write("packaged/tasks/a.yaml", q="packaged")
    write("packaged/tasks/b.yaml", q="packaged")
    write("here/tasks/deep/a.yaml", q="working directory")
    write("mine/a.yaml", q="include path")
    assert Registry().task("a").doc_to_text == "working directory"
    assert Registry().task("b").doc_to_text == "packaged"
    registry = Registry([place / "mine"])
    assert registry.task("a").doc_to_text == "include path"
    assert [(h.name, h.path.parent.name) for h in registry.list_tasks()] == [("a", "mine"), ("b", "tasks")]


def test_one_name_twice_in_one_directory_is_refused_naming_both_files(write: Write) -> None:
    write("here/tasks/x.yaml", name="same")
    write("here/tasks/y.yaml", name="same")
    for ask in (lambda: Registry().task("same"), lambda: Registry().list_tasks()):
        with pytest.raises(ConfigError, match=r"x\.yaml and .*y\.yaml both define 'same'"):
            ask()


def test_an_unknown_task_is_answered_with_the_nearest(write: Write) -> None:
    write("here/tasks/truthfulqa_mc1.yaml")
    with pytest.raises(UsageError, match="unknown task 'truthfulqa_mc'; did you mean 'truthfulqa_mc1'"):
        Registry().task("truthfulqa_mc")
    with pytest.raises(UsageError, match="no such file"):
        Registry().task("tasks/none.yaml")
    with pytest.raises(UsageError, match="--include-path"):
        Registry([Path("nowhere")])


def test_a_listing_survives_broken_files_and_says_what_is_wrong(write: Write) -> None:
    write(
        "here/tasks/good.yaml",
        TASK.format(name="good", text="Q") + "tag: [t]\nlanguage: zh\nabout: |\n  two\n  lines\n",
    )
    write("here/tasks/broken.yaml", "task: [\n")
    write("here/tasks/template.yaml", "doc_to_text: included by others\n")
    write("here/tasks/coded.yaml", "task: coded\nprocess_docs: !function utils.run\n")
    headers = {h.name: h for h in Registry().list_tasks()}
    assert set(headers) == {"good", "broken", "coded"}
    assert (headers["good"].about, headers["good"].language, headers["good"].tags) == ("two lines", "zh", ("t",))
    assert "not YAML" in (headers["broken"].problem or "")
    with pytest.raises(ConfigError, match=r"coded\.yaml: line 2: !function"):
        Registry().task("coded")


# Groups, tags, lists


def test_expand_takes_lists_groups_tags_and_paths_once_each_in_order(write: Write) -> None:
    for name in "abc":
        write(f"here/tasks/{name}.yaml", TASK.format(name=name, text=name) + "tag: [letters]\n")
    path = write("elsewhere/d.yaml")
    write("here/tasks/core.yaml", "group: core\ntask: [c, inner]\nlimit: 50\n")
    write("here/tasks/inner.yaml", "group: inner\ntask: [a]\nlimit: 7\n")
    registry = Registry()

    def names(*given: str) -> list[tuple[str, int | None]]:
        return [(spec.task, limit) for spec, limit in registry.expand(given)]

    assert names("core") == [("c", 50), ("a", 7)]
    assert names("b, core", "a") == [("b", None), ("c", 50), ("a", 7)]
    assert names("letters") == [("a", None), ("b", None), ("c", None)]
    assert names(str(path), "a,a") == [("d", None), ("a", None)]
    assert names(str(Path("tasks/core.yaml"))) == [("c", 50), ("a", 7)]
    assert [group.name for group in registry.list_groups()] == ["core", "inner"]
    with pytest.raises(UsageError, match="is a group"):
        registry.task("core")
    with pytest.raises(UsageError, match="beside a comma"):
        registry.expand(["a,,b"])


def test_groups_that_hold_one_another_are_refused(write: Write) -> None:
    write("here/tasks/g.yaml", "group: g\ntask: [h]\n")
    write("here/tasks/h.yaml", "group: h\ntask: [g]\n")
    with pytest.raises(ConfigError, match="g → h → g"):
        Registry().expand(["g"])


def test_two_different_tasks_of_one_name_are_not_silently_one(write: Write) -> None:
    write("here/tasks/a.yaml", q="one")
    other = write("elsewhere/a.yaml", q="two")
    with pytest.raises(UsageError, match="different tasks of one name, 'a'"):
        Registry().expand(["a", str(other)])


# Includes


def test_the_including_file_wins_key_by_key(write: Write) -> None:
    write("here/tasks/_base.yaml", "output_type: multiple_choice\ndoc_to_text: base\nmetadata: {version: 1, x: 2}\n")
    write("here/tasks/parts/_more.yaml", "include: ../_base.yaml\ndoc_to_text: more\nnum_fewshot: 3\n")
    file = write("here/tasks/t.yaml", "task: t\ninclude: parts/_more.yaml\nmetadata: {version: 5}\nnum_fewshot: null\n")
    spec = Registry().task("t")
    assert (spec.output_type, spec.doc_to_text, spec.num_fewshot) == ("multiple_choice", "more", 0)
    assert spec.metadata == {"version": 5}, "shallow: a mapping is replaced whole"
    assert spec.path == file.resolve()
    assert spec.directory == file.resolve().parent


def test_code_in_an_included_file_matters_only_when_it_survives(write: Write) -> None:
    write("here/tasks/_base.yaml", "output_type: generate_until\ndoc_to_text: !function utils.text\n")
    write("here/tasks/ok.yaml", "task: ok\ninclude: _base.yaml\ndoc_to_text: mine\n")
    write("here/tasks/bad.yaml", "task: bad\ninclude: _base.yaml\n")
    assert Registry().task("ok").doc_to_text == "mine"
    with pytest.raises(ConfigError, match=r"_base\.yaml: line 2: doc_to_text: !function would run Python"):
        Registry().task("bad")


def test_code_deep_inside_an_included_value_is_refused_too(write: Write) -> None:
    write("here/tasks/_base.yaml", "output_type: generate_until\nmetric_list:\n- metric: !function utils.f\n")
    write("here/tasks/bad.yaml", "task: bad\ninclude: _base.yaml\n")
    with pytest.raises(ConfigError, match="metric_list: !function would run Python"):
        Registry().task("bad")


def test_an_error_in_an_included_key_names_the_included_file(write: Write) -> None:
    write("here/tasks/_base.yaml", "output_type: generate_until\n\ndoc_to_txt: x\n")
    write("here/tasks/t.yaml", "task: t\ninclude: _base.yaml\n")
    with pytest.raises(ConfigError, match=r"_base\.yaml: line 3: unknown key 'doc_to_txt'; did you mean 'doc_to_text'"):
        Registry().task("t")


def test_cycles_and_endless_chains_are_refused(write: Write) -> None:
    write("here/tasks/a.yaml", "task: a\ninclude: b.yaml\n")
    write("here/tasks/b.yaml", "include: a.yaml\n")
    with pytest.raises(ConfigError, match="includes itself"):
        Registry().task("a")
    for number in range(9):
        write(f"here/long/{number}.yaml", f"task: t\noutput_type: generate_until\ninclude: {number + 1}.yaml\n")
    write("here/long/9.yaml", "doc_to_text: end\n")
    with pytest.raises(ConfigError, match="more than 8 files"):
        Registry().task("long/0.yaml")
    assert Registry().task("long/2.yaml").doc_to_text == "end"


@pytest.mark.parametrize("entry", ["5", "{path: x}", "{source: x, sha256: abc}", "hub:a/b", "pypi:a==1#dir/"])
def test_a_malformed_include_names_file_and_line(write: Write, entry: str) -> None:
    write("here/tasks/t.yaml", f"task: t\ninclude: {entry}\n")
    with pytest.raises(ConfigError, match=r"t\.yaml: line 2: include"):
        Registry().task("t")


def wheel_with_tasks(place: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """A wheel as lm-eval's: a task that another of the same wheel includes. Returns its digest."""
    index = place / "index"
    index.mkdir()
    wheel = index / "tiny_tasks-1.0-py3-none-any.whl"
    content = {
        "tiny_tasks/t/mc1.yaml": "tag: theirs\ntask: mc1\noutput_type: multiple_choice\ndoc_to_text: PRIMER\n"
        "dataset_path: org/data\nvalidation_split: validation\n",
        "tiny_tasks/t/mc2.yaml": "include: mc1.yaml\ntask: mc2\nprocess_results: !function utils.mc2\n",
        "tiny_tasks-1.0.dist-info/METADATA": "Metadata-Version: 2.1\nName: tiny-tasks\nVersion: 1.0\n",
        "tiny_tasks-1.0.dist-info/WHEEL": "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n",
        "tiny_tasks-1.0.dist-info/RECORD": "",
    }
    with zipfile.ZipFile(wheel, "w") as archive:
        for path, text in content.items():
            archive.writestr(path, text)
    for name in list(os.environ):
        if name.startswith("PIP_") or name in {"HF_HUB_OFFLINE", "HALUEVAL_OFFLINE"}:
            monkeypatch.delenv(name)
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setenv("PIP_FIND_LINKS", str(index))
    return hashlib.sha256(wheel.read_bytes()).hexdigest()


def test_a_published_task_is_included_from_its_wheel(
    place: Path, write: Write, monkeypatch: pytest.MonkeyPatch
) -> None:
    digest = wheel_with_tasks(place, monkeypatch)
    source = "pypi:tiny-tasks==1.0#tiny_tasks/t/mc2.yaml"
    text = f"task: ours\ninclude: {{source: '{source}', sha256: {digest}}}\nprocess_results: null\n"
    write("here/tasks/ours.yaml", text)
    spec = Registry().task("ours")
    # mc2 includes mc1 by a relative name: it is taken from the same wheel.
    assert (spec.doc_to_text, spec.dataset_path, spec.split) == ("PRIMER", "org/data", "validation")
    assert (spec.task, spec.tag) == ("ours", []), "the wheel's own name and tags do not leak"
    # Left in, the code is refused, and a wrong digest is too.
    write("here/tasks/ours.yaml", text.replace("process_results: null\n", ""))
    with pytest.raises(ConfigError, match="process_results: !function would run Python"):
        Registry().task("ours")
    write("here/tasks/ours.yaml", text.replace(digest, "a" * 64))
    with pytest.raises(SourceError, match="wrong digest"):
        Registry().task("ours")


def test_a_relative_source_of_an_included_file_starts_from_that_file(write: Write, place: Path) -> None:
    write("here/tasks/parts/rows.jsonl", "{}")
    write("here/tasks/parts/_base.yaml", "output_type: generate_until\nsource: [rows.jsonl, hub:a/b]\n")
    write("here/tasks/t.yaml", "task: t\ninclude: parts/_base.yaml\n")
    first, second = Registry().task("t").source
    assert Path(first.source) == (place / "here/tasks/parts/rows.jsonl").resolve()
    assert second.source == "hub:a/b"


# The task hash


def test_the_task_hash_follows_prompts_and_scores_only(write: Write) -> None:
    base = TASK.format(name="t", text="Q")

    def hashed(extra: str) -> str:
        write("here/tasks/t.yaml", base + extra)
        return task_hash(Registry().task("t"))

    plain = hashed("")
    for same in (
        "about: x\nlicense: MIT\ntag: y\n",
        "source: rows.jsonl\n",
        "num_fewshot: 0\n",
        "metadata: {note: x}\n",
    ):
        assert hashed(same) == plain
    changed = [
        hashed(s)
        for s in ("num_fewshot: 1\n", "metadata: {version: 2}\n", "language: zh\n", "metric_list: [exact_match]\n")
    ]
    assert len({plain, *changed}) == 5


# Models


def test_models_are_cards_then_paths_then_hub_ids(place: Path, write: Write) -> None:
    write("here/models/m.yaml", "name: m\nsource: hub:org/m\narchitecture: causal\n")
    (place / "here/runs/ft/checkpoint-500").mkdir(parents=True)
    (place / "here/my model").mkdir()
    (place / "here/a.Q4.gguf").write_bytes(b"")
    registry = Registry()
    assert registry.model("m").architecture == "causal"
    assert registry.model("models/m.yaml").name == "m"
    checkpoint = registry.model("runs/ft/checkpoint-500")
    assert (checkpoint.name, checkpoint.source[0].source) == ("ft-checkpoint-500", "runs/ft/checkpoint-500")
    assert registry.model("my model").name == "my-model"
    assert registry.model("a.Q4.gguf").name == "a.Q4"
    assert registry.model(".").name == "here"
    hub = registry.model("org/name")
    assert (hub.name, hub.source[0].source, hub.path) == ("org--name", "hub:org/name", None)
    with pytest.raises(UsageError, match="unknown model 'n'"):
        registry.model("n")
    write("here/weights.bin", "")
    with pytest.raises(UsageError, match="neither a model directory nor"):
        registry.model("weights.bin")


def test_digest_and_revision_of_a_card_belong_to_its_one_source() -> None:
    card = build(ModelSpec, {"name": "m", "source": "m.gguf", "sha256": "0" * 64, "revision": "v1"}, None)
    assert (card.source[0].sha256, card.source[0].revision) == ("0" * 64, "v1")
    with pytest.raises(ConfigError, match="sha256 beside several sources"):
        build(ModelSpec, {"name": "m", "source": ["a", "b"], "sha256": "0" * 64}, Path("m.yaml"))


# Commands


def test_models_ls_prints_tab_separated_lines_and_json(place: Path, write: Write) -> None:
    write("here/models/m.yaml", "name: m\nsource: hub:org/m\nnum_parameters: 1711376384\nbase: b\nlicense: MIT\n")
    runner = CliRunner()
    assert runner.invoke(models, ["ls"]).output.splitlines() == [
        "name\tarchitecture\tparameters\tbase\tlicense",
        "m\t\t1.7B\tb\tMIT",
    ]
    (row,) = json.loads(runner.invoke(models, ["ls", "--json"]).output)
    assert (row["name"], row["source"], row["num_parameters"]) == ("m", ["hub:org/m"], 1711376384)
    shown = json.loads(runner.invoke(models, ["show", "m", "--json"]).output)
    assert shown["source"] == [{"source": "hub:org/m"}]


@pytest.mark.parametrize(
    ("text", "line"),
    [
        ("name: x\nsource: hub:org/x\nlicence: MIT\n", "line 3: unknown key 'licence'; did you mean 'license'"),
        ("name: x\nsource: pypi:x\n", "line 2: source 'pypi:x': write pypi:PACKAGE==VERSION#FILE-IN-WHEEL"),
        ("name: x\nsource: x\nbase: y\n", "line 3: base: no card is called 'y'"),
        ("name: x\n", "needs the key 'source'"),
        ("name: ../x\nsource: x\n", "line 1: name"),
    ],
)
def test_models_validate_exits_1_with_the_line(write: Write, text: str, line: str) -> None:
    path = write("here/x.yaml", text)
    result = CliRunner().invoke(models, ["validate", str(path)])
    assert result.exit_code == 1
    assert line in result.stderr
    assert result.stderr.count("\n") == 1


def test_models_validate_accepts_a_good_card(write: Write) -> None:
    path = write("here/x.yaml", "name: x\nsource: hub:org/x\n")
    result = CliRunner().invoke(models, ["validate", str(path)])
    assert (result.exit_code, result.output) == (0, f"{path}: valid model card x\n")


def test_pull_says_what_is_where_and_what_was_there_already(
    place: Path, write: Write, monkeypatch: pytest.MonkeyPatch
) -> None:
    digest = wheel_with_tasks(place, monkeypatch)
    write(
        "here/models/m.yaml",
        f"name: m\nsource: {{source: 'pypi:tiny-tasks==1.0#tiny_tasks/t/mc2.yaml', sha256: {digest}}}\n",
    )
    write("here/tasks/t.yaml", TASK.format(name="t", text="Q") + "source: rows.jsonl\n")
    write("here/tasks/rows.jsonl", '{"a": 1}\n')
    first, second = (CliRunner().invoke(pull, ["m,t", "--quiet"]).output.splitlines() for _ in range(2))
    assert first[0].endswith("mc2.yaml  65 bytes")
    assert second[0].endswith("mc2.yaml  65 bytes  already there")
    assert first[1].endswith("rows.jsonl  9 bytes  already there")


def test_pull_fetches_what_it_can_and_fails_for_the_rest(write: Write) -> None:
    write("here/tasks/bad.yaml", TASK.format(name="bad", text="Q") + "source: none.jsonl\n")
    write("here/tasks/good.yaml", TASK.format(name="good", text="Q") + "source: rows.jsonl\n")
    write("here/tasks/rows.jsonl", "{}\n")
    result = CliRunner().invoke(pull, ["bad", "good", "--quiet"])
    assert isinstance(result.exception, SourceError)
    assert result.exception.exit_code == 2
    assert "none.jsonl" in str(result.exception)
    assert result.stdout.startswith("good  ")
    result = CliRunner().invoke(pull, ["god"])
    assert "no model, task or group is called 'god'; did you mean 'good'" in str(result.exception)


def test_pull_brings_what_checks_summaries_with_their_task(
    place: Path, write: Write, monkeypatch: pytest.MonkeyPatch
) -> None:
    from halueval.consistency import encoder, language_model
    from halueval.source import Wanted

    (place / "encoder").mkdir()
    (place / "encoder" / "weights").write_text("12345")
    monkeypatch.setattr(encoder, "SOURCES", (Wanted(str(place / "encoder")),))
    monkeypatch.setattr(language_model, "DEFAULT_MODEL", "lm")
    write("here/models/lm.yaml", f"name: lm\nsource: '{place / 'encoder'}'\n")
    text = TASK.format(name="s", text="Q") + "kind: summarization\ndoc_to_source: Q\nsource: rows.jsonl\n"
    write("here/tasks/s.yaml", text)
    write("here/tasks/rows.jsonl", "{}\n")
    result = CliRunner().invoke(pull, ["s", "--quiet"])
    assert [line.split()[0] for line in result.stdout.splitlines()] == ["s", "all-MiniLM-L6-v2", "lm"]
    alone = CliRunner().invoke(pull, ["all-minilm-l6-v2", "--quiet"])
    assert alone.stdout == f"all-MiniLM-L6-v2  {place / 'encoder'}  5 bytes  already there\n"


def test_sizes_are_written_for_people() -> None:
    assert [human_bytes(n) for n in (0, 999, 98_360_000, 2_000_000_000)] == [
        "0 bytes",
        "999 bytes",
        "98.4 MB",
        "2.0 GB",
    ]


def test_a_listing_imports_neither_pydantic_nor_torch() -> None:
    # What makes `halueval tasks ls` slow is imports; a time limit alone would pass or fail by the machine.
    code = (
        "import sys\n"
        "from halueval.registry import Registry\n"
        "r = Registry(); r.list_tasks(); r.list_groups(); assert r.list_models()\n"
        "print(sorted({'torch', 'transformers', 'pydantic', 'datasets', 'numpy', 'rich'} & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_progress_without_a_terminal_is_a_line_now_and_then(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    clock = iter([0.0, 1.0, 5.0, 6.0])
    monkeypatch.setattr(pull_module.time, "monotonic", lambda: next(clock))
    with shown_progress() as progress:
        assert progress is not None
        for done in (1_000_000, 5_000_000, 6_000_000):
            progress("m", done, None)
    assert capsys.readouterr().err == "m: 5.0 MB\n"
    with shown_progress(quiet=True) as progress:
        assert progress is None
