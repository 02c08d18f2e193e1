"""Trees of shared prefixes against rows run one by one, over families of decoders."""

import pytest
import torch
from families import OTHERS, TREES, VOCABULARY, make
from hypothesis import given, settings
from hypothesis import strategies as st

from halueval.engine.accounting import Accounting
from halueval.engine.attention import attention_kinds
from halueval.engine.encoding import Row, prompt_row
from halueval.engine.loglikelihood import score_decoder_rows
from halueval.engine.packing import pack, visible_mask
from halueval.engine.selfcheck import check_trees
from halueval.engine.tree import Prefilled, TreeRunner
from halueval.engine.trie import Limits, count_distinct, plan_passes

PROBES = [[1, 2, 3, 4, 5, 6, 7], [8, 9, 10]]


@st.composite
def token_rows(draw):
    ids = draw(st.lists(st.integers(0, 3), min_size=2, max_size=16))
    return Row(tuple(ids), draw(st.integers(1, len(ids) - 1)))


row_sets = st.lists(token_rows(), min_size=1, max_size=10)
limit_sets = st.builds(Limits, st.integers(6, 24), st.integers(8, 40), st.integers(20, 60))


@pytest.fixture(scope="module")
def models():
    made = {}

    def get(name, attention=None):
        return made.setdefault((name, attention), make(name, attention))

    return get


def run_trees(model, rows, limits, accounting=None):
    """Results by row, through a plan."""
    kinds = attention_kinds(model, 128)
    assert not isinstance(kinds, str)
    runner = TreeRunner(model, kinds, whole=limits.whole)
    out = {}
    for part in plan_passes(rows, limits):
        results = runner.run([rows[i] for i in part.rows], part.root, accounting or Accounting())
        out |= dict(zip(part.rows, results, strict=True))
    return [out[i] for i in range(len(rows))]


def alone(model, row):
    return score_decoder_rows(model, [row], pad=0, accounting=Accounting())[0]


@pytest.mark.parametrize(
    ("name", "attention"), [*((name, None) for name in TREES), ("llama", "eager"), ("qwen2_mixed", "eager")]
)
def test_rows_score_as_alone_whatever_their_company_order_and_limits(models, name, attention):
    model = models(name, attention)
    known = {}

    @settings(max_examples=8, deadline=None)
    @given(row_sets, limit_sets)
    def check(rows, limits):
        for row, score in zip(rows, run_trees(model, rows, limits), strict=True):
            one = known.setdefault(row, alone(model, row))
            assert score.logprobs == pytest.approx(one.logprobs, abs=1e-4)
            assert score.is_greedy == one.is_greedy

    check()


@pytest.mark.parametrize("name", TREES)
def test_the_probe_lets_models_share_that_take_a_mask(models, name):
    kinds = check_trees(models(name), 128, PROBES)
    assert not isinstance(kinds, str), kinds


@pytest.mark.parametrize("name", OTHERS)
def test_alibi_and_recurrence_are_noticed(models, name):
    assert name in check_trees(models(name), 128, PROBES)


def test_a_window_that_the_masks_do_not_keep_is_noticed(models, monkeypatch):
    model = models("mistral")
    # As if the configuration said nothing: the masks would show everything, and the plain path a window.
    monkeypatch.setattr("halueval.engine.attention.visible_mask", lambda p, d, _: visible_mask(p, d))
    assert "scored a probe differently" in check_trees(model, 128, PROBES)


def test_layers_of_an_unknown_kind_are_named(models):
    model = make("llama")
    model.config.layer_types = ["full_attention", "chunked_attention"]
    assert check_trees(model, 128, PROBES) == "llama has layers of chunked_attention"


def test_a_window_as_long_as_the_models_own_is_none(models):
    kinds = attention_kinds(models("mistral"), 5)
    assert kinds.window is None


def test_a_node_sees_its_ancestors_and_itself():
    # 1 → 2 → 3 and 1 → 4 on a root of two tokens.
    packed = pack([Row((8, 9, 1, 2, 3, 0), 1), Row((8, 9, 1, 4, 0), 1)], 2)
    assert (packed.tokens, packed.depths, packed.ends) == ([1, 2, 3, 4], [2, 3, 4, 3], [4, 3, 3, 4])
    assert packed.paths == [[0, 1, 2], [0, 3]]
    assert visible_mask(packed, torch.device("cpu")).int().tolist() == [
        [1, 1, 1, 0, 0, 0],
        [1, 1, 1, 1, 0, 0],
        [1, 1, 1, 1, 1, 0],
        [1, 1, 1, 0, 0, 1],
    ]
    assert visible_mask(packed, torch.device("cpu"), 2).int().tolist() == [
        [0, 1, 1, 0, 0, 0],
        [0, 0, 1, 1, 0, 0],
        [0, 0, 0, 1, 1, 0],
        [0, 0, 1, 0, 0, 1],
    ]


@given(row_sets)
def test_a_packed_tree_has_a_node_for_each_distinct_prefix(rows):
    rows = sorted(rows, key=lambda row: row.fed)
    packed = pack(rows, 0)
    assert len(packed.tokens) == count_distinct(rows)
    for row, path in zip(rows, packed.paths, strict=True):
        assert [packed.tokens[node] for node in path] == list(row.fed)
        assert [packed.depths[node] for node in path] == list(range(len(path)))


def test_each_distinct_token_is_computed_once(models):
    primer = tuple(range(40))
    rows = [Row((*primer, 41 + i, 5, 6), 2) for i in range(10)]
    accounting = Accounting()
    run_trees(models("llama"), rows, Limits(tokens=6, whole=16, scored=64), accounting)
    assert accounting.tokens_computed == count_distinct(rows) == 40 + 20
    assert accounting.forward_passes == 3 + 4  # the primer in pieces of 16; three rows of two tokens a pass
    assert accounting.tokens_padding == 0


def test_a_prompt_comes_out_with_its_cache_and_the_logits_behind_it(models):
    model = models("llama")
    prompts = [prompt_row((*range(30), 5)), prompt_row((*range(30), 6, 7))]
    for row, result in zip(prompts, run_trees(model, prompts, Limits(2, 16, 64)), strict=True):
        assert isinstance(result, Prefilled)
        with torch.inference_mode():
            plain = model(torch.tensor([row.fed]))
        torch.testing.assert_close(result.logits, plain.logits[0, -1], atol=1e-4, rtol=0)
        layer = plain.past_key_values.layers[1]
        torch.testing.assert_close(result.layers[1].keys[:, :, result.nodes], layer.keys, atol=1e-4, rtol=0)


def test_a_root_is_kept_while_passes_stand_on_it_and_then_given_back(models):
    rows = [Row((*[tokens] * 40, 50 + i, 1), 1) for tokens in (1, 2) for i in range(8)]
    runner = TreeRunner(models("llama"), attention_kinds(models("llama"), 128), whole=64)
    accounting = Accounting()
    for part in plan_passes(rows, Limits(tokens=3, whole=16, scored=64)):
        runner.run([rows[i] for i in part.rows], part.root, accounting)
        assert set(runner._chain) == set(part.root.chain())
    assert accounting.tokens_computed == count_distinct(rows)
    assert max(max(row.ids) for row in rows) < VOCABULARY


def test_nested_roots_hold_one_copy_of_what_they_share(models):
    # A primer of 30 tokens, two documents of 30 on it, four answers of 6 on each.
    rows = [Row((*[1] * 30, *[2 + document] * 30, *[10 + i] * 6, 1), 1) for document in (0, 1) for i in range(4)]
    runner = TreeRunner(models("llama"), attention_kinds(models("llama"), 128), whole=64)
    storages = []
    for part in plan_passes(rows, Limits(tokens=8, whole=8, scored=64)):
        mine = [rows[i] for i in part.rows]
        for row, score in zip(mine, runner.run(mine, part.root, Accounting()), strict=True):
            assert score.logprobs == pytest.approx(alone(models("llama"), row).logprobs, abs=1e-4)
        storages.append({prefix.layers[0].keys.untyped_storage().data_ptr() for prefix in runner._chain.values()})
        assert len(runner._chain) == 2
    assert len(storages) == 8
    assert all(len(held) == 1 for held in storages)
