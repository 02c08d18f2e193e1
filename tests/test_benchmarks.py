"""The parts of the benchmarks that count and judge; nothing here is timed."""

import json

import pytest

from benchmarks import consistency_speed
from benchmarks.engine import floor, parity, plain_loops
from benchmarks.engine.__main__ import parse
from benchmarks.engine.context import Context, Settings, Side, paired
from benchmarks.engine.process import BenchError
from benchmarks.engine.report import render

CONFIG = {
    "hidden_size": 4,
    "intermediate_size": 6,
    "num_attention_heads": 2,
    "num_key_value_heads": 1,
    "num_hidden_layers": 3,
    "vocab_size": 10,
}


@pytest.fixture
def letters(tmp_path):
    from tokenizers import Tokenizer, models

    vocabulary = {letter: index for index, letter in enumerate("abcdef")}
    Tokenizer(models.BPE(vocabulary, [])).save(str(tmp_path / "tokenizer.json"))
    return tmp_path


def context(tmp_path, *, whole=True):
    settings = Settings(tmp_path, tmp_path / "python")
    return Context(settings, "name", rows=1, rounds=1, whole=whole, folder=tmp_path, position="1/1")


def test_distinct_prefixes_by_hand(letters):
    # Fed are ab, abc (for abcd), ab (for abe): prefixes a, ab, abc. Scored after: ab (c and e), abc.
    work = floor.count([("ab", "cd"), ("ab", "e"), ("ab", "e")], letters)
    assert work == floor.Work(requested=10, distinct=3, scored=2, depths=1 + 2 + 3)


def test_flops_by_hand():
    # One layer: q 4×4, k and v 4×2, o 4×4, gate and up 4×6, down 6×4: 16 + 16 + 16 + 72 = 120 weights.
    found = floor.flops(floor.Work(requested=9, distinct=5, scored=2, depths=7), CONFIG)
    assert found == {"layers": 2 * 3 * 120 * 5, "head": 2 * 40 * 2, "attention": 4 * 3 * 4 * 7, "total": 4096.0}


def test_ratio_is_of_medians_and_memory_the_largest():
    def side(scoring, process, memory):
        return Side(process=process, scoring=scoring, peak_memory=memory, detail={})

    found = paired({"peer": [side(9, 20, 5), side(11, 40, 7)], "halueval": [side(2, 5, 3), side(3, 7, 2)]}, "peer")
    assert found["ratios"] == {"scoring": 4, "process": 5, "scoring_by_round": [4.5, pytest.approx(11 / 3)]}
    assert found["sides"]["peer"]["peak_memory_bytes"] == 7


def test_pairs_a_second_are_of_medians_and_loading_is_told_apart():
    runs = [{"seconds": s, "loading": 3.0, "sums": [-1.0, -2.5, None, -4.0]} for s in (1.0, 2.0, 9.0)]
    loop = [{"seconds": 5.0, "loading": 1.0, "sums": [-1.0, -2.0, -3.0, -4.25]}]
    wasteful = [{"seconds": 8.0, "loading": 1.0, "sums": [-1.0, -2.0, -3.0, -4.25]}]
    cells = [cell.strip() for cell in consistency_speed.row("a", "float32", runs, [wasteful, loop]).split("|")[1:-1]]
    assert cells == ["a", "float32", "2.0", "0.8", "3.0", "4.0×", "2.5×", "5.0e-01", "1"]
    assert consistency_speed.row("a", "float32", runs, None).endswith("| 3.0 |  |  |  | 1 |")


def test_both_plain_loops_give_the_same_log_likelihoods():
    import torch
    from small_models import build_tokenizer
    from transformers import LlamaConfig, LlamaForCausalLM

    tokenizer = build_tokenizer(bos="<s>", eos="</s>")
    torch.manual_seed(0)
    sizes = {"hidden_size": 16, "intermediate_size": 32, "num_hidden_layers": 1, "num_attention_heads": 2}
    model = LlamaForCausalLM(LlamaConfig(**sizes, vocab_size=len(tokenizer), initializer_range=0.3)).eval()
    rows = [("The capital of France is", " Paris."), ("A film was reviewed", " as good, another as bad.")]
    with torch.inference_mode():
        frugal, whole = (plain_loops.LOOPS[name](model, tokenizer, rows, {}) for name in ("pairs", "whole_pairs"))
    assert whole == pytest.approx(frugal, abs=1e-4)
    assert whole[0] != pytest.approx(whole[1], abs=0.1)


def test_sides_that_were_asked_different_things_are_not_compared():
    assert parity.largest_difference({"a": 1.0, "b": 2.0}, {"a": 1.5, "b": 2.0}) == 0.5
    with pytest.raises(BenchError, match="1 requests only ours, 0 only the peer's"):
        parity.largest_difference({"a": 1.0, "b": 2.0}, {"a": 1.0})


@pytest.mark.parametrize(
    ("left", "right", "position"), [([1, 2], [1, 2], None), ([1, 2], [1, 3], 1), ([1], [1, 2], 1), ([1], [2], 0)]
)
def test_where_answers_part(left, right, position):
    assert parity.first_difference(left, right) == position


def test_goals_are_judged_on_all_rows_only_and_a_missing_value_misses(tmp_path):
    full, part = context(tmp_path), context(tmp_path, whole=False)
    for each in (full, part):
        each.goal("speed", 3.0, ">=", 2)
        each.goal("difference", 3.0, "<=", 2)
        each.goal("lost", None, "<=", 2)
        each.equal("answers", 9, 10, explained=1)
        each.equal("answers", 9, 10)
    assert [goal.reached for goal in full.goals] == [True, False, False, True, False]
    assert {goal.reached for goal in part.goals} == {None}


def test_a_failed_workload_is_on_the_page():
    machine = {"processor": "p", "cores": 2, "memory_gib": 1, "system": "s", "python": "3", "packages": {}}
    failed = {"title": "Some work", "status": "failed", "problem": "it broke | here", "rows": 1}
    page = render({"work": {**failed, "machine": {**machine, "commit": "c"}}}, ["other", "work"])
    assert "| work | it broke ¦ here |  |  | **failed** |" in page
    assert "Failed: it broke | here" in page


def test_unknown_workload_is_refused(capsys):
    with pytest.raises(SystemExit):
        parse(["--only", "nq"])
    assert "no workload 'nq'; there are: truthfulqa, nq_open" in capsys.readouterr().err


def test_stand_in_has_right_choices_first_and_no_repeats(monkeypatch, tmp_path):
    from benchmarks.engine import data

    known = [{"question": f"q{i}", "answer": [f"a{i}", f"a{i}", f"b{i}"]} for i in range(7)]
    known[1]["answer"] = ["a0"]
    path = tmp_path / "combined.jsonl"
    path.write_text("\n".join(json.dumps(row) for row in known))
    monkeypatch.setattr(data, "fetch", lambda *_, **__: type("Fetched", (), {"path": path}))
    rows, _ = data.truthfulqa_rows(None)
    assert rows[0]["mc2_targets"] == {
        "choices": ["a0", "b0", "a2", "a3", "a4", "a5"],
        "labels": [1, 1, 0, 0, 0, 0],
    }
    assert rows[0]["mc1_targets"]["choices"] == ["a0", "a2", "a3", "a4", "a5"]
