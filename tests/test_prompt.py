"""Prompts in lm-evaluation-harness's format, answers, few-shot examples, variants, filters."""

import random
import textwrap

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from halueval.config import TaskSpec, build
from halueval.dataset import LoadedData
from halueval.errors import ConfigError, DataError, UsageError
from halueval.prompt import apply_filters, build_samples
from halueval.schema import canonical_json, sha256_text
from halueval.taskcheck import check_task


def card(**keys):
    base = {"task": "toy", "output_type": "generate_until", "doc_to_text": "Q: {{q}}\nA:", "doc_to_target": "{{a}}"}
    return build(TaskSpec, {**base, **keys}, None)


def loaded(rows, fewshot_rows=None):
    return LoadedData(rows, rows if fewshot_rows is None else fewshot_rows, "here", None, None, "0" * 64, "canonical")


def samples(task, rows, *, shots=0, seed=0, limit=None, pool=None):
    return build_samples(task, loaded(rows, pool), num_fewshot=shots, seed=seed, limit=limit)


def choice(**keys):
    return card(**{"output_type": "multiple_choice", "doc_to_choice": ["no", "yes"], "doc_to_target": "label", **keys})


ROWS = [{"q": f"q{i}", "a": f"a{i}"} for i in range(6)]


def test_zero_shot():
    (sample,) = samples(card(description="Answer.\n\n"), ROWS[:1])
    assert sample.prompt == "Answer.\n\nQ: q0\nA:"
    assert (sample.sample_id, sample.target, sample.references) == ("0", "a0", ("a0",))
    assert (sample.choices, sample.gold, sample.source, sample.classifier_input) == ((), (), None, None)
    assert sample.doc == {"q": "q0", "a": "a0"}
    assert sample.doc_hash == sample.cluster == sha256_text('{"a":"a0","q":"q0"}')
    assert sample.prompt_hash == sha256_text("Answer.\n\nQ: q0\nA:")
    assert sample.target_hash == sha256_text('["a0"]')


def test_few_shot_format_and_first_n():
    task = card(description="D\n", fewshot_config={"sampler": "first_n"})
    prompts = [sample.prompt for sample in samples(task, ROWS[:3], shots=2)]
    # description + (text + " " + answer + blank line) twice + text; a sample is never its own example.
    assert prompts == [
        "D\nQ: q1\nA: a1\n\nQ: q2\nA: a2\n\nQ: q0\nA:",
        "D\nQ: q0\nA: a0\n\nQ: q2\nA: a2\n\nQ: q1\nA:",
        "D\nQ: q0\nA: a0\n\nQ: q1\nA: a1\n\nQ: q2\nA:",
    ]


def test_delimiters_of_the_card():
    task = card(target_delimiter="=", fewshot_delimiter="|", fewshot_config={"sampler": "first_n"})
    assert samples(task, ROWS[:2], shots=1)[0].prompt == "Q: q1\nA:=a1|Q: q0\nA:"


def test_example_of_a_choice_shows_the_choices_text():
    task = choice(doc_to_text="{{q}}:", fewshot_config={"sampler": "first_n"})
    rows = [{"q": "a", "label": 1}, {"q": "b", "label": 0}]
    assert [s.prompt for s in samples(task, rows, shots=1)] == ["b: no\n\na:", "a: yes\n\nb:"]


def test_gen_prefix_opens_each_answer():
    task = card(gen_prefix="It is", fewshot_config={"sampler": "first_n"})
    # The harness joins text and prefix by the target delimiter, prefix and answer by a space.
    assert samples(task, ROWS[:2], shots=1)[0].prompt == "Q: q1\nA: It is a1\n\nQ: q0\nA: It is"
    spaced = card(gen_prefix=" It is ", fewshot_config={"sampler": "first_n"})
    assert samples(spaced, ROWS[:2], shots=1)[0].prompt == "Q: q1\nA: It is a1\n\nQ: q0\nA: It is "


def test_yaml_with_escaped_line_ends_renders_without_them():
    # The way in which the harness's TruthfulQA card writes its primer: each line ends in a backslash, so
    # that only the written \n are line breaks, and the template's own line ends vanish.
    text = textwrap.dedent(r"""
        doc_to_text: "\
          {% set primer = '\
          Q: One?\n\
          A: Yes.\n\n\
          Q: Two?\n\
          A: No.\
          '%}\
          {{primer + '\n\nQ: ' + question + '\nA:'}}"
    """)
    task = card(**yaml.safe_load(text), doc_to_target="x")
    (sample,) = samples(task, [{"question": "Three?", "x": "y"}])
    assert sample.prompt == "Q: One?\nA: Yes.\n\nQ: Two?\nA: No.\n\nQ: Three?\nA:"


@pytest.mark.parametrize(
    ("target", "row", "references"),
    [
        ("{{a}}", {"a": ["x", "y"]}, ("x", "y")),
        ("a", {"a": ["x"]}, ("x",)),
        ("{{a}}", {"a": "['x', \"y's\"]"}, ("x", "y's")),  # a list written as text
        ("{{a}}", {"a": "[not a list]"}, ("[not a list]",)),
        ("{{a}}", {"a": 7}, ("7",)),
        ("{{a}}", {"a": [""]}, ("",)),  # unanswerable
        ("{{a.text if a.text else ['']}}", {"a": {"text": []}}, ("",)),
        ("the {{a}}", {"a": "x"}, ("the x",)),
        (" ", {"a": "x"}, (" ",)),
    ],
)
def test_references(target, row, references):
    (sample,) = samples(card(doc_to_target=target), [{"q": "q", **row}])
    assert sample.references == references
    assert sample.target == references[0]
    assert sample.target_hash == sha256_text(canonical_json(list(references)))


@pytest.mark.parametrize(
    ("target", "label", "gold"),
    [
        ("label", 1, (1,)),
        ("label", "1", (1,)),
        ("label", "yes", (1,)),
        ("label", " yes ", (1,)),
        ("label", True, (1,)),
        ("{{label}}", False, (0,)),
        ("label", [0, 1], (0, 1)),
        ("{{ label | true_indices }}", [0, 1], (1,)),
        ("{{ label }}", "[1]", (1,)),
        (0, "ignored", (0,)),
    ],
)
def test_gold_of_a_choice(target, label, gold):
    (sample,) = samples(choice(doc_to_target=target), [{"q": "q", "label": label}])
    assert sample.gold == gold
    assert sample.choices == ("no", "yes")
    assert sample.target == sample.choices[gold[0]]
    assert sample.references == tuple(sample.choices[i] for i in gold)


def test_digits_are_an_index_unless_a_columns_own_text_is_a_choice():
    row = [{"q": "q", "label": "1"}]
    assert samples(choice(doc_to_choice=["1", "2"]), row)[0].gold == (0,)  # the label says "1"
    assert samples(choice(doc_to_choice=["1", "2"], doc_to_target="{{ label | trim }}"), row)[0].gold == (1,)


@pytest.mark.parametrize("label", [2, -1, "2", "maybe", 1.0, None, ["no", "maybe"]])
def test_label_outside_the_label_set(label):
    rows = [{"q": "q", "label": 0}, {"q": "q", "label": label}]
    with pytest.raises(DataError) as error:
        samples(choice(), rows)
    shown = label[1] if isinstance(label, list) else label
    assert str(error.value) == (
        f"toy: row 2: doc_to_target: label {shown!r} is outside the label set: 'no', 'yes', or an index from 0 to 1"
    )


@pytest.mark.parametrize("spec", ["{{ c }}", "c", "{{ c | list }}", "['A', 'B']"])
def test_choices_from_a_template(spec):
    (sample,) = samples(choice(doc_to_choice=spec), [{"q": "q", "c": ["A", "B"], "label": 1}])
    assert (sample.choices, sample.target) == (("A", "B"), "B")


def test_too_few_choices():
    with pytest.raises(DataError, match="row 1: doc_to_choice: gives 1 choice"):
        samples(choice(doc_to_choice="{{ c }}"), [{"q": "q", "c": ["A"], "label": 0}])


def test_generated_label_has_choices_and_its_text_as_reference():
    (sample,) = samples(card(doc_to_choice=["no", "yes"], doc_to_target="label"), [{"q": "q", "label": 1}])
    assert (sample.references, sample.choices, sample.gold) == (("yes",), ("no", "yes"), (1,))


def test_rolling_text_is_the_target():
    task = card(output_type="loglikelihood_rolling", doc_to_text="", doc_to_target="{{d}}")
    (sample,) = samples(task, [{"d": "[1, 2]\n"}])  # text stays text, list-like or not
    assert (sample.prompt, sample.target, sample.references) == ("", "[1, 2]\n", ())


def test_source_classifier_group_and_cluster():
    task = choice(
        doc_to_source="{{p}}",
        classifier={"text": "{{p}}", "text_pair": "{{q}}", "labels": ["n", ["y", "true"]]},
        group_by=["year", "gap"],
        cluster_by="p",
    )
    (sample,) = samples(task, [{"q": "q", "p": "passage", "label": 0, "year": 1999, "gap": None}])
    assert sample.source == "passage"
    assert sample.classifier_input == ("passage", "q")
    assert sample.group == {"year": "1999", "gap": "not given"}
    assert sample.cluster == "passage"


def test_missing_columns_name_row_and_key():
    with pytest.raises(DataError, match=r"toy: row 2: doc_to_text: no column 'q' \(the columns are: a\)"):
        samples(card(), [ROWS[0], {"a": "x"}])
    with pytest.raises(DataError, match="row 1: group_by: no column 'topic'"):
        samples(card(group_by=["topic"]), ROWS)


VARIANTS = [
    {"variant": "right", "answer": "good", "label": "{{ 0 }}"},
    {"variant": "wrong", "answer": "{{ bad | trim }}", "label": "{{ 1 }}"},
]


def test_variants_become_samples_of_one_cluster():
    task = choice(variants=VARIANTS, doc_to_text="{{q}} {{answer}}?")
    rows = [{"q": "q0", "good": "g", "bad": " b "}, {"q": "q1", "good": "g", "bad": "b"}]
    found = samples(task, rows, limit=1)
    assert [(s.sample_id, s.prompt, s.target) for s in found] == [
        ("0/right", "q0 g?", "no"),
        ("0/wrong", "q0 b?", "yes"),
    ]
    assert [s.group for s in found] == [{"variant": "right"}, {"variant": "wrong"}]
    assert {s.cluster for s in found} == {sha256_text(canonical_json(rows[0]))}
    assert found[0].doc_hash != found[1].doc_hash
    assert found[1].doc == {**rows[0], "variant": "wrong", "answer": "b", "label": 1}


def test_another_variant_of_the_row_is_no_example():
    task = choice(variants=VARIANTS, doc_to_text="{{q}} {{answer}}?")
    rows = [{"q": f"q{i}", "good": "g", "bad": "b"} for i in range(3)]
    for sample in samples(task, rows, shots=4):
        assert sample.prompt.count(sample.doc["q"]) == 1


def examples_of(sample):
    return sample.prompt.split("\n\n")[:-1]


def test_examples_belong_to_the_sample_and_not_to_its_place():
    before = {s.doc_hash: s.prompt for s in samples(card(), ROWS, shots=3, seed=1)}
    shuffled = random.Random(3).sample(ROWS, len(ROWS))
    assert {s.doc_hash: s.prompt for s in samples(card(), shuffled, shots=3, seed=1)} == before
    limited = samples(card(), ROWS, shots=3, seed=1, limit=2)
    assert [s.prompt for s in limited] == [before[s.doc_hash] for s in limited]
    assert {s.doc_hash: s.prompt for s in samples(card(), ROWS, shots=3, seed=2)} != before


@given(seed=st.integers(0, 1000), shots=st.integers(1, 5))
def test_examples_are_other_rows_and_distinct(seed, shots):
    for sample in samples(card(), [*ROWS, ROWS[0]], shots=shots, seed=seed):
        drawn = examples_of(sample)
        assert len(set(drawn)) == len(drawn) == shots
        assert f"Q: {sample.doc['q']}\nA: {sample.doc['a']}" not in drawn


def test_examples_of_the_same_relation():
    rows = [{"q": f"q{i}", "a": "x", "rel": "even" if i % 2 == 0 else "odd"} for i in range(8)]
    task = card(fewshot_config={"same": ["rel"]}, doc_to_text="{{rel}} {{q}}:")
    for sample in samples(task, rows, shots=3):
        assert all(example.startswith(sample.doc["rel"]) for example in examples_of(sample))
    with pytest.raises(DataError, match="4 few-shot examples are wanted, and there are 3 other rows with the same rel"):
        samples(task, rows, shots=4)


def test_examples_from_elsewhere():
    pool = [{"q": "p", "a": "b"}]
    assert samples(card(), ROWS[:1], shots=1, pool=pool)[0].prompt == "Q: p\nA: b\n\nQ: q0\nA:"


def test_number_of_examples_of_the_card_and_of_the_call():
    task = card(num_fewshot=2)
    data = loaded(ROWS)
    by_card, by_call = (build_samples(task, data, num_fewshot=n, seed=0, limit=1)[0] for n in (None, 1))
    assert (len(examples_of(by_card)), len(examples_of(by_call))) == (2, 1)
    for bad in ({"num_fewshot": -1, "limit": None}, {"num_fewshot": 0, "limit": 0}):
        with pytest.raises(UsageError):
            build_samples(task, data, seed=0, **bad)


@pytest.mark.parametrize(
    ("keys", "problem"),
    [
        ({"doc_to_text": "{{ q"}, "toy: doc_to_text: template line 1"),
        ({"doc_to_target": ""}, "needs doc_to_target"),
        ({"output_type": "multiple_choice"}, "needs doc_to_choice"),
        ({"doc_to_choice": ["one"]}, "doc_to_choice has 1 entry"),
        ({"variants": [{"answer": "a"}]}, "variants: 1: needs `variant`"),
        ({"variants": [{"variant": "a"}, {"variant": "a"}]}, "the name 'a' stands twice"),
        ({"variants": [{"variant": "../a"}]}, "letters, digits"),
        ({"doc_to_choice": ["a", "b"], "classifier": {"text": "q", "labels": ["x"]}}, "1 labels for 2 choices"),
        ({"classifier": {"text": "q", "labels": ["x"]}}, "classifier needs doc_to_choice"),
        ({"filter_list": [{"filter": [{"function": "regex", "regex_pattern": "("}]}]}, r"regex_pattern '\('"),
        ({"filter_list": [{"filter": [{"function": "regex", "group": 1}]}]}, "regex has no option 'group'"),
        ({"filter_list": [{"filter": [{"function": "lowercase", "x": 1}]}]}, "lowercase has no option 'x'"),
    ],
)
def test_cards_whose_keys_do_not_go_together(keys, problem):
    with pytest.raises(ConfigError, match=problem):
        check_task(card(**keys))


def filtered(response, *steps):
    return apply_filters(card(filter_list=[{"filter": list(steps)}]), response)


@pytest.mark.parametrize(
    ("options", "response", "answer"),
    [
        ({"regex_pattern": r"is (\w+)"}, "It is Paris. It is Rome.", "Paris"),
        ({"regex_pattern": r"is (\w+)", "group_select": -1}, "It is Paris. It is Rome.", "Rome"),
        ({"regex_pattern": r"\d+"}, "a 12 b 34", "12"),
        ({"regex_pattern": r"(a)|(b)"}, "xb", "b"),  # the first group that matched something
        ({"regex_pattern": r" (\w+) "}, " x ", "x"),
        ({}, "so #### 1,234", "1,234"),  # the harness's default pattern
        ({"regex_pattern": r"is (\w+)", "fallback": "[invalid]"}, "none", None),
        ({"regex_pattern": r"is (\w+)", "group_select": 2}, "It is Paris.", None),
        ({"regex_pattern": r"(x)?(y)?"}, "", None),
    ],
)
def test_regex_filter(options, response, answer):
    assert filtered(response, {"function": "regex", **options}) == answer


def test_filter_steps_in_order():
    assert filtered("  Yes\nNo ", {"function": "first_line"}, {"function": "lowercase"}) == "yes"
    assert filtered(" a ", {"function": "remove_whitespace"}, {"function": "take_first"}) == "a"
    assert filtered("a", {"function": "uppercase"}) == "A"
    assert filtered("a", {"function": "regex", "regex_pattern": "b"}, {"function": "lowercase"}) is None
    assert apply_filters(card(), " as it is\n") == " as it is\n"


def test_a_pattern_that_never_ends_makes_the_response_unparsable(caplog):
    slow = {"function": "regex", "regex_pattern": "(a|a)*(a|aa)+$"}
    assert filtered("a" * 40 + "!", slow) is None
    assert "counted as unparsable" in caplog.text
