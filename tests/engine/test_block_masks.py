"""Block masks of FlexAttention against dense ones. The kernels for a GPU are torch's; here its plain form runs."""

from dataclasses import replace

import pytest
import torch
from families import TREES, make
from hypothesis import given, settings
from hypothesis import strategies as st
from test_tree import PROBES, alone, limit_sets, row_sets, token_rows
from torch.nn.attention.flex_attention import create_mask

from halueval.engine import blocks
from halueval.engine.accounting import Accounting
from halueval.engine.attention import attention_kinds
from halueval.engine.encoding import Row
from halueval.engine.packing import pack, visible_mask
from halueval.engine.selfcheck import check_trees
from halueval.engine.tree import TreeRunner
from halueval.engine.trie import plan_passes

pytestmark = [
    # Compiling is for the device that runs it; torch says that the plain form is slow.
    pytest.mark.filterwarnings("ignore:flex_attention called without torch.compile"),
    # torch's own compiler imports a module that uses it.
    pytest.mark.filterwarnings("ignore:`torch.jit.script_method` is deprecated:DeprecationWarning"),
]


@pytest.fixture(autouse=True)
def plain_form():
    with torch.compiler.set_stance("force_eager"):
        yield


@pytest.mark.parametrize(
    ("tokens", "padded"), [(1, 128), (128, 128), (129, 256), (257, 512), (512, 512), (513, 1024), (2048, 2048)]
)
def test_lengths_are_padded_to_a_power_of_two_of_blocks(tokens, padded):
    assert blocks.padded_length(tokens) == padded


@settings(deadline=None, max_examples=50)
@given(st.lists(token_rows(), min_size=1, max_size=8), st.integers(0, 1), st.sampled_from([None, 1, 3]))
def test_a_block_mask_shows_what_the_dense_mask_shows_and_nothing_of_the_padding(rows, offset, window):
    rows = sorted((Row((9, *row.ids), row.num_scored) for row in rows), key=lambda row: row.fed)
    packed = pack(rows, offset)
    dense = visible_mask(packed, torch.device("cpu"), window)
    mask = blocks.block_mask(packed, torch.device("cpu"), window)
    shown = create_mask(mask.mask_mod, 1, 1, *mask.seq_lengths, device="cpu")[0, 0]
    n, keys = dense.shape
    assert mask.seq_lengths == (128, 128)
    assert torch.equal(shown[:n, :keys], dense)
    assert not shown[:, keys:].any()


def test_blocks_of_strangers_are_skipped():
    # Eight texts of 128 tokens that share nothing: each block of queries sees its own block of keys only.
    packed = pack([Row((first, *range(10, 138)), 1) for first in range(8)], 0)
    mask = blocks.block_mask(packed, torch.device("cpu"))
    assert mask.seq_lengths == (1024, 1024)
    assert mask.kv_num_blocks.add(mask.full_kv_num_blocks).flatten().tolist() == [1] * 8
    assert mask.sparsity() == pytest.approx(100 * 7 / 8)


@pytest.mark.parametrize("name", [name for name in TREES if name != "gpt2"])
def test_rows_score_as_alone_with_block_masks(name):
    model = make(name)
    before = model.config._attn_implementation
    kinds = replace(attention_kinds(model, 128), blocks=True)

    @settings(max_examples=4, deadline=None)
    @given(row_sets, limit_sets)
    def check(rows, limits):
        runner = TreeRunner(model, kinds, whole=limits.whole)
        for part in plan_passes(rows, limits):
            mine = [rows[i] for i in part.rows]
            for row, score in zip(mine, runner.run(mine, part.root, Accounting()), strict=True):
                assert score.logprobs == pytest.approx(alone(model, row).logprobs, abs=1e-4)

    check()
    assert model.config._attn_implementation == before


@pytest.mark.parametrize("name", ["llama", "mistral", "gemma3"])
def test_the_probe_chooses_blocks_where_the_device_has_them(name, monkeypatch):
    monkeypatch.setattr("halueval.engine.selfcheck.can_take_blocks", lambda _: True)
    kinds = check_trees(make(name), 128, PROBES)
    assert kinds.blocks
    assert kinds.remark == ""


def test_blocks_that_prove_wrong_give_way_to_dense_masks_and_it_is_said(monkeypatch):
    monkeypatch.setattr("halueval.engine.selfcheck.can_take_blocks", lambda _: True)
    see_all = blocks.block_mask
    monkeypatch.setattr("halueval.engine.attention.block_mask", lambda p, d, _: see_all(p, d))
    kinds = check_trees(make("mistral"), 128, PROBES)
    assert not kinds.blocks
    assert "block masks: mistral scored a probe differently" in kinds.remark


def test_blocks_that_cannot_be_compiled_give_way_too(monkeypatch):
    def broken(*_, **__):
        raise RuntimeError("no compiler for this device")

    monkeypatch.setattr("halueval.engine.selfcheck.can_take_blocks", lambda _: True)
    monkeypatch.setattr("halueval.engine.blocks._attend", broken)
    kinds = check_trees(make("llama"), 128, PROBES)
    assert not kinds.blocks
    assert "RuntimeError" in kinds.remark


def test_a_model_that_knows_no_block_masks_gets_dense_ones(monkeypatch):
    # GPT-2 of transformers 5.23 asks for the number of dimensions of its mask, which a block mask does not have.
    monkeypatch.setattr("halueval.engine.selfcheck.can_take_blocks", lambda _: True)
    kinds = check_trees(make("gpt2"), 128, PROBES)
    assert not kinds.blocks
    assert kinds.remark


def test_a_cpu_gets_dense_masks():
    assert not blocks.can_take_blocks(make("llama"))
