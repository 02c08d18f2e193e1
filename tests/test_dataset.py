"""Data files, layouts, sources in order of preference, and the digest of the content."""

import hashlib
import json
import logging

import pyarrow
import pyarrow.parquet
import pytest
from hypothesis import given
from hypothesis import strategies as st

from halueval.config import TaskSpec, build
from halueval.datafile import read_rows
from halueval.dataset import load_data, pull_data
from halueval.errors import ConfigError, DataError, SourceError
from halueval.source import DigestError

CARD = {
    "task": "toy",
    "output_type": "generate_until",
    "doc_to_text": "{{question}}",
    "doc_to_target": "{{answer}}",
    "columns": ["question", "answer"],
}
ROWS = [{"question": "q1", "answer": "a1"}, {"question": "q2", "answer": "a2"}]
LAYOUTS = {"published": {"question": "Question Text", "answer": "{{ row['Answers'].split('; ') }}"}}


def card(**extra):
    return build(TaskSpec, {**CARD, **extra}, None)


def write(path, content):
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    return path


def jsonl(path, rows):
    return write(path, "".join(json.dumps(row) + "\n" for row in rows))


CSV = 'question,answer\nq1,a1\n"q2",a2\n'


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("d.json", json.dumps(ROWS)),
        ("d.json", json.dumps(ROWS, indent=2)),
        ("d.json", json.dumps({"version": 1, "data": ROWS})),
        ("d.json", "\n".join(map(json.dumps, ROWS))),  # JSON lines under the wrong name, as HaluEval ships them
        ("d.jsonl", "\n\n".join(map(json.dumps, ROWS))),
        ("d.jsonl", "\ufeff" + "\r\n".join(map(json.dumps, ROWS))),
        ("d.csv", CSV),
        ("d.csv", "\ufeff" + CSV),
        ("d.CSV", CSV.replace("\n", "\r\n")),
        ("d.tsv", CSV.replace(",", "\t")),
    ],
)
def test_every_format_gives_the_same_rows(tmp_path, name, content):
    assert read_rows(write(tmp_path / name, content)) == ROWS


def test_parquet(tmp_path):
    path = tmp_path / "d.parquet"
    pyarrow.parquet.write_table(pyarrow.Table.from_pylist(ROWS), path)
    assert read_rows(path) == ROWS


def test_csv_fields_may_be_long_and_hold_line_breaks(tmp_path):
    text = "line\nbreak " + "x" * 200_000  # longer than the csv module's own limit
    path = write(tmp_path / "d.csv", f'question,answer\n"{text}",a\n')
    assert read_rows(path) == [{"question": text, "answer": "a"}]


def broken(number):
    lines = [json.dumps(ROWS[0])] * 20
    lines[number - 1] = '{"question": "q", "answer": }'
    return "\n".join(lines)


def broken_csv(number):
    lines = ["question,answer"] + ["q,a"] * 20
    lines[number] = "q,a,extra"
    return "\n".join(lines)


@pytest.mark.parametrize(
    ("name", "content", "problem"),
    [
        ("d.jsonl", "", "is empty"),
        ("d.json", " \n", "is empty"),
        ("d.json", "[]", "holds no rows"),
        ("d.csv", "question,answer\n", "holds no rows"),
        ("d.xlsx", "x", "unknown kind of file '.xlsx'; it must be one of .json, .jsonl"),
        ("d.jsonl", b'{"question": "\xff"}', "not UTF-8 at byte 14 (0xff)"),
        ("d.jsonl", broken(17), "row 17 (line 17): not JSON"),
        ("d.jsonl", "\n\n" + broken(17), "row 17 (line 19): not JSON"),
        ("d.json", "[\n" + broken(17).replace("\n", ",\n") + "]", "row 17 (line 18): not JSON"),
        ("d.csv", broken_csv(17), "row 17 (line 18): 3 fields where the header has 2"),
        ("d.csv", "question,question\na,b\n", "'question' stands twice"),
        ("d.jsonl", '{"a": 1}\n[1]\n', "row 2 (line 2): holds a list"),
        ("d.json", '{"a": 1}', "holds a single dict"),
        ("d.json", '{"a": [], "b": []}', "holds lists 'a', 'b'"),
        ("d.json", "[{}] x", "text after the end of the list"),
        ("d.json", "[{} {}]", "expected ',' or ']' after row 1"),
        ("d.jsonl", '{"a": NaN}', "row 1 (line 1): NaN is no JSON number"),
        ("d.jsonl", '{"a": 1e999}', "1e999 is too large"),
        ("d.jsonl", '{"a": 123456789012345678901}', "does not fit 64 bits"),
        ("d.parquet", "no", "not a Parquet file"),
    ],
)
def test_what_is_wrong_with_a_file_is_one_line(tmp_path, name, content, problem):
    with pytest.raises(DataError) as error:
        read_rows(write(tmp_path / name, content))
    assert problem in str(error.value)
    assert str(error.value).startswith(str(tmp_path / name))
    assert "\n" not in str(error.value)


def test_missing_file_and_directory(tmp_path):
    with pytest.raises(DataError, match="no such file"):
        read_rows(tmp_path / "none.jsonl")
    with pytest.raises(DataError, match="is a directory"):
        read_rows(tmp_path)


@given(st.lists(st.dictionaries(st.text(min_size=1, max_size=5), st.text(max_size=20), min_size=1), min_size=1))
def test_json_and_json_lines_agree(tmp_path_factory, rows):
    directory = tmp_path_factory.mktemp("data")
    assert read_rows(write(directory / "d.json", json.dumps(rows))) == rows
    assert read_rows(jsonl(directory / "d.jsonl", rows)) == rows


def test_user_file_with_the_tasks_own_columns(tmp_path):
    rows = [{**row, "extra": 1} for row in ROWS]
    data = load_data(card(layouts=LAYOUTS), base=tmp_path, data_file=jsonl(tmp_path / "d.jsonl", rows))
    # SHA-256 of the two rows as sorted JSON without white space, a line each; `extra` is not in the contract.
    expected = hashlib.sha256(b'{"answer":"a1","question":"q1"}\n{"answer":"a2","question":"q2"}\n').hexdigest()
    assert (data.rows, data.layout, data.sha256) == (ROWS, "canonical", expected)
    assert (data.source, data.revision, data.split) == (str(tmp_path / "d.jsonl"), None, None)


def test_user_file_in_a_layout_of_the_task(tmp_path):
    path = write(tmp_path / "d.csv", "Question Text,Answers\nq1,a; b\n")
    data = load_data(card(layouts=LAYOUTS), base=tmp_path, data_file=path)
    assert data.rows == [{"question": "q1", "answer": ["a", "b"]}]
    assert data.layout == "published"


def test_user_file_without_a_column(tmp_path):
    path = jsonl(tmp_path / "d.jsonl", [{"question": "q", "anwser": "a"}])
    with pytest.raises(DataError) as error:
        load_data(card(layouts=LAYOUTS), base=tmp_path, data_file=path)
    assert str(error.value) == (
        f"toy: {path}: no column 'answer' (the columns are: question, anwser); did you mean 'anwser'?; "
        "other layouts of the task: published (Answers, Question Text)"
    )


def test_column_missing_from_one_row(tmp_path):
    path = jsonl(tmp_path / "d.jsonl", [*ROWS, {"question": "q3"}])
    with pytest.raises(DataError, match=r"row 3: answer: no column 'answer'"):
        load_data(card(), base=tmp_path, data_file=path)


def test_half_a_surrogate_pair(tmp_path):
    path = write(tmp_path / "d.jsonl", '{"question": "\\ud800", "answer": "a"}')
    with pytest.raises(DataError, match="row 1: half of a surrogate pair"):
        load_data(card(), base=tmp_path, data_file=path)


@pytest.mark.parametrize(
    ("extra", "problem"),
    [
        ({"layouts": {"x": {"question": "q"}}}, "layout 'x' does not fill the column 'answer'"),
        ({"layouts": {"x": {"question": "q", "answer": "a", "anser": "b"}}}, "did you mean 'answer'"),
        ({"source": [{"source": "d.jsonl", "layout": "y"}]}, "names the layout 'y', which is not defined"),
    ],
)
def test_layouts_that_do_not_fit_the_card(tmp_path, extra, problem):
    with pytest.raises(ConfigError, match=problem):
        load_data(card(**extra), base=tmp_path)


def test_sources_are_tried_in_order_and_failures_announced(tmp_path, caplog):
    jsonl(tmp_path / "second.jsonl", [{"Question Text": "q", "Answers": "a"}])
    task = card(layouts=LAYOUTS, source=["first.jsonl", {"source": "second.jsonl", "layout": "published"}])
    with caplog.at_level(logging.WARNING, logger="halueval"):
        data = load_data(task, base=tmp_path)
    assert (data.rows, data.source, data.layout) == ([{"question": "q", "answer": ["a"]}], "second.jsonl", "published")
    assert "first.jsonl" in caplog.text
    assert "took second.jsonl instead" in caplog.text


def test_same_content_from_another_source_has_the_same_digest(tmp_path):
    jsonl(tmp_path / "a.jsonl", ROWS)
    write(tmp_path / "b.csv", "answer,question\na1,q1\na2,q2\n")
    first, second = (load_data(card(source=[name]), base=tmp_path) for name in ("a.jsonl", "b.csv"))
    assert first.sha256 == second.sha256
    changed = load_data(card(source=["a.jsonl"]), base=tmp_path, data_file=jsonl(tmp_path / "c.jsonl", ROWS[::-1]))
    assert changed.sha256 != first.sha256


def test_a_wrong_digest_is_not_covered_up_by_the_next_source(tmp_path):
    jsonl(tmp_path / "a.jsonl", ROWS)
    jsonl(tmp_path / "b.jsonl", ROWS)
    task = card(source=[{"source": "a.jsonl", "sha256": "0" * 64}, "b.jsonl"])
    with pytest.raises(DigestError, match="wrong digest"):
        load_data(task, base=tmp_path)


def test_a_broken_file_is_not_covered_up_by_the_next_source(tmp_path):
    write(tmp_path / "a.jsonl", "{")
    jsonl(tmp_path / "b.jsonl", ROWS)
    with pytest.raises(DataError, match="row 1"):
        load_data(card(source=["a.jsonl", "b.jsonl"]), base=tmp_path)


def test_no_source_at_all_says_how_to_give_the_data(tmp_path):
    with pytest.raises(SourceError) as error:
        load_data(card(), base=tmp_path)
    assert (
        str(error.value)
        == "toy: names no source for its data; give a file with --data FILE (columns: question, answer)"
    )


def test_hub_data_set_that_is_not_cached_is_one_line_with_the_command(tmp_path, monkeypatch):
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    monkeypatch.setenv("HF_HOME", str(tmp_path))
    task = card(source=["none.jsonl"], dataset_path="owner/toy", test_split="test")
    with pytest.raises(SourceError) as error:
        load_data(task, base=tmp_path)
    text = str(error.value)
    assert "none.jsonl: no such file" in text
    assert "data set owner/toy is not in the cache (HF_HUB_OFFLINE=1)" in text
    assert "halueval pull toy" in text
    assert "\n" not in text


def test_data_sets_library_with_files_beside_the_card(tmp_path, monkeypatch):
    # lm-evaluation-harness's way of naming local files; runs the `datasets` library without a hub.
    jsonl(tmp_path / "train.jsonl", [{"question": "t", "answer": "u"}])
    jsonl(tmp_path / "test.jsonl", ROWS)
    files = {"train": "train.jsonl", "test": "test.jsonl"}
    task = card(
        dataset_path="json",
        dataset_kwargs={"data_files": files, "cache_dir": str(tmp_path / "cache")},
        test_split="test",
        training_split="train",
    )
    data = load_data(task, base=tmp_path)
    assert (data.rows, data.source, data.split, data.layout) == (ROWS, "json", "test", "canonical")
    assert list(data.fewshot_rows) == [{"question": "t", "answer": "u"}]
    unknown = task.model_copy(update={"test_split": "tset"})
    with pytest.raises(SourceError, match='Unknown split "tset"'):
        load_data(unknown, base=tmp_path)


def test_remote_code_of_a_data_set_is_refused(tmp_path):
    task = card(dataset_path="owner/toy", test_split="test", dataset_kwargs={"trust_remote_code": True})
    with pytest.raises(SourceError, match="remote code, which is never run"):
        load_data(task, base=tmp_path)


def test_fewshot_rows(tmp_path):
    jsonl(tmp_path / "d.jsonl", ROWS)
    jsonl(tmp_path / "shots.jsonl", [{"Question Text": "s", "Answers": "t"}])
    own = load_data(card(source=["d.jsonl"]), base=tmp_path)
    assert own.fewshot_rows == ROWS
    shots = [{"source": "shots.jsonl", "layout": "published"}]
    other = load_data(card(source=["d.jsonl"], layouts=LAYOUTS, fewshot_source=shots), base=tmp_path)
    assert list(other.fewshot_rows) == [{"question": "s", "answer": ["t"]}]
    written = [{"question": "w", "answer": "x"}]
    fixed = load_data(card(source=["d.jsonl"], fewshot_config={"samples": written}), base=tmp_path)
    assert fixed.fewshot_rows == written


def test_fewshot_source_is_not_read_unless_looked_at(tmp_path):
    jsonl(tmp_path / "d.jsonl", ROWS)
    data = load_data(card(source=["d.jsonl"], fewshot_source=["gone.jsonl"]), base=tmp_path)
    assert len(data.rows) == 2
    with pytest.raises(SourceError, match=r"gone\.jsonl"):
        len(data.fewshot_rows)


def test_pull_says_what_is_there(tmp_path):
    jsonl(tmp_path / "d.jsonl", ROWS)
    assert pull_data(card(source=["d.jsonl"]), tmp_path) == "d.jsonl: 2 rows"


def test_card_without_a_contract_keeps_every_column(tmp_path):
    rows = [{"question": "q", "answer": "a", "extra": [1, None]}]
    task = card(columns=[], source=["d.jsonl"])
    jsonl(tmp_path / "d.jsonl", rows)
    assert load_data(task, base=tmp_path).rows == rows
