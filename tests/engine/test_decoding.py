"""Generation in slots: greedy as `transformers.generate`, draws that belong to the sample alone."""

from dataclasses import replace

import pytest
import torch
from families import TREES, make
from hypothesis import given, settings
from hypothesis import strategies as st

from halueval.engine.accounting import Accounting
from halueval.engine.attention import attention_kinds
from halueval.engine.decoding import Decoder, open_stream
from halueval.engine.encoding import Row, prompt_row
from halueval.engine.loglikelihood import score_decoder_rows
from halueval.engine.rules import TokenRules
from halueval.engine.tree import TreeRunner
from halueval.engine.trie import Limits, plan_passes
from halueval.schema import GenerationRequest

LIMITS = Limits(tokens=12, whole=16, scored=64)
PROMPTS = [(1, 2, 3, 4), (1, 2, 3, 5, 6), (9,), (1, 2, 3, 4, 8, 8, 8, 8, 8, 8, 8, 8, 9), (7, 7)]


@pytest.fixture(scope="module")
def models():
    made = {}

    def get(name):
        return made[name] if name in made else made.setdefault(name, make(name))

    return get


def decode(ids):
    """One letter a token."""
    return "".join(chr(ord("A") + token) for token in ids)


def generate(model, asked, *, slots=3, tokens=10**6, rules=None, accounting=None, rows=()):
    """Streams of (prompt, request) pairs, and scores of further rows."""
    prompts = list(dict.fromkeys(prompt for prompt, _ in asked))
    everything = [*map(prompt_row, prompts), *rows]
    streams = [open_stream(i, request) for i, (_, request) in enumerate(asked)]
    of_prompt = {}
    for (prompt, _), stream in zip(asked, streams, strict=True):
        of_prompt.setdefault(prompts.index(prompt), []).append(stream)
    runner = TreeRunner(model, attention_kinds(model, 128), whole=LIMITS.whole)
    decoder = Decoder(runner, rules=rules or TokenRules(), decode=decode, slots=slots, tokens=tokens)
    counted = []
    scores = decoder.run(
        everything, plan_passes(everything, LIMITS), of_prompt, accounting or Accounting(), counted.append
    )
    assert sum(counted) == len(asked) + len(rows)
    return streams, [scores[len(prompts) + i] for i in range(len(rows))]


def greedy(new=9, until=()):
    return GenerationRequest("", tuple(until), new)


def drawn(seed, new=7, temperature=1.0, **filters):
    return GenerationRequest("", (), new, temperature=temperature, seed=seed, **filters)


@pytest.mark.parametrize("name", TREES)
def test_greedy_equals_transformers_one_by_one_whatever_the_slots(models, name):
    model = models(name)
    for slots in (2, 8):
        streams, _ = generate(model, [(prompt, greedy()) for prompt in PROMPTS], slots=slots)
        for prompt, stream in zip(PROMPTS, streams, strict=True):
            expected = model.generate(
                torch.tensor([prompt]), max_new_tokens=9, do_sample=False, eos_token_id=None, pad_token_id=0
            )
            assert stream.ids == expected[0, len(prompt) :].tolist()
            assert stream.reason == "length"


def test_log_probabilities_are_those_of_scoring_the_answer(models):
    model = models("llama")
    streams, _ = generate(model, [(prompt, drawn(i)) for i, prompt in enumerate(PROMPTS)])
    for prompt, stream in zip(PROMPTS, streams, strict=True):
        row = Row((*prompt, *stream.ids), len(stream.ids))
        (plain,) = score_decoder_rows(model, [row], pad=0, accounting=Accounting())
        assert stream.logprobs == pytest.approx(plain.logprobs, abs=1e-4)


def test_entropies_are_those_of_the_states_and_only_where_asked_for(models):
    model = models("llama")
    asking = [(prompt, replace(drawn(i), entropies=True)) for i, prompt in enumerate(PROMPTS)]
    streams, _ = generate(model, [*asking, (PROMPTS[0], drawn(0)), (PROMPTS[0], greedy())])
    for prompt, stream in zip(PROMPTS, streams[:-2], strict=True):
        logits = model(torch.tensor([[*prompt, *stream.ids]])).logits[0, len(prompt) - 1 : -1].float()
        expected = torch.distributions.Categorical(logits=logits).entropy().tolist()
        assert stream.entropies == pytest.approx(expected, abs=1e-4)
        response = stream.response(0, decode)
        assert response.mean_entropy == pytest.approx(sum(expected) / len(expected), abs=1e-4)
        assert response.max_entropy == pytest.approx(max(expected), abs=1e-4)
        assert response.min_logprob == min(stream.logprobs)
    plain = streams[-2]
    assert plain.ids == streams[0].ids
    assert (plain.entropies, plain.response(0, decode).max_entropy) == ([], None)


@settings(max_examples=6, deadline=None)
@given(
    st.lists(st.tuples(st.sampled_from(PROMPTS), st.integers(0, 3)), min_size=1, max_size=6),
    st.integers(1, 6),
    st.sampled_from([{}, {"top_k": 3}, {"top_p": 0.7}, {"top_k": 5, "top_p": 0.8}]),
)
def test_a_draw_does_not_depend_on_its_neighbours(asked, slots, filters):
    model = _llama()
    requests = [(prompt, drawn(seed, **filters)) for prompt, seed in asked]
    together, _ = generate(model, requests, slots=slots)
    for request, stream in zip(requests, together, strict=True):
        ((alone,), _) = generate(model, [request])
        assert stream.ids == alone.ids
        assert stream.logprobs == pytest.approx(alone.logprobs, abs=1e-4)


_MADE = {}


def _llama():
    return _MADE.setdefault("llama", make("llama"))


def test_draws_of_a_prompt_share_what_they_have_chosen_alike(models):
    model = models("llama")
    same, apart = Accounting(), Accounting()
    generate(model, [(PROMPTS[0], greedy())] * 20, slots=64, accounting=same)
    assert same.tokens_computed == len(PROMPTS[0]) + 8
    streams, _ = generate(model, [(PROMPTS[0], drawn(i)) for i in range(20)], slots=64, accounting=apart)
    distinct = {tuple(stream.ids[: i + 1]) for stream in streams for i in range(6)}
    assert apart.tokens_computed == len(PROMPTS[0]) + len(distinct)
    assert apart.tokens_computed < len(PROMPTS[0]) + 20 * 6


def test_rows_are_scored_in_the_passes_of_the_prompts(models):
    model = models("llama")
    row = Row((*PROMPTS[0], 20, 21), 2)
    accounting = Accounting()
    streams, (score,) = generate(model, [(PROMPTS[0], greedy(1))], rows=[row], accounting=accounting)
    (plain,) = score_decoder_rows(model, [row], pad=0, accounting=Accounting())
    assert score.logprobs == pytest.approx(plain.logprobs, abs=1e-4)
    assert accounting.tokens_computed == len(PROMPTS[0]) + 1
    assert accounting.forward_passes == 1
    assert len(streams[0].ids) == 1


def test_a_stop_string_over_two_tokens_ends_the_answer(models):
    model = models("llama")
    ((free,), _) = generate(model, [(PROMPTS[0], greedy())])
    stop = decode(free.ids[2:4])
    first = decode(free.ids).index(stop)
    ((stopped,), _) = generate(model, [(PROMPTS[0], greedy(9, [stop, "nothing like it"]))])
    response = stopped.response(0, decode)
    assert stopped.ids == free.ids[: first + 2]
    assert (response.text, response.finish_reason) == (decode(free.ids[:first]), "stop")
    assert response.num_tokens == first
    assert response.loglikelihood == pytest.approx(sum(free.logprobs[:first]), abs=1e-4)


def test_an_end_token_ends_the_answer_and_is_not_part_of_it(models):
    model = models("llama")
    ((free,), _) = generate(model, [(PROMPTS[0], greedy())])
    end = free.ids[3]
    ((ended,), _) = generate(model, [(PROMPTS[0], greedy())], rules=TokenRules(frozenset({end})))
    cut = free.ids.index(end)
    assert (ended.ids, ended.reason) == (free.ids[:cut], "eos")
    assert ended.response(2, decode).num_truncated == 2


def test_forbidden_and_forced_tokens(models):
    model = models("llama")
    ((free,), _) = generate(model, [(PROMPTS[0], greedy())])
    ((never,), _) = generate(model, [(PROMPTS[0], greedy())], rules=TokenRules(never=(free.ids[0],)))
    assert free.ids[0] not in never.ids
    ((later,), _) = generate(model, [(PROMPTS[0], greedy())], rules=TokenRules(never_first=(free.ids[0],)))
    assert later.ids[0] != free.ids[0]
    ((forced,), _) = generate(model, [(PROMPTS[0], greedy())], rules=TokenRules(first=17))
    assert forced.ids[0] == 17


def test_few_tokens_in_the_slots_only_make_answers_wait(models):
    model = models("llama")
    asked = [(prompt, drawn(i)) for i, prompt in enumerate(PROMPTS * 3)]
    narrow, _ = generate(model, asked, slots=8, tokens=1)
    wide, _ = generate(model, asked, slots=8)
    assert [stream.ids for stream in narrow] == [stream.ids for stream in wide]


def test_a_long_prompt_does_not_make_all_slots_long():
    from halueval.engine.slots import Slots
    from halueval.engine.tree import Layer, Prefilled

    def prompt(length):
        keys = torch.arange(float(length)).reshape(1, 1, length, 1)
        return Prefilled([Layer(keys, keys + 0.5)], torch.arange(length), torch.zeros(3))

    slots = Slots()
    for _ in range(64):
        slots.add(prompt(3), 40)
    for slot in reversed(range(2, 64)):
        slots.drop(slot)
    slots.add(prompt(50), 6000)
    held = slots._layers[0].keys
    assert held.shape[0] * held.shape[2] < 8 * 6100
    assert held[2, 0, :50, 0].tolist() == list(range(50))
    assert held[1, 0, :3, 0].tolist() == [0, 1, 2]
