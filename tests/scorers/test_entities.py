"""The finder of names, numbers and dates, and entity precision."""

from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st
from make import JUDGED, said, sample

from halueval.errors import UsageError
from halueval.scorers.catalog import create
from halueval.scorers.entities import Support, find_entities
from halueval.scorers.entity import entity_precision


def found(text, language="en", context=""):
    return {(e.kind, e.text) for e in find_entities(text, language, context)}


def test_names_numbers_and_dates_of_a_sentence():
    text = "Barack Obama visited the Bank of England on 21 March 2015 with 1,200 troops, £1.5m and 20% more."
    assert found(text) == {
        ("name", "Barack Obama"),
        ("name", "Bank of England"),
        ("date", "21 March 2015"),
        ("number", "1,200"),
        ("number", "1.5m"),
        ("number", "20"),
    }


def test_a_lone_opening_word_needs_evidence():
    assert found("Police said so.") == set()
    assert found("NASA said so.") == {("name", "NASA")}
    assert found("Smith won. Then Smith left.") == {("name", "Smith")}
    assert found("Smith won.", context="They saw Smith run.") == {("name", "Smith")}


def test_possessives_end_a_name():
    assert found("He saw London's Sauchiehall Street.") == {("name", "London"), ("name", "Sauchiehall Street")}


@pytest.mark.parametrize(
    ("summary", "source", "supported"),
    [
        ("five million", "5m people", True),
        ("1,200 men", "1200 men", True),
        ("3.5", "3.50", True),
        ("12", "120", False),
        ("two cats", "2 cats", True),
        ("March 2015", "on 21 March 2015", True),
        ("22 March 2015", "on 21 March 2015", False),
        ("March 3", "2015-03-03", True),
        ("in 2015,", "on 21 March 2015", True),
        ("the Obama plan", "Barack Obama", True),
        ("the Barack Obama plan", "Obama", False),
        ("an A-level", "an A level", True),
        ("on Monday", "on monday", True),
        ("from Rome", "from Romania", False),
    ],
)
def test_support(summary, source, supported):
    entities = find_entities(summary)
    assert entities
    assert all(Support(source).has(e) for e in entities) is supported


def test_chinese():
    text = "新华社柏林1月22日电，2015年销售3.5万台iPhone，《红楼梦》增长12%"
    source = "他在2015年1月22日买了35000台苹果iPhone手机和《红楼梦》"
    assert {(e.kind, e.text) for e in find_entities(text, "zh")} == {
        ("date", "1月22日"),
        ("date", "2015年"),
        ("number", "3.5万"),
        ("name", "iPhone"),
        ("title", "《红楼梦》"),
        ("number", "12"),
    }
    assert entity_precision(text, source, "zh").unsupported == ("12",)


def test_german_nouns_are_no_names():
    assert found("Der Hund biss 3 Briefträger", "de") == {("number", "3")}


def test_number_keys_compare_by_value():
    (entity,) = find_entities("1,200.50 euros")
    assert entity.key == Decimal("1200.5")


@given(st.text(), st.sampled_from(["en", "zh", "fr"]))
def test_a_text_supports_its_own_numbers_and_dates(text, language):
    support = Support(text, language)
    assert all(support.has(e) for e in find_entities(text, language) if e.kind != "name")


def test_precision_by_hand():
    # Paris and 3 stand in the source, Rome and 4 do not.
    item = sample(["in Rome 4"], source="They saw Paris with 3 men.")
    outcome = said("He saw Paris and then Rome, 3 or 4 times.")
    assert create("entity_precision").score(item, outcome, JUDGED).value == pytest.approx(0.5)
    assert create("entity_precision_reference").score(item, outcome, JUDGED).value == pytest.approx(0.5)
    none = create("entity_precision").score(item, said("he left early"), JUDGED)
    assert (none.value, none.reason) == (None, "no name, number or date in the answer")


def test_spacy_is_used_only_where_it_is_installed():
    with pytest.raises(UsageError, match="spacy_model 'no_such_pipeline' is not installed"):
        create("entity_precision", options={"spacy_model": "no_such_pipeline"})
