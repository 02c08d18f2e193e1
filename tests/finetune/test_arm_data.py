"""Arms that change what is learnt."""

from types import SimpleNamespace

import pytest
from tuning import values, write_news, write_task

from halueval.errors import ConfigError, DataError, UsageError
from halueval.finetune.arms.catalog import ARMS, build_arms, prepare_data
from halueval.finetune.arms.general import first_words
from halueval.finetune.arms.wording import turned
from halueval.finetune.data import DataContext
from halueval.finetune.examples import Example
from halueval.finetune.library import recipe_from
from halueval.finetune.overlap import Protected, read_evaluations
from halueval.registry import Registry


def fact(number, known_class):
    question = f"What is the capital of Place{number}?"
    return Example(
        f"Q: {question}\nA:", f" Town{number}\n", question=question, answer=f"Town{number}", known_class=known_class
    )


FACTS = [fact(1, "HighlyKnown"), fact(2, "Unknown"), fact(3, "MaybeKnown"), fact(4, "Unknown")]


@pytest.fixture
def place(tmp_path):
    write_task(tmp_path / "tasks")
    write_news(tmp_path / "tasks", [f"Document {i} says  one, two and three." for i in range(10)])
    return SimpleNamespace(root=tmp_path, registry=Registry([tmp_path / "tasks"]))


def changed(place, mitigation, examples=FACTS, evaluate=()):
    recipe = recipe_from(values(mitigation=mitigation), None)
    protected = Protected(read_evaluations(evaluate, place.registry))
    context = DataContext(place.registry, "tiny", "a" * 64, protected, place.root)
    return prepare_data(build_arms(recipe), examples, recipe, context)


def test_unknown_facts_are_dropped(place):
    assert changed(place, "drop-unknown") == [FACTS[0], FACTS[2]]
    with pytest.raises(DataError, match="leaves nothing to train on: all 2 facts are Unknown"):
        changed(place, "drop-unknown", [FACTS[1], FACTS[3]])
    with pytest.raises(DataError, match="1 of 5 examples have no class"):
        changed(place, "drop-unknown", [*FACTS, Example("Q", " A")])


def test_unknown_facts_are_answered_by_not_knowing_in_the_same_frame(place):
    found = changed(place, "relabel-unknown")
    assert [e.completion for e in found] == [" Town1\n", " I don't know\n", " Town3\n", " I don't know\n"]
    assert [e.prompt for e in found] == [e.prompt for e in FACTS]
    other = changed(place, {"name": "relabel-unknown", "answer": "No idea"})
    assert other[1].completion == " No idea\n"


def test_general_text_is_mixed_in_but_never_what_is_evaluated(place):
    found = changed(place, {"name": "replay", "task": "news", "share": 0.5, "words": 4}, evaluate=["news:6"])
    assert found[:4] == FACTS
    texts = found[4:]
    assert sorted(e.completion for e in texts) == [f"Document {i} says  one," for i in (6, 7, 8, 9)]
    assert {(e.prompt, e.origin) for e in texts} == {("", "replay:news")}
    assert found == changed(place, {"name": "replay", "task": "news", "share": 0.5, "words": 4}, evaluate=["news:6"])
    with pytest.raises(DataError, match="4 documents are wanted as general text, and there are 3"):
        changed(place, {"name": "replay", "task": "news", "share": 0.5}, evaluate=["news:7"])
    with pytest.raises(UsageError, match="general text needs loglikelihood_rolling"):
        changed(place, {"name": "replay", "task": "little"})


def test_the_beginning_of_a_text_keeps_its_spacing():
    assert first_words("  One  two\nthree four", 3) == "One  two\nthree"
    assert first_words("One", 5) == "One"


def test_facts_are_asked_in_several_wordings_that_hold_subject_and_answer(place):
    found = changed(place, {"name": "paraphrase", "copies": 3})
    assert len(found) == 16
    assert found[::4] == FACTS
    for i, example in enumerate(found):
        original = FACTS[i // 4]
        assert example.completion == original.completion
        assert f"Place{i // 4 + 1}" in example.question
        assert example.prompt == f"Q: {example.question}\nA:"
    assert len({e.question for e in found}) == 16
    own = changed(place, {"name": "paraphrase", "copies": 1, "frames": ["Eh? {question}"]})
    assert own[1].question == "Eh? What is the capital of Place1?"
    with pytest.raises(UsageError, match="6 copies are wanted, and there are 5 wordings"):
        changed(place, {"name": "paraphrase", "copies": 6})
    with pytest.raises(UsageError, match=r"must hold \{question\} once"):
        changed(place, {"name": "paraphrase", "frames": ["Eh?"]})
    with pytest.raises(DataError, match="rewords questions"):
        changed(place, "paraphrase", [Example("Q: who?", " x")])


def test_questions_of_known_forms_are_turned():
    assert turned("What is the capital of Canada?")[0] == "Name the capital of Canada."
    assert turned("Who wrote The Great Gatsby?")[1] == "Tell me who wrote The Great Gatsby."
    assert turned("How is 90 written in Roman numerals?") == []


@pytest.mark.parametrize(
    ("mitigation", "error", "said"),
    [
        ("dropunknown", UsageError, "unknown mitigation 'dropunknown'; did you mean 'drop-unknown'"),
        ({"name": "neftune", "alfa": 5}, ConfigError, "mitigation neftune: unknown key 'alfa'; did you mean 'alpha'?"),
        ({"name": "neftune", "alpha": -1}, ConfigError, "mitigation neftune: alpha: Input should be greater than 0"),
        (["r3f", "r3f"], UsageError, "mitigation r3f stands there twice"),
    ],
)
def test_mitigations_that_cannot_be_are_refused(mitigation, error, said):
    with pytest.raises(error, match=r".") as refused:
        build_arms(recipe_from(values(mitigation=mitigation), None))
    assert said in str(refused.value)


def test_every_mitigation_says_what_it_is_and_for_which_models():
    for name, arm in ARMS.items():
        assert arm.name == name
        assert arm.about
        assert arm.__doc__
    recipe = recipe_from(values(), None).model_copy(update={"architecture": "classifier"})
    with pytest.raises(UsageError, match="replay is for causal models, not for a classifier"):
        ARMS["replay"](ARMS["replay"].settings_type()).check(recipe)
