"""Trees of shared prefixes against rows run one by one."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from halueval.engine.accounting import Accounting
from halueval.engine.batching import Budget
from halueval.engine.encoding import Row
from halueval.engine.loglikelihood import score_decoder_rows
from halueval.engine.trie import (
    TREE_TOKENS,
    ancestor_mask,
    build_tree,
    common_prefix,
    plan_trees,
    score_tree,
    sharing_problem,
)

VOCABULARY = 50
BUDGET = Budget(4096, 2048)


@st.composite
def token_rows(draw):
    ids = draw(st.lists(st.integers(0, 3), min_size=2, max_size=12))
    return Row(tuple(ids), draw(st.integers(1, len(ids) - 1)))


row_sets = st.lists(token_rows(), min_size=1, max_size=8)


def make(name):
    """A small random model of a family, with large weights so that its logits differ clearly."""
    import transformers as hf

    torch.manual_seed(0)
    wide = {"vocab_size": VOCABULARY, "hidden_size": 32, "num_hidden_layers": 2, "num_attention_heads": 4}
    config = {
        "llama": lambda: hf.LlamaConfig(**wide, intermediate_size=64, num_key_value_heads=2, initializer_range=0.3),
        "qwen2": lambda: hf.Qwen2Config(**wide, intermediate_size=64, num_key_value_heads=2, initializer_range=0.3),
        "gpt_neox": lambda: hf.GPTNeoXConfig(**wide, intermediate_size=64, initializer_range=0.3),
        "gpt2": lambda: hf.GPT2Config(vocab_size=VOCABULARY, n_embd=32, n_layer=2, n_head=4, initializer_range=0.3),
        "opt": lambda: hf.OPTConfig(**wide, ffn_dim=64, word_embed_proj_dim=32, init_std=0.3),
        "bloom": lambda: hf.BloomConfig(
            vocab_size=VOCABULARY, hidden_size=32, n_layer=2, n_head=4, initializer_range=0.3
        ),
        "mistral": lambda: hf.MistralConfig(**wide, intermediate_size=64, num_key_value_heads=2, sliding_window=4),
        "gemma2": lambda: hf.Gemma2Config(
            **wide, intermediate_size=64, num_key_value_heads=2, head_dim=8, sliding_window=4
        ),
    }[name]()
    return hf.AutoModelForCausalLM.from_config(config).eval()


@pytest.fixture(scope="module")
def models():
    made = {}

    def get(name):
        if name not in made:
            made[name] = make(name)
        return made[name]

    return get


def one_by_one(model, rows):
    return [score_decoder_rows(model, [row], pad=0, accounting=Accounting())[0] for row in rows]


@pytest.mark.parametrize("name", ["llama", "qwen2", "gpt_neox", "gpt2", "opt"])
def test_a_tree_scores_like_rows_alone(models, name):
    model = models(name)

    @settings(max_examples=25, deadline=None)
    @given(row_sets)
    def check(rows):
        shared = score_tree(model, rows, accounting=Accounting())
        for one, other in zip(one_by_one(model, rows), shared, strict=True):
            assert other.logprobs == pytest.approx(one.logprobs, abs=1e-4)

    check()


PROBE = [Row((1, 2, 3, 4, 5, 6), 2), Row((1, 2, 3, 7), 1), Row((8, 9), 1)]


@pytest.mark.parametrize("name", ["llama", "qwen2", "gpt_neox", "gpt2", "opt"])
def test_models_with_a_plain_mask_share(models, name):
    assert sharing_problem(models(name), 128, PROBE) is None


@pytest.mark.parametrize("name", ["bloom", "mistral", "gemma2"])
def test_alibi_and_sliding_windows_are_noticed(models, name):
    assert name in sharing_problem(models(name), 128, PROBE)


def test_a_window_as_long_as_the_models_own_is_no_window(models):
    model = models("llama")
    model.config.sliding_window = 128
    assert sharing_problem(model, 128, PROBE) is None


@given(row_sets)
def test_every_distinct_prefix_is_one_node(rows):
    tree = build_tree(rows)
    prefixes = {row.ids[: i + 1] for row in rows for i in range(len(row.ids) - 1)}
    assert len(tree.tokens) == len(prefixes)
    for row, path in zip(rows, tree.paths, strict=True):
        assert [tree.tokens[node] for node in path] == list(row.ids[:-1])
        assert [tree.depths[node] for node in path] == list(range(len(path)))


def test_a_node_sees_its_ancestors_and_itself():
    # 1 → 2 → 3 and 1 → 4: node 3 (token 4) sees nodes 0 and 3 only.
    tree = build_tree([Row((1, 2, 3, 9), 1), Row((1, 4, 9), 1)])
    assert tree.tokens == [1, 2, 3, 4]
    assert ancestor_mask(tree).tolist() == [
        [True, False, False, False],
        [True, True, False, False],
        [True, True, True, False],
        [True, False, False, True],
    ]


@given(row_sets, st.integers(1, 40), st.integers(1, 20), st.one_of(st.none(), st.integers(1, 3)))
def test_the_plan_holds_every_row_once_whatever_the_order(rows, tokens, scored, size):
    budget = Budget(tokens, scored, size)
    plan = plan_trees(rows, budget)
    assert sorted(i for batch in plan for i in batch) == list(range(len(rows)))
    assert all(size is None or len(batch) <= size for batch in plan)
    contents = [[rows[i].ids for i in batch] for batch in plan]
    assert contents == [[rows[::-1][i].ids for i in batch] for batch in plan_trees(rows[::-1], budget)]


def test_rows_that_share_stand_together_and_cost_their_distinct_tokens():
    primer = tuple(range(1000))
    rows = [Row((*primer, 5000 + i, 1), 1) for i in range(20)]
    assert plan_trees(rows, BUDGET) == [list(range(20))]
    assert len(build_tree(rows).tokens) == 1020
    strangers = [Row((*range(i * 1000, i * 1000 + TREE_TOKENS // 2), 1), 1) for i in range(3)]
    assert plan_trees(strangers, BUDGET) == [[0, 1], [2]]


def test_only_distinct_tokens_are_counted(models):
    accounting = Accounting()
    score_tree(models("llama"), [Row((1, 2, 3), 1), Row((1, 2, 4), 1)], accounting=accounting)
    assert (accounting.tokens_computed, accounting.forward_passes) == (2, 1)


def test_common_prefix():
    assert common_prefix([1, 2, 3], [1, 2, 4]) == 2
    assert common_prefix([], [1]) == 0
