"""Verdicts of a run's checkers: kept as they come, used again for what they were said of, and for nothing else."""

import json

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from runs import run_fake, write_task
from test_scoring_progress import ROWS, SUMMARY

from halueval.backends.fake import FakeBackend
from halueval.consistency.base import ConsistencyScorer, Pair, SentenceScore, Verdict
from halueval.consistency.endpoint import WENT_ON_FAILING
from halueval.consistency.grid import GridScorer
from halueval.consistency.hhem import HHEM
from halueval.consistency.judge import Judge
from halueval.consistency.keeping import decode_verdict, encode_verdict, pair_key, passes
from halueval.engine.memory import OUT_OF_MEMORY
from halueval.errors import ModelError
from halueval.verdicts import KeptVerdicts

NUMBERS = st.none() | st.integers(-3, 3) | st.floats(allow_nan=False, allow_infinity=False)
TEXTS = st.text() | st.just("half a character: \ud83d")
VERDICTS = st.builds(
    Verdict,
    NUMBERS,
    st.none() | TEXTS,
    st.lists(st.builds(SentenceScore, TEXTS, NUMBERS, st.none() | TEXTS), max_size=3).map(tuple),
    st.integers(0, 9),
    st.dictionaries(TEXTS, st.floats(allow_nan=False), max_size=2),
)


class Costly(ConsistencyScorer):
    """Two pairs at a time; the value of a pair is its place in its group, so that groups that change are seen."""

    name = "costly"
    cost = "model"
    group = 2
    needs_words = True

    def __init__(self, *, breaks_at=None, fails=(), why=OUT_OF_MEMORY):
        self.breaks_at, self.fails, self.why = breaks_at, fails, why
        self.groups = []

    def verdicts(self, pairs, advance):
        out = []
        for start in range(0, len(pairs), 2):
            claims = [pair.claim for pair in pairs[start : start + 2]]
            if self.breaks_at in claims:
                raise ModelError("the endpoint cannot be reached")
            self.groups.append(claims)
            advance(len(claims))
            out += [Verdict.unscored(self.why) if c in self.fails else Verdict(i / 3) for i, c in enumerate(claims)]
        return out


class Paid(Costly):
    name = "paid"
    cost = "endpoint"


PAIRS = [Pair("s", claim) for claim in ("a", "b", "...", "c", "d", "e")]


def scored(scorer, directory, pairs=PAIRS, **options):
    kept, told = KeptVerdicts(scorer, pairs, directory, **options), []
    found = kept.score(told.append)
    assert sum(told) == len(pairs) - kept.done
    return [verdict.value for verdict in found]


VALUES = [0, 1 / 3, None, 0, 1 / 3, 0]


def test_what_was_interrupted_goes_on_with_the_same_groups(tmp_path):
    with pytest.raises(ModelError, match="cannot be reached"):
        scored(Costly(breaks_at="e"), tmp_path)
    again, last = Costly(), Costly()
    assert scored(again, tmp_path) == VALUES == scored(Costly(), None)
    assert again.groups == [["e"]]
    assert scored(last, tmp_path) == VALUES
    assert last.groups == []


def test_a_line_that_a_kill_cut_short_costs_its_own_group(tmp_path):
    scored(Costly(), tmp_path)
    (path,) = tmp_path.iterdir()
    path.write_bytes(path.read_bytes()[:-9])
    again = Costly()
    assert scored(again, tmp_path) == VALUES
    assert again.groups == [["e"]]
    path.write_bytes(b'[]\n{"0": {"value": "x"}}\n{"1": 3}\n\xff\n')
    scored(anew := Costly(), tmp_path)
    assert anew.groups == [["a", "b"], ["c", "d"], ["e"]]


def test_a_failure_that_may_pass_is_asked_again_with_its_group(tmp_path):
    assert scored(Costly(fails=("d",)), tmp_path) == [0, 1 / 3, None, 0, None, 0]
    again = Costly()
    assert scored(again, tmp_path) == VALUES
    assert again.groups == [["c", "d"]]
    assert scored(Costly(fails=("d",), why="longer than the window"), tmp_path / "x")[4] is None
    scored(lasting := Costly(), tmp_path / "x")
    assert lasting.groups == []


def test_an_endpoint_is_paid_once_for_each_pair(tmp_path):
    twice = [*PAIRS, Pair("s", "a")]
    scored(first := Paid(fails=("d",), why=f"{WENT_ON_FAILING} (HTTP Error 429)"), tmp_path, twice)
    assert first.groups == [["a", "b"], ["c", "d"], ["e"]]
    scored(second := Paid(), tmp_path, [Pair("s", "new"), *twice])
    assert second.groups == [["new", "d"]]


@pytest.mark.parametrize("changed", [{"version": 2}, {"pairs": PAIRS[:4]}, {"fresh": True}])
def test_another_scorer_or_list_or_a_fresh_start_uses_nothing(tmp_path, changed):
    scored(Costly(), tmp_path)
    other = Costly()
    other.version = changed.pop("version", 1)
    scored(other, tmp_path, **changed)
    assert other.groups[0] == ["a", "b"]


def test_rules_keep_nothing(tmp_path):
    rules = Costly()
    rules.cost = "rules"
    assert scored(rules, tmp_path) == VALUES
    assert not list(tmp_path.iterdir())


@given(VERDICTS)
@settings(deadline=None)
def test_verdicts_come_back_as_they_were(verdict):
    line = json.dumps(encode_verdict(verdict), ensure_ascii=False).encode("utf-8", "backslashreplace")
    assert decode_verdict(json.loads(line)) == verdict


def test_only_failures_of_place_and_hour_pass():
    assert passes(Verdict.unscored(OUT_OF_MEMORY))
    assert passes(Verdict.unscored(f"no fact could be checked: {WENT_ON_FAILING} (HTTP Error 503)"))
    assert not passes(Verdict.unscored("the judge's answer holds no verdict"))
    assert not passes(Verdict(0.5, OUT_OF_MEMORY))


def test_a_pair_is_known_by_all_that_a_scorer_sees():
    pairs = [Pair("s", "c"), Pair("c", "s"), Pair("s", "c", "q"), Pair("s", "c", None, "zh"), Pair("s", "c", "")]
    assert len({pair_key(pair) for pair in pairs}) == len(pairs)


def test_scorers_with_groups_of_their_own_say_so():
    assert (GridScorer.group, HHEM.group, Judge.group) == (64, 64, 64)


def run(tmp_path, monkeypatch, scorer, **options):
    monkeypatch.setattr("halueval.checking.create", lambda name, options: scorer)
    backend = FakeBackend(lambda prompt: f" {prompt.split()[0]} is gone.")
    task = write_task(tmp_path, rows=ROWS, **{**SUMMARY, "metric_list": ["consistency"]})
    return run_fake(task, tmp_path / options.pop("out", "out"), backend, **options)[0]


def test_a_run_whose_endpoint_went_away_goes_on_and_equals_one_that_was_not_disturbed(tmp_path, monkeypatch):
    order = Costly()
    whole = run(tmp_path, monkeypatch, order, out="whole")
    last = order.groups[-1]
    with pytest.raises(ModelError, match="cannot be reached"):
        run(tmp_path, monkeypatch, Costly(breaks_at=last[0]))
    again = Costly()
    resumed = run(tmp_path, monkeypatch, again)
    assert again.groups == [last]
    assert resumed.path.name == whole.path.name
    assert (resumed.path / "samples.jsonl").read_bytes() == (whole.path / "samples.jsonl").read_bytes()
    run(tmp_path, monkeypatch, anew := Costly(), fresh=True)
    assert anew.groups[:2] == order.groups
