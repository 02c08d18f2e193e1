"""`lookback`: attention and features against transformers' own, the fit by hand, what cannot be read."""

import math
from itertools import pairwise

import numpy as np
import pytest
import torch
from small_models import save_causal

from halueval.annotated.sets import AnnotatedRow
from halueval.consistency.base import NO_CLAIM, NO_SOURCE, NO_WORD, Pair
from halueval.consistency.catalog import create
from halueval.consistency.language_model import LanguageModel
from halueval.consistency.likelihood import prompt
from halueval.consistency.lookback import Lookback, consistency, reading, token_risks
from halueval.consistency.lookback.attention import NAME, Shares, recorded
from halueval.consistency.lookback.reading import NO_MEMORY, TOO_LONG, Reader, surprises
from halueval.consistency.lookback.train import (
    Example,
    fit,
    held_out,
    marked_tokens,
    read_marks,
    unseen,
)
from halueval.errors import ModelError
from halueval.schema import LoglikelihoodRequest

LAYERS = (1, 2)
SOURCE = "The capital of France is Paris. It was reviewed."
CLAIM = "Paris was reviewed as good. 12 people came."


@pytest.fixture(scope="module")
def causal(tmp_path_factory):
    """A small Llama whose tokenizer adds nothing, like the packaged model's."""
    return save_causal(tmp_path_factory.mktemp("lookback") / "causal", bos=False)


@pytest.fixture
def reader(causal):
    return Reader(str(causal), "cpu", "float32", LAYERS)


@pytest.fixture
def small(reader):
    """The scorer with a small random model, and random coefficients for its features."""
    scorer = Lookback(device="cpu")
    scorer._reader = reader
    (read,) = reader.read([Pair(SOURCE, CLAIM)], lambda _: None)
    generator = np.random.default_rng(0)
    scorer.__dict__["_model"] = {
        "layers": list(LAYERS),
        "coefficients": generator.normal(size=read.features.shape[1], scale=0.2).tolist(),
        "intercept": 0.0,
    }
    return scorer


def plain(causal, source, claim):
    """One pass over prompt and claim with transformers' own attention: output, tokens of the prompt, of the claim."""
    from transformers import AutoModelForCausalLM, AutoTokenizer

    tokenizer = AutoTokenizer.from_pretrained(causal)
    model = AutoModelForCausalLM.from_pretrained(causal, attn_implementation="eager")
    before = tokenizer(prompt(source, "en"), add_special_tokens=False)["input_ids"]
    tokens = tokenizer(" " + claim, add_special_tokens=False)["input_ids"]
    with torch.inference_mode():
        found = model(torch.tensor([before + tokens]), output_attentions=True, output_hidden_states=True)
    return found, before, tokens


def test_features_are_those_of_one_plain_pass(causal, reader):
    (read,) = reader.read([Pair(SOURCE, CLAIM)], lambda _: None)
    found, before, tokens = plain(causal, SOURCE, CLAIM)
    at = len(before)
    hidden = torch.cat([found.hidden_states[layer][0, at:] for layer in LAYERS], dim=-1)
    shares = []
    for layer in found.attentions:
        own = layer[0, :, at:]
        source, claim = own[..., 1 : at - 1].sum(-1), own[..., at:].sum(-1)
        shares.append(source / (source + claim))
    scores = torch.log_softmax(found.logits[0, at - 1 : -1], dim=-1)
    given = scores.gather(-1, torch.tensor(tokens)[:, None])
    width = hidden.shape[1]
    assert read.truncated == 0
    assert torch.allclose(read.features[:, :width], hidden, atol=1e-4)
    assert torch.allclose(read.features[:, width:-7], torch.cat(shares).T, atol=1e-5)
    assert torch.allclose(read.features[:, -7], given[:, 0], atol=1e-4)
    assert torch.allclose(read.features[:, -5], -(scores.exp() * scores).sum(-1), atol=1e-4)


def test_likelihoods_are_those_of_the_engine(causal, reader):
    (read,) = reader.read([Pair(SOURCE, CLAIM)], lambda _: None)
    model = LanguageModel(str(causal), "cpu", "float32")
    requests = [LoglikelihoodRequest(prompt(text, "en"), " " + CLAIM) for text in (SOURCE, "")]
    given, alone = model.ask(requests)
    assert read.features[:, -7].tolist() == pytest.approx(given.token_logprobs, abs=1e-4)
    assert read.features[:, -6].tolist() == pytest.approx(alone.token_logprobs, abs=1e-4)


def test_surprises_by_hand():
    surprise = torch.tensor([[[-1.0, 2.0, -0.5], [-4.0, 2.0, -0.5], [-3.0, 1.0, -1.0]]])
    alone = torch.tensor([[-3.0, -3.0, -0.25]])
    # Given, alone, entropy, largest, saved, missed by, share saved: of at least half a nat, and within [-2, 1].
    assert surprises(surprise, alone)[0].tolist() == [
        [-1.0, -3.0, 2.0, -0.5, 2.0, 0.5, pytest.approx(2 / 3)],
        [-4.0, -3.0, 2.0, -0.5, -1.0, 3.5, pytest.approx(-1 / 3)],
        [-3.0, -0.25, 1.0, -1.0, -2.75, 2.0, -2.0],
    ]


def test_a_share_is_what_lies_on_the_source_of_what_lies_on_source_and_claim():
    # One head of size 1 with all keys 0: attention is even over what is seen. Prompt of 4 tokens, claim of 2.
    from types import SimpleNamespace

    from halueval.consistency.lookback.attention import _attend

    shares = Shares(4)
    value = torch.arange(6.0).reshape(1, 1, 6, 1)
    seen = torch.tensor([[[[True] * 4 + [False] * 2, [True] * 5 + [False], [True] * 6]]])
    mask = torch.where(seen, 0.0, torch.finfo(torch.float32).min)
    out, weights = _attend(
        SimpleNamespace(), torch.ones(1, 1, 3, 1), torch.zeros(1, 1, 6, 1), value, mask, shares=shares, scaling=1.0
    )
    assert weights is None
    # The last token of the prompt sees no claim; the claim's first sees 2 source tokens and itself.
    assert shares.by_layer[0][0, 0].tolist() == pytest.approx([1.0, 2 / 3, 2 / 4])
    assert out[0, :, 0, 0].tolist() == pytest.approx([1.5, 2.0, 2.5])


def test_a_model_attends_as_before_behind_a_recorded_pass(reader):
    model = reader._loaded[0]
    before = model.config._attn_implementation

    def broken():
        with recorded(model):
            assert model.config._attn_implementation == NAME
            raise RuntimeError("stop")

    with pytest.raises(RuntimeError, match="stop"):
        broken()
    assert model.config._attn_implementation == before


PAIRS = [
    Pair(SOURCE, CLAIM),
    Pair(SOURCE, "It was not true, or was it?"),
    Pair("A film.", "Rome."),
    Pair(SOURCE, CLAIM),
]


def test_neither_company_nor_order_nor_size_of_a_pass_changes_a_value(small, monkeypatch):
    together = [verdict.value for verdict in small.score(PAIRS)]
    assert all(0 < value < 1 for value in together)
    assert together[0] == together[3]
    alone = [small.score([pair])[0].value for pair in PAIRS]
    backwards = [verdict.value for verdict in small.score(PAIRS[::-1])][::-1]
    monkeypatch.setattr(reading, "BATCH_BYTES", 1)
    one_by_one = [verdict.value for verdict in small.score(PAIRS)]
    for other in (alone, backwards, one_by_one):
        assert other == pytest.approx(together, abs=1e-5)


def test_what_cannot_be_read_has_a_reason_and_the_rest_a_value(small):
    told = []
    pairs = [
        Pair("", "Paris."),
        Pair("France.", " "),
        Pair("France.", "..."),
        Pair("France.", "people " * 200),
        Pair("People came. " * 100, "Paris."),
    ]
    none, empty, marks, long, cut = small.score(pairs, told.append)
    assert [(v.value, v.reason) for v in (none, empty, marks, long)] == [
        (None, NO_SOURCE),
        (None, NO_CLAIM),
        (None, NO_WORD),
        (None, TOO_LONG),
    ]
    assert cut.value is not None
    assert cut.truncated > 0
    assert sum(told) == len(pairs)


def test_a_source_is_cut_at_its_beginning_by_what_its_own_claim_needs(reader, causal):
    pairs = [Pair("People came. " * 100, "Paris."), Pair("People came. " * 100, CLAIM)]
    short, long = reader.read(pairs, lambda _: None)
    assert long.truncated - short.truncated == len(long.spans) - len(short.spans)
    _, before, _ = plain(causal, "People came. " * 100, "Paris.")
    assert short.truncated == len(before) + len(short.spans) - 128


def test_a_claim_that_does_not_fit_into_memory_has_no_value(small, monkeypatch):
    def full(*_):
        raise torch.OutOfMemoryError("full")

    monkeypatch.setattr(Reader, "_pass", full)
    (verdict,) = small.score([Pair(SOURCE, CLAIM)])
    assert (verdict.value, verdict.reason) == (None, NO_MEMORY)


def test_sentences_are_scored_by_their_own_tokens(small):
    claim = "  " + CLAIM
    (verdict,) = small.score([Pair(SOURCE, claim)])
    (read,) = small._reader.read([Pair(SOURCE, claim)], lambda _: None)
    assert [sentence.text for sentence in verdict.sentences] == ["Paris was reviewed as good.", "12 people came."]
    assert all(a[1] == b[0] for a, b in pairwise(read.spans))
    assert read.spans[-1][1] == len(claim)
    risks = token_risks(small._model, read.features)
    first = [risk for risk, (begin, _) in zip(risks, read.spans, strict=True) if begin < claim.index(" 12")]
    assert verdict.sentences[0].value == pytest.approx(consistency(first))


def test_a_claim_is_as_good_as_the_worst_fifth_of_its_tokens():
    assert consistency([0.25]) == 0.75
    assert consistency([0.9, 0.0, 0.0, 0.0]) == pytest.approx(0.1)
    assert consistency([0.1] * 8 + [0.5, 0.7]) == pytest.approx(0.4)


def test_coefficients_of_other_features_are_refused():
    with pytest.raises(ModelError, match="2 coefficients for 3 features"):
        token_risks({"coefficients": [1.0, 2.0], "intercept": 0.0}, torch.zeros(1, 3))
    assert token_risks({"coefficients": [1.0, -1.0], "intercept": 0.5}, torch.tensor([[0.5, 1.0]])) == [0.5]


def test_a_token_is_made_up_where_most_marked_it():
    spans = [(-1, 3), (3, 7), (7, 12)]
    marks = {"a": [(4, 7)], "b": [(0, 7)], "c": []}
    assert marked_tokens(spans, marks).tolist() == [False, True, False]
    assert marked_tokens(spans, {"a": [(0, 12)], "b": []}).tolist() == [False, False, False]


def test_marks_are_read_with_the_first_character_as_number_1(tmp_path):
    path = tmp_path / "marks.csv"
    path.write_text(
        "summary,hallucination_type,hallucinated_span_start,hallucinated_span_end,worker_id\n"
        "He left. ,extrinsic,4,7,a\nHe left.,NULL,NULL,NULL,b\nHe left.,intrinsic,1,2,a\n",
        encoding="utf-8",
    )
    assert read_marks(path) == {"He left.": {"a": [(3, 7), (0, 2)], "b": []}}


def test_documents_of_reported_sets_are_left_out():
    words = [f"w{i}" for i in range(30)]

    def row(text):
        return AnnotatedRow((text,), "a claim", 1.0, True, "d", "test")

    shared, other = row(" ".join(words[:20])), row(" ".join([*words[:11], "x", *words[11:22]]))
    assert unseen([shared, other], [row("y " + " ".join(words[8:30]))]) == [other]


def test_the_probe_finds_the_feature_that_marks_made_up_tokens():
    generator = np.random.default_rng(0)
    examples = []
    for i in range(120):
        made_up = generator.random(12) < (0.0 if i % 2 else 0.4)
        features = generator.normal(size=(12, 3)) * [1.0, 10.0, 0.0] + [0.0, 5.0, 2.0]
        features[:, 1] += 40 * made_up
        examples.append(Example(features, made_up, not made_up.any(), i % 3))
    model = fit(examples)
    assert model["coefficients"][1] * 10 > 5 * abs(model["coefficients"][0])  # on features of one scale
    assert model["coefficients"][2] == 0
    risks = [risk for e in examples for risk in token_risks(model, torch.from_numpy(e.features))]
    marked = np.concatenate([example.made_up for example in examples])
    assert np.mean(risks) == pytest.approx(marked.mean(), abs=0.01)  # a fit with an intercept is right on the mean
    assert held_out(examples) > 0.95


def test_the_packaged_coefficients_belong_to_the_packaged_model():
    scorer = create("lookback")
    assert isinstance(scorer, Lookback)
    model = scorer._model
    assert len(model["coefficients"]) == 2 * 576 + 30 * 9 + 7  # two layers, heads of all, likelihoods
    assert all(math.isfinite(value) for value in model["coefficients"])
    assert model["fitted_on"] == ["xsumfaith"]
    assert 0 < scorer.threshold < 1
    assert (scorer.threshold_in("en"), scorer.threshold_in("zh")) == (scorer.threshold, None)


def test_it_tells_a_made_up_summary_from_one_that_follows(embedded):
    source = (
        "The council of Lyon has approved a new bridge over the Saone. Work begins in May and is to take two years. "
        "The mayor said the old bridge, built in 1954, could no longer carry buses."
    )
    right = "The council of Lyon has approved a new bridge."
    wrong = "Lyon has scrapped plans for a new bridge after protests by 5,000 residents."
    follows, made_up = create("lookback").score([Pair(source, right), Pair(source, wrong)])
    assert follows.value > made_up.value + 0.2
