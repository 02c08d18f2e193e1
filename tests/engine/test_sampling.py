"""Draws against their distributions, and stop strings."""

import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import chisquare

from halueval.engine.sampling import Sampling, choose, entropies, uniforms
from halueval.engine.stopping import cut_at_stop, kept_tokens, stops

LOGITS = torch.tensor([[2.0, 1.0, 0.0, -1.0, 2.5]])
PROBABILITIES = LOGITS.double().softmax(-1)[0].tolist()


def draw_many(sampling, count=20_000):
    numbers = uniforms(7, count).tolist()
    tokens, logprobs = choose(LOGITS, [0] * count, numbers, sampling)
    return [tokens.count(i) for i in range(5)], dict(zip(tokens, logprobs, strict=True))


def test_greedy_takes_the_likeliest_and_says_its_probability():
    tokens, logprobs = choose(LOGITS.repeat(2, 1), [0, 1, 1], [0.0] * 3, Sampling())
    assert tokens == [4, 4, 4]
    assert logprobs == pytest.approx([math.log(PROBABILITIES[4])] * 3)


def test_draws_follow_the_distribution():
    counts, logprobs = draw_many(Sampling(temperature=1.0))
    assert chisquare(counts, [20_000 * p for p in PROBABILITIES]).pvalue > 0.001
    assert logprobs == pytest.approx({i: math.log(p) for i, p in enumerate(PROBABILITIES)}, abs=1e-5)


def test_temperature_sharpens_draws_and_not_the_log_probabilities():
    counts, logprobs = draw_many(Sampling(temperature=0.5))
    sharp = (LOGITS.double() / 0.5).softmax(-1)[0].tolist()
    assert chisquare(counts, [20_000 * p for p in sharp]).pvalue > 0.001
    assert logprobs[4] == pytest.approx(math.log(PROBABILITIES[4]), abs=1e-5)


def test_top_k_keeps_so_many():
    counts, _ = draw_many(Sampling(temperature=1.0, top_k=2))
    total = PROBABILITIES[4] + PROBABILITIES[0]
    assert [counts[i] for i in (1, 2, 3)] == [0, 0, 0]
    assert counts[0] / 20_000 == pytest.approx(PROBABILITIES[0] / total, abs=0.02)


def test_top_p_keeps_the_fewest_that_reach_it():
    # Sorted: .48, .29, .11 …: the first two hold .77, so .7 needs both and .48 - just below the first - one.
    counts, _ = draw_many(Sampling(temperature=1.0, top_p=0.7))
    assert [i for i, count in enumerate(counts) if count] == [0, 4]
    counts, _ = draw_many(Sampling(temperature=1.0, top_p=0.4))
    assert [i for i, count in enumerate(counts) if count] == [4]


@pytest.mark.parametrize("sampling", [Sampling(1.0), Sampling(1.0, top_k=3), Sampling(1.0, top_p=0.5)])
def test_the_ends_of_the_unit_interval_give_tokens_that_are_allowed(sampling):
    tokens, _ = choose(LOGITS, [0, 0], [0.0, 1.0 - 2**-53], sampling)
    allowed = {Sampling(1.0, top_k=3): {0, 1, 4}, Sampling(1.0, top_p=0.5): {0, 4}}.get(sampling, set(range(5)))
    assert set(tokens) <= allowed


def test_a_token_without_probability_is_never_drawn():
    logits = torch.tensor([[0.0, -math.inf, 0.0, -math.inf]])
    tokens, _ = choose(logits, [0] * 4, [0.0, 0.5, 0.999, 1.0 - 2**-53], Sampling(1.0))
    assert tokens == [0, 2, 2, 2]


def test_numbers_belong_to_the_seed():
    assert uniforms(3, 5).tolist() == uniforms(3, 9).tolist()[:5] != uniforms(4, 5).tolist()


CHARACTERS = ["a", "b", "\n", "né", "日", "本", " ", "x"]


@given(
    st.lists(st.sampled_from(range(8)), min_size=1, max_size=40),
    st.lists(st.text("ab\n日本é ", min_size=1), max_size=3),
)
def test_stop_strings_found_as_the_answer_grows_are_those_of_the_whole(tokens, until):
    def decode(ids):
        return "".join(CHARACTERS[i] for i in ids)

    found = next((i for i in range(1, len(tokens) + 1) if stops(tokens[:i], until, decode)), None)
    whole = next((i for i in range(1, len(tokens) + 1) if cut_at_stop(decode(tokens[:i]), until)[1]), None)
    assert found == whole


def test_a_stop_string_whose_bytes_are_tokens_of_their_own():
    text = "ab日本c".encode()

    def decode(ids):
        return bytes(ids).decode("utf-8", "replace")

    found = next(i for i in range(1, len(text) + 1) if stops(list(text[:i]), ("日本",), decode))
    assert decode(text[:found]) == "ab日本"


def test_only_tokens_of_what_is_kept_are_counted():
    pieces = ["Pa", "ris", "\n", "\n"]

    def decode(ids):
        return "".join(pieces[i] for i in ids)

    assert kept_tokens([0, 1, 2, 3], "Paris", decode) == 2
    assert kept_tokens([0, 1], "", decode) == 0
    assert cut_at_stop("Paris\n\nQ", ("\n\n", "Q")) == ("Paris", True)
    assert cut_at_stop("Paris", ("", "x")) == ("Paris", False)


def test_entropy_is_that_of_the_model_and_forbidden_tokens_have_no_part_in_it():
    logits = torch.tensor([[2.0, 1.0, 0.0, -1.0, 2.5], [0.0, 0.0, -torch.inf, -torch.inf, 0.0]])
    expected = [-sum(p * math.log(p) for p in PROBABILITIES), math.log(3)]
    assert entropies(logits, [1, 0, 1]) == pytest.approx([expected[1], expected[0], expected[1]], abs=1e-5)
