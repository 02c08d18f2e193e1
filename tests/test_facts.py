"""The embedded facts: that the rows are well-formed, consistent, licensed, and true where people know them."""

from __future__ import annotations

import json
import tomllib
from collections import Counter, defaultdict
from itertools import pairwise
from pathlib import Path

import pytest

from halueval.dataset import load_data
from halueval.prompt import build_samples
from halueval.registry import Registry, packaged_directory
from halueval.text import is_refusal, normalize_answer

FOLDER = packaged_directory("tasks") / "facts"
KEYS = {
    *("id", "relation", "subject", "question", "answer", "aliases", "distractor"),
    *("true_statement", "false_statement", "popularity", "popularity_quartile", "source"),
}


@pytest.fixture(scope="module")
def rows():
    return [json.loads(line) for line in (FOLDER / "facts.jsonl").read_text(encoding="utf-8").splitlines()]


@pytest.fixture(scope="module")
def by_relation(rows):
    found = defaultdict(dict)
    for row in rows:
        found[row["relation"]][row["subject"]] = row
    return found


def accepted(row):
    return {normalize_answer(text) for text in [row["answer"], *row["aliases"]]}


def test_rows_have_the_documented_columns_and_types(rows):
    for row in rows:
        assert set(row) == KEYS, row["id"]
        texts = [value for key, value in row.items() if key not in ("aliases", "popularity")]
        assert all(isinstance(text, str) and text == text.strip() and text for text in texts), row["id"]
        assert isinstance(row["aliases"], list)
        assert isinstance(row["popularity"], float)
        assert 0 <= row["popularity"] <= 8, row["id"]  # Zipf's scale ends at about 8, a word in every ten


def test_ids_are_unique_and_no_subject_stands_twice_in_a_relation(rows, by_relation):
    assert len({row["id"] for row in rows}) == len(rows) == sum(map(len, by_relation.values()))


def test_there_are_enough_facts_in_enough_relations(rows, by_relation):
    assert len(rows) >= 1500
    assert len(by_relation) >= 10
    assert min(map(len, by_relation.values())) >= 20  # four examples and a question in every quartile


def test_aliases_are_texts_of_their_own(rows):
    for row in rows:
        assert all(isinstance(alias, str) and alias.strip() for alias in row["aliases"]), row["id"]
        assert len({row["answer"], *row["aliases"]}) == 1 + len(row["aliases"]), row["id"]


def test_no_answer_vanishes_in_normalisation_or_reads_as_a_refusal(rows):
    # "an", the code of Aragonese, would be dropped as an article.
    for row in rows:
        assert all(accepted(row)), row["id"]
        assert not is_refusal(row["answer"]), row["id"]


def test_no_distractor_is_right(rows):
    for row in rows:
        assert normalize_answer(row["distractor"]) not in accepted(row), row["id"]


def test_distractors_are_answers_of_the_same_relation(by_relation):
    for facts in by_relation.values():
        answers = {row["answer"] for row in facts.values()}
        assert {row["distractor"] for row in facts.values()} <= answers


def test_questions_and_statements_name_what_they_are_about(rows):
    for row in rows:
        for key, named in (
            ("question", [row["subject"]]),
            ("true_statement", [row["subject"], row["answer"]]),
            ("false_statement", [row["subject"], row["distractor"]]),
        ):
            # The first letter is raised at the start of a sentence ("The Moonlight Sonata was …").
            assert all(text.lower() in row[key].lower() for text in named), row["id"]
        assert row["question"].endswith("?")
        assert row["true_statement"] != row["false_statement"]


def test_any_prefix_is_balanced_over_relations(rows, by_relation):
    assert {row["relation"] for row in rows[: len(by_relation)]} == set(by_relation)
    counts = Counter(row["relation"] for row in rows[:100])
    assert set(counts) == set(by_relation)
    assert max(counts.values()) - min(counts.values()) <= 1


def test_any_four_turns_hold_every_popularity_quartile_of_every_relation(rows, by_relation):
    first = Counter((row["relation"], row["popularity_quartile"]) for row in rows[: 4 * len(by_relation)])
    assert set(first.values()) == {1}


def test_quartiles_follow_popularity(by_relation):
    for facts in by_relation.values():
        quartiles = defaultdict(list)
        for row in facts.values():
            quartiles[row["popularity_quartile"]].append(row["popularity"])
        assert sorted(quartiles) == ["q1", "q2", "q3", "q4"]
        assert max(map(len, quartiles.values())) - min(map(len, quartiles.values())) <= 1
        ordered = [quartiles[name] for name in sorted(quartiles)]
        assert all(max(low) <= min(high) for low, high in pairwise(ordered))


def test_every_source_has_a_licence_and_an_attribution(rows):
    sources = tomllib.loads((FOLDER / "sources.toml").read_text(encoding="utf-8"))
    assert {row["source"] for row in rows} | {"wordfreq"} == set(sources)
    readme = (FOLDER / "README.md").read_text(encoding="utf-8")
    for key, source in sources.items():
        assert source["license"], key
        assert source["attribution"], key
        assert source["license"].removeprefix("LicenseRef-") in readme, key


def test_readme_gives_the_count_of_every_relation(rows, by_relation):
    readme = (FOLDER / "README.md").read_text(encoding="utf-8")
    assert f"{len(rows):,} facts" in readme
    for relation, facts in by_relation.items():
        assert f"| {relation} | {len(facts)} |" in readme, relation


@pytest.mark.parametrize(
    ("relation", "subject", "answer"),
    [
        ("country_capital", "France", "Paris"),
        ("country_capital", "Australia", "Canberra"),
        ("country_capital", "United States", "Washington DC"),
        ("country_capital", "Ukraine", "Kiev"),
        ("capital_country", "Ottawa", "Canada"),
        ("capital_country", "London", "UK"),
        ("country_currency", "Japan", "yen"),
        ("country_currency", "Senegal", "West African CFA franc"),
        ("country_currency", "Croatia", "euro"),
        ("country_continent", "Kenya", "Africa"),
        ("country_continent", "Australia", "Oceania"),
        ("country_code", "Switzerland", "CH"),
        ("country_tld", "United Kingdom", ".uk"),
        ("country_calling_code", "Germany", "+49"),
        ("country_language", "Brazil", "Portuguese"),
        ("country_language", "Iran", "Farsi"),
        ("city_country", "Istanbul", "Turkey"),
        ("city_country", "Edinburgh", "Scotland"),
        ("state_capital", "California", "Sacramento"),
        ("state_abbreviation", "Missouri", "MO"),
        ("currency_code", "British pound", "GBP"),
        ("language_code", "German", "de"),
        ("element_symbol", "tungsten", "W"),
        ("element_number", "gold", "79"),
        ("symbol_element", "Na", "sodium"),
        ("number_element", "26", "iron"),
        ("roman_numeral", "1999", "MCMXCIX"),
        ("book_author", "War and Peace", "Leo Tolstoy"),
        ("work_composer", "The Magic Flute", "Mozart"),
        ("painting_artist", "Guernica", "Pablo Picasso"),
        ("president_number", "16th", "Abraham Lincoln"),
        ("event_year", "the Battle of Hastings", "1066"),
        ("compound_formula", "water", "H2O"),
        ("animal_young", "swan", "cygnet"),
        ("greek_letter_next", "psi", "omega"),
        ("summer_olympics_city", "1992", "Barcelona"),
    ],
)
def test_facts_that_people_know(by_relation, relation, subject, answer):
    # Written by hand from general knowledge, not taken from the file.
    assert normalize_answer(answer) in accepted(by_relation[relation][subject])


@pytest.mark.parametrize(
    ("forward", "backward"),
    [
        ("country_capital", "capital_country"),
        ("element_symbol", "symbol_element"),
        ("element_number", "number_element"),
    ],
)
def test_inverse_relations_agree(by_relation, forward, backward):
    back = {row["answer"]: row["subject"] for row in by_relation[backward].values()}
    assert back == {subject: row["answer"] for subject, row in by_relation[forward].items()}


def test_elements_are_numbered_without_a_gap(by_relation):
    assert {int(number) for number in by_relation["number_element"]} == set(range(1, 119))
    assert len({row["answer"] for row in by_relation["symbol_element"].values()}) == 118


def test_codes_are_one_to_one(by_relation):
    for relation in ("country_code", "country_tld", "currency_code", "language_code", "state_abbreviation"):
        answers = [row["answer"] for row in by_relation[relation].values()]
        assert len(set(answers)) == len(answers), relation
        assert len({len(answer) for answer in answers}) == 1, relation


def test_top_level_domains_are_the_country_codes_except_for_britain(by_relation):
    codes = {subject: "." + row["answer"].lower() for subject, row in by_relation["country_code"].items()}
    domains = {subject: row["answer"] for subject, row in by_relation["country_tld"].items()}
    assert {subject for subject in codes if codes[subject] != domains[subject]} == {"United Kingdom"}


def test_true_and_false_statements_draw_on_the_same_answers(by_relation):
    # An answer that were always right or always wrong would tell the label without the subject.
    rows = by_relation["country_currency"].values()
    right = sum(row["answer"] == "euro" for row in rows) / len(rows)
    wrong = sum(row["distractor"] == "euro" for row in rows) / len(rows)
    assert 0.5 * right < wrong < 2 * right


def test_facts_qa_shows_four_examples_of_the_same_relation(rows):
    task = Registry().task("facts_qa")
    data = load_data(task, base=Path(task.directory))
    samples = build_samples(task, data, num_fewshot=None, seed=0, limit=40)
    questions = {row["question"]: row["relation"] for row in rows}
    for sample, row in zip(samples, rows, strict=False):
        blocks = sample.prompt.split("\n\n")
        assert len(blocks) == 5
        asked = [block.split("\n")[0].removeprefix("Q: ") for block in blocks]
        assert asked[-1] == row["question"]
        assert len(set(asked)) == 5
        assert {questions[question] for question in asked} == {row["relation"]}
        assert sample.prompt.endswith("\nA:")
        assert sample.references == (row["answer"], *row["aliases"])
        assert sample.group == {"relation": row["relation"], "popularity_quartile": row["popularity_quartile"]}


def test_facts_verification_judges_both_statements_of_a_fact_in_one_cluster(rows):
    task = Registry().task("facts_verification")
    data = load_data(task, base=Path(task.directory))
    samples = build_samples(task, data, num_fewshot=None, seed=0, limit=3)
    assert [sample.sample_id for sample in samples] == ["0/true", "0/false", "1/true", "1/false", "2/true", "2/false"]
    for number, row in enumerate(rows[:3]):
        true, false = samples[2 * number : 2 * number + 2]
        assert row["true_statement"] in true.prompt
        assert row["false_statement"] in false.prompt
        assert true.choices == false.choices == ("True", "False")
        assert (true.gold, false.gold) == ((0,), (1,))
        assert true.cluster == false.cluster != samples[2 * number - 1].cluster
        assert true.classifier_input == (row["true_statement"], None)


@pytest.mark.parametrize("name", ["facts_qa", "facts_verification"])
def test_cards_name_licence_citation_and_a_primary_metric_of_their_list(name):
    task = Registry().task(name)
    assert task.license == "CC BY-SA 4.0"
    assert task.citation
    assert task.primary_metric in [metric.metric for metric in task.metric_list]
