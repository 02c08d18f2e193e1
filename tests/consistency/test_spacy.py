"""Entities by spaCy: what supports them, when a pipeline is used, and that the result says so."""

import pytest

from halueval.consistency.base import Pair
from halueval.consistency.catalog import create
from halueval.errors import UsageError
from halueval.scorers.entity import spacy_entities, spacy_precision

SPACY = '''
class Found:
    def __init__(self, text, label, start):
        self.text, self.label_, self.start_char = text, label, start


class Pipeline:
    """Finds what stands between brackets: [LABEL text]."""

    meta = {"version": "9.9"}

    def __call__(self, text):
        import re

        self.ents = [Found(m[2], m[1], m.start(2)) for m in re.finditer(r"\\[([A-Z]+) ([^]]+)\\]", text)]
        return self


def load(name):
    if name != "en_core_web_sm":
        raise OSError(f"no {name}")
    return Pipeline()
'''


@pytest.fixture
def spacy(tmp_path, monkeypatch):
    """A stand-in for spaCy and its small English pipeline, installed."""
    for package, text in (("spacy", SPACY), ("en_core_web_sm", "")):
        (tmp_path / package).mkdir()
        (tmp_path / package / "__init__.py").write_text(text)
    info = tmp_path / "en_core_web_sm-3.7.1.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: en-core-web-sm\nVersion: 3.7.1\n")
    monkeypatch.syspath_prepend(str(tmp_path))
    yield
    import sys

    sys.modules.pop("spacy", None)


class Ent:
    """What a pipeline found, without more than its text."""

    def __init__(self, text, label=""):
        self.text, self.label_ = text, label


def pipeline(*found):
    return lambda text: type("Doc", (), {"ents": [Ent(*f) if isinstance(f, tuple) else Ent(f) for f in found]})()


@pytest.mark.parametrize(
    ("entity", "source", "supported"),
    [
        ("5", "Annual sales in 2015.", False),
        ("5", "It sold 5,000 of them.", False),
        ("5", "It sold 5.", True),
        ("Ann", "Annual sales in 2015.", False),
        ("Ann", "They saw Ann.", True),
        ("Ann's", "They saw Ann.", True),
        ("the United Nations", "A speech at United Nations headquarters", True),
        ("United Nations", "The nations united.", False),
        (("$5 million", "MONEY"), "It cost 5,000,000 dollars.", True),
        (("about 5 million euros", "MONEY"), "It cost 15 million euros.", False),
        (("March 2015", "DATE"), "On 21 March 2015 it ended.", True),
        (("last Monday", "DATE"), "It ended last Monday.", True),
        (("Monday", "DATE"), "It ended on Mondays.", False),
    ],
)
def test_whole_words_and_numbers_by_value(entity, source, supported):
    assert spacy_precision(pipeline(entity), "", source).value == supported


def test_what_holds_no_word_is_no_entity():
    assert spacy_entities(pipeline("—", " … "), "") == ()


def test_an_installed_english_pipeline_is_used_and_said(spacy):
    source, claim = "Ann sold 5 of 2,015.", "[PERSON Ann] sold [CARDINAL 15]. [DATE Monday] came."
    names, numbers = create("entity_precision"), create("number_precision")
    assert names.identity()["finder"] == numbers.identity()["finder"] == "spacy:en_core_web_sm 3.7.1"
    (verdict,) = names.score([Pair(source, claim)])
    assert verdict.value == pytest.approx(1 / 3)
    assert verdict.reason == "not in the source: 15, Monday"
    assert [s.value for s in verdict.sentences] == [0.5, 0]
    assert numbers.score([Pair(source, claim)])[0].value == 0


def test_other_languages_and_those_who_ask_have_the_rules(spacy):
    rules = create("entity_precision", {"spacy_model": "none"})
    assert rules.identity()["finder"] == "rules"
    pair = Pair("Ann sold 5.", "[PERSON Bob] sold 5.")
    assert rules.score([pair])[0].value == 0.5
    chinese = Pair("他卖了5本书。", "他卖了5本书。", language="zh")
    assert create("entity_precision").score([chinese])[0].value == 1


def test_a_pipeline_that_is_named_is_used_whatever_the_language(spacy):
    named = create("number_precision", {"spacy_model": "en_core_web_sm"})
    assert named.identity()["finder"] == "spacy:en_core_web_sm 9.9"
    assert named.score([Pair("5", "[CARDINAL 5] 7", language="fr")])[0].value == 1
    with pytest.raises(UsageError, match="spacy_model 'de_core_news_sm' is not installed"):
        create("entity_precision", {"spacy_model": "de_core_news_sm"})


def test_without_spacy_the_rules_are_used_and_said(monkeypatch):
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    assert create("entity_precision").identity()["finder"] == "rules"
