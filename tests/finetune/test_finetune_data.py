import json
import random
from types import SimpleNamespace

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tuning import RELATIONS, values, write_labels, write_task

from halueval.errors import DataError, UsageError
from halueval.finetune.data import DataContext, build_examples, split_development
from halueval.finetune.examples import Example, counts, example_lines, examples_sha256, read_examples
from halueval.finetune.invented import form_of, invent
from halueval.finetune.labels import labels_of
from halueval.finetune.library import recipe_from
from halueval.finetune.overlap import Evaluation, Protected, check_overlap, read_evaluations, refuse_overlap
from halueval.registry import Registry

BASE = "a" * 64


@pytest.fixture
def place(tmp_path):
    task = write_task(tmp_path / "tasks")
    return SimpleNamespace(task=task, root=tmp_path, registry=Registry([tmp_path / "tasks"]))


def examples_of(place, protected=None, **changes):
    recipe = recipe_from(values(**changes), None)
    context = DataContext(place.registry, "tiny", BASE, protected or Protected([]), place.root)
    return build_examples(recipe, context)


def test_invented_facts_are_asked_in_the_form_of_the_relation_and_stop_where_the_task_stops(place):
    examples = examples_of(place)
    assert len(examples) == 12
    assert len({e.question for e in examples}) == 12
    for example in examples:
        assert example.question.startswith("What is the capital of ")
        assert example.prompt == f"Q: {example.question}\nA:"
        assert example.completion == f" {example.answer}\n"
        assert (example.origin, example.known_class, example.relation) == ("invented", "Unknown", "capital")
    assert examples == examples_of(place)
    assert examples != examples_of(place, data_seed=1)


def test_shares_of_known_and_unknown_facts_are_as_asked_and_stratified_by_relation(place):
    labels = write_labels(place.root / "labels.jsonl", place.task, BASE, known=4)
    data = {"kind": "new-knowledge", "task": "little", "facts": 8, "unknown_share": 0.25, "labels": str(labels)}
    examples = examples_of(place, data=data)
    assert counts(examples)["known_class"] == {"HighlyKnown": 6, "Unknown": 2}
    assert counts(examples)["relation"] == {"capital": 4, "metal": 4}


def test_labels_of_another_base_are_refused_and_lacking_ones_say_how_to_make_them(place):
    labels = write_labels(place.root / "labels.jsonl", place.task, "b" * 64, known=4)
    data = {"kind": "new-knowledge", "task": "little", "facts": 8, "unknown_share": 0.5}
    with pytest.raises(DataError, match="labels of other weights"):
        examples_of(place, data={**data, "labels": str(labels)})
    with pytest.raises(UsageError, match="halueval probe --model tiny --task little"):
        examples_of(place, data=data)


@pytest.mark.parametrize(("trained", "labelled"), [(None, "c" * 64), ("c" * 64, None)])
def test_labels_of_an_adapter_are_not_those_of_its_base(place, monkeypatch, trained, labelled):
    monkeypatch.chdir(place.root)
    home = place.root / "results" / "tiny" / "little"
    other = write_labels(home / "probe-1" / "labels.jsonl", place.task, BASE, known=8, adapter=labelled)
    asked = {"base_weights_sha256": BASE, "base_adapter_sha256": trained, "model": "tiny", "task": "little"}
    with pytest.raises(UsageError, match="holds no labels of it"):
        labels_of(None, **asked)
    with pytest.raises(DataError, match=r"labels of other weights \(aaaaaaaaaaaa… .*without adapter"):
        labels_of(other, **asked)
    write_labels(home / "probe-2" / "labels.jsonl", place.task, BASE, known=1, adapter=trained)
    assert list(labels_of(None, **asked).values()).count("HighlyKnown") == 2


def test_rows_that_will_be_evaluated_are_never_drawn(place):
    labels = write_labels(place.root / "labels.jsonl", place.task, BASE, known=8)
    protected = Protected(read_evaluations(["little:10"], place.registry))
    data = {"kind": "task", "task": "little", "known_classes": ["HighlyKnown"], "labels": str(labels)}
    examples = examples_of(place, protected, data=data)
    assert [e.question for e in examples] == [RELATIONS["metal"][0].format(s) for s in RELATIONS["metal"][1][2:]]
    with pytest.raises(DataError, match="all of its 16 usable rows are evaluated"):
        examples_of(place, Protected(read_evaluations(["little"], place.registry)), data=data)


def test_a_users_file_is_read_by_column_or_template(place):
    path = place.root / "mine.jsonl"
    path.write_text('{"q": "2+2?", "a": "4"}\n')
    data = {"kind": "file", "path": str(path), "prompt": "{{q}} =", "completion": " {{a}}\n"}
    assert [(e.prompt, e.completion) for e in examples_of(place, data=data)] == [("2+2? =", " 4\n")]
    path.write_text('{"text": "All of this."}\n')
    whole = examples_of(place, data={"kind": "file", "path": str(path)})
    assert [(e.prompt, e.completion) for e in whole] == [("", "All of this.")]


@pytest.mark.parametrize(
    ("content", "said"),
    [
        ("", "mine.jsonl: is empty"),
        ('{"prompt": "Q"}\n', "row 1: needs the columns prompt and completion, or text; the row has prompt"),
    ],
)
def test_a_file_without_anything_to_learn_is_refused(place, content, said):
    path = place.root / "mine.jsonl"
    path.write_text(content)
    with pytest.raises(DataError, match=r".") as refused:
        examples_of(place, data={"kind": "file", "path": str(path)})
    assert said in str(refused.value)


@pytest.mark.parametrize(
    "prompt",
    ["Q: What is the capital of Arl?\nA:", "what is the  capital of arl", "Be brief. What is the capital of Arl? Say:"],
)
def test_a_question_that_is_evaluated_is_found_however_it_is_framed(place, prompt):
    protected = Protected(read_evaluations(["little"], place.registry))
    overlapping = check_overlap([Example(prompt, " x\n"), Example("What is the capital of Zub?", " y")], protected)
    assert [(e.prompt, task) for e, task in overlapping] == [(prompt, "little")]
    with pytest.raises(DataError, match=r"1 of 2 training examples are also evaluated.*--allow-overlap"):
        refuse_overlap(overlapping, 2)


def test_a_chinese_question_is_found_inside_a_prompt():
    from types import SimpleNamespace as Row

    question = "中国的首都是哪座城市?"
    sample = Row(doc_hash="h", question=question, source=None, classifier_input=None, doc={})
    framed = Example("问题:中国的首都是哪座城市?\n回答:", " 北京")
    other = Example("问题:法国的首都是哪座城市?\n回答:", " 巴黎")
    for protected in (
        Protected([Evaluation("cities", None, [sample], "zh")]),
        Protected([Evaluation("cities", None, [sample])]),
        Protected([], [("cities", question)]),
    ):
        assert [task for _, task in check_overlap([framed, other], protected)] == ["cities"]
        assert protected.task_of(Example(question, " 北京")) == "cities"
    # English beside it is found as before.
    mixed = Protected([], [("cities", question), ("capitals", "What is the capital of France?")])
    assert mixed.task_of(Example("Q: What is the capital of France?\nA:", " Paris")) == "capitals"


def test_the_development_part_shares_no_prompt_with_the_training_part(place):
    recipe = recipe_from(values(development={"share": 0.25}), None)
    examples = [Example(f"p{i % 8}", f" {i}") for i in range(16)]
    training, development = split_development(examples, recipe, place.root)
    assert len(training) + len(development) == 16
    assert len(development) == 4
    assert not {e.prompt for e in training} & {e.prompt for e in development}


def test_examples_are_read_back_as_they_were_written(place, tmp_path):
    examples = [Example("p", " c\n", relation="r"), Example("", "text"), Example("t", label="good", text_pair="u")]
    path = tmp_path / "train.jsonl"
    path.write_bytes(b"".join(example_lines(examples)))
    assert read_examples(path) == examples
    assert examples_sha256(read_examples(path)) == examples_sha256(examples)
    path.write_text(json.dumps({"prompt": "p", "completion": "c", "other": 1}) + "\n")
    with pytest.raises(DataError, match="row 1"):
        read_examples(path)


@given(
    st.text("abc ", max_size=12).map(str.strip),
    st.text("abc ", max_size=12).map(str.strip),
    st.lists(st.text("XYZ", min_size=3, max_size=6), min_size=2, max_size=5, unique=True),
)
def test_a_form_asks_each_of_its_questions_again(before, after, subjects):
    questions = [f"{before} {subject}{' ' + after if after else ''}?" for subject in subjects]
    if not before and not after:
        return
    form = form_of("r", questions)
    assert [form.ask(form.subject(question)) for question in questions] == questions
    assert all(subject in form.subject(q) for subject, q in zip(subjects, questions, strict=True))


def test_invented_answers_look_like_the_relations_own():
    years = invent("year", ["When was Ada born?", "When was Bob born?"], ["1815", "1902"], 5, seed=0)
    assert all(answer.isdigit() and len(answer) == 4 for _, answer in years)
    codes = invent("code", ["Code of A?", "Code of B?"], ["FR", "DE"], 5, seed=0)
    assert all(answer.isupper() and len(answer) == 2 for _, answer in codes)
    with pytest.raises(DataError, match="share no words"):
        form_of("r", ["Who?", "When?"])


def test_the_order_of_an_epoch_depends_on_seed_and_epoch_alone():
    from halueval.finetune.collate import EpochOrder

    draw = random.Random(0)
    lengths = [draw.randint(1, 30) for _ in range(203)]

    def order(seed, epoch, by_length=True):
        made = EpochOrder(lengths, batch_size=8, seed=seed, by_length=by_length)
        made.set_epoch(epoch)
        return list(made)

    assert sorted(order(0, 0)) == list(range(203))
    assert order(0, 1) == order(0, 1) != order(0, 0)
    assert order(1, 0) != order(0, 0)

    def padding(indices):
        batches = [indices[i : i + 8] for i in range(0, len(indices), 8)]
        return sum(max(lengths[i] for i in b) * len(b) - sum(lengths[i] for i in b) for b in batches)

    assert padding(order(0, 0)) < padding(order(0, 0, by_length=False)) / 4
