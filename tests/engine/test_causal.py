"""Attention in blocks of queries against plain attention, and models that run with it against rows run alone."""

from __future__ import annotations

from dataclasses import replace
from types import SimpleNamespace

import pytest
import torch
from families import TREES, make
from hypothesis import given, settings
from hypothesis import strategies as st
from test_tree import PROBES, alone, limit_sets, row_sets

from halueval.engine import causal
from halueval.engine.accounting import Accounting
from halueval.engine.attention import AttentionKinds, attending, attention_kinds, pass_masks
from halueval.engine.causal import CausalBlocks, attend, blocks_pay, causal_blocks, fits
from halueval.engine.encoding import Row
from halueval.engine.packing import pack
from halueval.engine.selfcheck import check_trees
from halueval.engine.tree import TreeRunner
from halueval.engine.trie import Limits, plan_passes

PLAIN = ("llama", "qwen2", "qwen3", "gpt2", "gpt_neox", "opt")
"""Families of which every layer sees all that stands before."""

pytestmark = pytest.mark.skipif(not torch.backends.mkldnn.is_available(), reason="torch without oneDNN")


def plain(query, key, value, scaling):
    """By the formula, in float64: shapes as `attend`'s."""
    query, key, value = (states.double() for states in (query, key, value))
    n, length, group = query.shape[2], key.shape[2], query.shape[1] // key.shape[1]
    key, value = (states.repeat_interleave(group, 1) for states in (key, value))
    seen = torch.ones(n, length, dtype=torch.bool).tril(length - n)
    scores = (query @ key.transpose(2, 3) * scaling).masked_fill(~seen, -torch.inf)
    return (scores.softmax(-1) @ value).transpose(1, 2)


def states(heads, n, size, seed, *, by_token):
    """Standard normal numbers of shape (1, heads, n, size), in memory token after token or head after head."""
    draw = torch.Generator().manual_seed(seed)
    if by_token:
        return torch.randn(1, n, heads, size, generator=draw).transpose(1, 2)
    return torch.randn(1, heads, n, size, generator=draw)


def test_attention_by_hand():
    # Scores of the second token: 0 for the first and ln 3 for itself, so it gives them a quarter and three quarters.
    query = torch.tensor([[[[5.0], [1.0]]]])
    key = torch.tensor([[[[0.0], [float(torch.tensor(3.0).log())]]]])
    value = torch.tensor([[[[8.0, 0.0], [4.0, 1.0]]]])
    assert attend(query, key, value, 1.0, 1).flatten().tolist() == pytest.approx([8.0, 0.0, 5.0, 0.75])


@settings(deadline=None, max_examples=60)
@given(
    st.integers(1, 3),
    st.integers(1, 4),
    st.integers(1, 40),
    st.integers(0, 20),
    st.sampled_from([4, 8, 24]),
    st.integers(1, 48),
    st.booleans(),
    st.sampled_from([0.1, 0.35, 1.0]),
)
def test_it_is_plain_attention_for_any_heads_root_and_block(shared, group, n, root, size, block, by_token, scaling):
    query = states(shared * group, n, size, 1, by_token=by_token)
    key, value = (states(shared, root + n, size, seed, by_token=by_token) for seed in (2, 3))
    found = attend(query, key, value, scaling, block)
    assert found.shape == (1, n, shared * group, size)
    torch.testing.assert_close(found.double(), plain(query, key, value, scaling), atol=2e-5, rtol=0)


def test_in_bfloat16_it_is_nearer_to_the_exact_numbers_than_the_fused_kernel():
    query, key, value = (states(4, 96, 16, seed, by_token=True).bfloat16() for seed in (1, 2, 3))
    exact = plain(query, key, value, 0.25)
    fused = torch.nn.functional.scaled_dot_product_attention(query, key, value, is_causal=True).transpose(1, 2)
    found = attend(query, key, value, 0.25, 32)
    assert found.dtype == torch.bfloat16
    assert float((found - exact).square().mean()) <= float((fused - exact).square().mean())


def test_values_may_be_wider_than_keys():
    query, key, value = (states(2, 9, size, 1, by_token=False) for size in (4, 4, 6))
    assert attend(query, key, value, 0.5, 4).shape == (1, 9, 2, 6)


def scores_as_alone(model, kinds, rows, limits):
    """Hold each row of a plan to the row run by itself with torch's kernel."""
    runner = TreeRunner(model, kinds, whole=limits.whole)
    for part in plan_passes(rows, limits):
        mine = [rows[i] for i in part.rows]
        for row, score in zip(mine, runner.run(mine, part.root, Accounting()), strict=True):
            assert score.logprobs == pytest.approx(alone(model, row).logprobs, abs=1e-4)


@pytest.mark.parametrize("name", PLAIN)
def test_rows_score_as_alone_with_blocks_of_queries(name, monkeypatch):
    model = make(name)
    kinds = replace(attention_kinds(model, 128), causal=CausalBlocks(queries=3, least=2))
    roots = []
    monkeypatch.setattr(
        causal, "attend", lambda q, k, *rest: roots.append(k.shape[2] - q.shape[2]) or attend(q, k, *rest)
    )

    @settings(max_examples=4, deadline=None)
    @given(row_sets, limit_sets)
    def check(rows, limits):
        scores_as_alone(model, kinds, rows, limits)

    check()
    # A text in one pass with a beginning of itself, then in pieces that stand on one another.
    text = [Row((*range(50), *range(5)), 20), Row(tuple(range(30)), 4)]
    roots.clear()
    scores_as_alone(model, kinds, text, Limits(tokens=64, whole=64, scored=64))
    assert roots == [0] * 2
    scores_as_alone(model, kinds, text, Limits(tokens=8, whole=16, scored=64))
    assert {0, 16} <= set(roots)
    assert model.config._attn_implementation == "sdpa"


@pytest.mark.parametrize("name", TREES)
def test_the_probe_holds_blocks_of_queries_to_the_plain_path(name, monkeypatch):
    chosen = CausalBlocks(queries=128, least=128)
    monkeypatch.setattr("halueval.engine.selfcheck.causal_blocks", lambda _: chosen)
    kinds = check_trees(make(name), 128, PROBES)
    assert kinds.causal == (chosen if name in PLAIN else None)
    assert kinds.remark == ""


@pytest.mark.parametrize("wrong", [lambda out: out * 1.1, lambda out: out / 0, lambda out: out[:, :0]])
def test_blocks_of_queries_that_prove_wrong_give_way_and_it_is_said(wrong, monkeypatch):
    monkeypatch.setattr("halueval.engine.selfcheck.causal_blocks", lambda _: CausalBlocks(128, 128))
    monkeypatch.setattr(causal, "attend", lambda *given: wrong(attend(*given)))
    kinds = check_trees(make("llama"), 128, PROBES)
    assert kinds.causal is None
    assert kinds.remark.startswith("torch's own attention in place of blocks of queries: llama")


def test_only_long_chains_of_plain_layers_are_cut():
    model = make("llama")
    cut = AttentionKinds(None, causal=CausalBlocks(queries=4, least=8))
    chain = pack([Row(tuple(range(6)), 1), Row(tuple(range(9)), 1)], 0)
    on_a_root = pack([Row(tuple(range(20)), 1)], 10)
    tree = pack([Row(tuple(range(9)), 1), Row((0, *range(20, 29)), 1)], 0)
    short = pack([Row(tuple(range(8)), 1)], 0)
    for packed, kinds, ours in [
        (chain, cut, True),
        (on_a_root, cut, True),
        (tree, cut, False),
        (short, cut, False),
        (chain, AttentionKinds(None), False),
        (chain, replace(cut, window=5), False),
        (chain, replace(cut, kinds=("full_attention", "sliding_attention")), False),
    ]:
        with attending(model, kinds, packed, pass_masks(model, kinds, packed)):
            assert (model.config._attn_implementation == causal.NAME) == ours
    assert pass_masks(model, cut, chain) is None
    assert pass_masks(model, cut, on_a_root).shape == (1, 1, 9, 19)


@pytest.mark.parametrize(
    ("options", "fit"),
    [
        ({}, True),
        ({"scaling": 0.3, "dropout": 0.0, "position_ids": torch.zeros(1, 5), "use_cache": True}, True),
        ({"sliding_window": 5, "softcap": None, "output_attentions": False}, True),
        ({"sliding_window": 4}, False),
        ({"dropout": 0.1}, False),
        ({"softcap": 30.0}, False),
        ({"s_aux": torch.zeros(4)}, False),
        ({"position_bias": torch.zeros(1, 4, 5, 5)}, False),
        ({"is_causal": False}, False),
        ({"cache": object()}, False),
    ],
)
def test_what_a_layer_asks_for_beyond_that_is_left_to_torch(options, fit):
    query, key = torch.zeros(1, 4, 5, 8), torch.zeros(1, 2, 5, 8)
    layer = SimpleNamespace(is_causal=True)
    assert fits(layer, query, key, None, options) == fit
    assert not fits(SimpleNamespace(is_causal=False), query, key, None, {})
    assert not fits(layer, query.expand(2, 4, 5, 8), key.expand(2, 2, 5, 8), None, {})
    assert not fits(layer, query, key, torch.zeros(1, 1, 5, 5), {})  # a mask that is not ours
    assert not fits(layer, query, torch.zeros(1, 2, 7, 8), None, {})


def test_a_layer_that_does_not_fit_gets_torchs_kernel(monkeypatch):
    monkeypatch.setattr(causal, "fits", lambda *_: False)
    monkeypatch.setattr(causal, "attend", None)
    kinds = AttentionKinds(None, causal=CausalBlocks(queries=3, least=2))
    scores_as_alone(make("llama"), kinds, [Row(tuple(range(40)), 5)], Limits(tokens=8, whole=16, scored=64))


def test_blocks_of_queries_must_be_right_and_faster(monkeypatch):
    shape = (64, 32, 4, 2, 8)
    monkeypatch.setattr(causal, "_seconds", lambda call: {"fused": 2.0, "ours": 1.0}[call.__name__])
    assert blocks_pay(*shape, torch.float32)
    assert blocks_pay(*shape, torch.bfloat16)
    assert not blocks_pay(*shape, torch.float16)
    monkeypatch.setattr(causal, "_seconds", lambda _: 1.0)
    assert not blocks_pay(*shape, torch.float32)
    monkeypatch.setattr(causal, "_seconds", lambda call: {"fused": 2.0, "ours": 1.0}[call.__name__])
    monkeypatch.setattr(causal, "attend", lambda *given: attend(*given) + 1e-3)
    assert not blocks_pay(*shape, torch.float32)


def test_it_is_asked_once_for_heads_of_a_kind_whether_blocks_pay(monkeypatch):
    asked = []
    causal._pays.cache_clear()
    monkeypatch.setattr(causal, "blocks_pay", lambda *shape: bool(asked.append(shape)) or shape[1] == 128)
    assert causal_blocks(make("llama")) == CausalBlocks(queries=128, least=128)
    assert causal_blocks(make("llama")) == CausalBlocks(queries=128, least=128)
    assert asked == [(512, 128, 4, 2, 8, torch.float32)]
    assert causal_blocks(make("gpt2")) is None
    assert causal_blocks(make("llama", "eager")) is None
    assert len(asked) == 2
    causal._pays.cache_clear()
