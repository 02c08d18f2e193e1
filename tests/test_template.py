"""Templates: native values, harness-like text, and what the sandbox refuses."""

import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from halueval.errors import ConfigError, DataError
from halueval.sandbox import MAX_CHARS
from halueval.template import check, columns_of, evaluate, is_plain, render

DOC = {"question": "who?", "labels": [1, 0, True], "Best Answer": "me", "nothing": None, "n": 3}


@pytest.mark.parametrize(
    ("template", "text"),
    [
        ("Q: {{question}}?\nA:", "Q: who??\nA:"),
        ("{{question}}\n", "who?\n"),  # a trailing newline stays, as in lm-evaluation-harness
        ("{{ labels }}", "[1, 0, True]"),
        ("question", "who?"),  # a column's name is the column
        ("no column", "no column"),
        ("", ""),
        ("{% if n > 2 %}many{% else %}few{% endif %}", "many"),
        ("{{ '<b>' }}", "<b>"),  # nothing is escaped
        ("{{ row['Best Answer'] }}", "me"),
        ("{{ question ~ n }}", "who?3"),
        ("{{ ['a', 'b'] | join('-') }}", "a-b"),
        ("{{ 'a1b22' | regex_replace('\\\\d+', '#') }}", "a#b#"),
        ("{{ 'a1b22' | regex_replace('(\\\\d)', '<\\\\1>', 1) }}", "a<1>b22"),
        ("{{ labels | letters | join(' ') }}", "A B C"),
        ("{{ 'a b'.split() | join(',') }}", "a,b"),
        ("{{ 'abc'.replace('b', 'x') }}", "axc"),
    ],
)
def test_render(template, text):
    assert render(template, DOC) == text


@pytest.mark.parametrize(
    ("template", "value"),
    [
        ("{{ labels }}", [1, 0, True]),
        ("labels", [1, 0, True]),
        ("{{ labels | true_indices }}", [0, 2]),
        ("{{ n + 1 }}", 4),
        ("{{ n == 3 }}", True),
        ("{{ n }} ", "3 "),  # anything beside the expression makes it text
        ("{{ range(3) }}", [0, 1, 2]),
        ("{{ labels | map('string') }}", ["1", "0", "True"]),
        ("{{ \"{'topic': 'art'}\" | literal }}", {"topic": "art"}),
        ("{{ '[1, 2]' | fromjson }}", [1, 2]),
        ("{{ 'k1=v1 k2=v2' | regex_findall('(\\\\w+)=(\\\\w+)') }}", [["k1", "v1"], ["k2", "v2"]]),
        ("{{ missing | default('none') }}", "none"),
        ("{{ nothing }}", None),
    ],
)
def test_evaluate_keeps_the_native_type(template, value):
    found = evaluate(template, DOC)
    assert found == value
    assert type(found) is type(value)


def test_missing_column_is_named_with_those_there():
    with pytest.raises(DataError) as error:
        render("{{ questoin }}", DOC, where="t: row 3: doc_to_text")
    assert str(error.value) == (
        "t: row 3: doc_to_text: no column 'questoin' (the columns are: question, labels, Best Answer, nothing, n); "
        "did you mean 'question'?"
    )


def test_null_is_not_printed():
    with pytest.raises(DataError, match="a value is null"):
        render("A: {{ nothing }}", DOC)
    with pytest.raises(DataError, match="a value is null"):
        render("{{ nothing }}", DOC)


@pytest.mark.parametrize(
    "template", ["{{ 1 / 0 }}", "{{ n.x }}", "{{ {}['k'] }}", "{{ n + 'a' }}", "{{ '(' | literal }}"]
)
def test_what_fails_on_a_row_is_a_data_error(template):
    with pytest.raises(DataError, match=r"^w: "):
        evaluate(template, DOC, where="w")


@pytest.mark.parametrize("template", ["{{ n", "{% if %}", "{{ n | nofilter }}", "{% include 'x' %}{{", "{{ n nn }}"])
def test_malformed_templates_are_config_errors(template):
    with pytest.raises(ConfigError, match=r"^key: "):
        check(template, where="key")


BOMBS = [
    "{{ 'a' * 10**9 }}",
    "{{ 10**9 * 'a' }}",
    "{{ [0] * 10**9 }}",
    "{{ 9 ** (9 ** 9) }}",
    "{{ '%999999999d' % 1 }}",
    "{{ '{:999999999}'.format(1) }}",
    "{{ '{x}'.format_map({'x': 1}) }}",
    "{{ 'a'.ljust(10**9) }}",
    "{{ 'a'.zfill(10**9) }}",
    "{{ 'a'.encode() }}",
    "{{ 'a' | center(10**9) }}",
    "{{ range(10**9) | list }}",
    "{% set ns = namespace(x='ab') %}{% for i in range(60) %}{% set ns.x = ns.x ~ ns.x %}{% endfor %}",
    "{% set ns = namespace(x='ab') %}{% for i in range(60) %}{% set ns.x = ns.x + ns.x %}{% endfor %}",
    "{% set ns = namespace(x='ab') %}{% for i in range(60) %}{% set ns.x = ns.x.replace('a', ns.x) %}{% endfor %}",
    "{% set ns = namespace(x=[1]) %}{% for i in range(60) %}{% set ns.x = [ns.x, ns.x] %}{% endfor %}{{ ns.x }}",
    "{% set ns = namespace(x='ab') %}{% for i in range(60) %}{% set y %}{{ ns.x }}{{ ns.x }}{% endset %}"
    "{% set ns.x = y %}{% endfor %}",
    "{% macro f() %}{{ f() }}{{ f() }}{% endmacro %}{{ f() }}",
    "{{ question.__class__.__mro__ }}",
    "{{ ''['__class__'] }}",
    "{{ labels.append(1) }}",
    "{{ lipsum(1000) }}",
]


@pytest.mark.parametrize("template", BOMBS)
def test_templates_cannot_run_code_or_fill_the_memory(template):
    started = time.perf_counter()
    with pytest.raises((ConfigError, DataError)):
        render(template, DOC)
    assert time.perf_counter() - started < 5
    assert DOC["labels"] == [1, 0, True]


def test_backtracking_patterns_end():
    doc = {"text": "a" * 40 + "!"}
    with pytest.raises(ConfigError, match="regular expression took more than"):
        evaluate("{{ text | regex_replace('(a|a)*(a|aa)+$', '') }}", doc)


def test_long_columns_are_refused():
    with pytest.raises(ConfigError, match="4,000,000"):
        render("{{ text }}", {"text": "x" * (MAX_CHARS + 1)})


@pytest.mark.parametrize(
    ("template", "columns"),
    [
        ("answer", {"answer"}),
        ("{{ a ~ b.c }}", {"a", "b"}),
        ("{{ row['Best Answer'] ~ row.x }}", {"Best Answer", "x"}),
        ("{{ a | default('') }}{{ row['b'] | d(1) }}", set()),
        ("{% if a is defined %}{{ a }}{% endif %}", set()),
        ("{% for x in xs %}{{ x }}{% endfor %}", {"xs"}),
        ("{{ range(3) }}", set()),
    ],
)
def test_columns_of(template, columns):
    assert columns_of(template) == columns


@given(st.text().filter(lambda text: "{" not in text))
def test_plain_text_renders_to_itself(text):
    assert is_plain(text)
    assert render(text, {"some": "column"}) == ("column" if text == "some" else text)


@given(st.text(max_size=200))
def test_a_column_reaches_the_prompt_unchanged(text):
    assert render("A: {{ x }}|", {"x": text}) == f"A: {text}|"
    assert render("{{ x }}", {"x": text}) == text
