"""Likelihood scorers and P(yes) with a small model, against the plain path."""

import math
import random

import pytest
import torch
from small_models import save_adapter, save_causal
from transformers import AutoModelForCausalLM, AutoModelForSeq2SeqLM, AutoTokenizer

from halueval.consistency.base import Pair
from halueval.consistency.catalog import create
from halueval.consistency.language_model import shared_model
from halueval.consistency.likelihood import NO_ROOM, prompt
from halueval.consistency.p_yes import NO_ROOM as NO_ROOM_TO_ASK
from halueval.consistency.p_yes import QUESTIONS, PYes
from halueval.errors import UsageError

SOURCE = "The film was reviewed by the people. It was long."
CLAIM = "The film was long. It was reviewed."
NAMES = ("likelihood", "likelihood_min", "likelihood_pmi", "likelihood_shuffled")


@pytest.fixture(autouse=True)
def _models_of_their_own():
    shared_model.cache_clear()
    yield
    shared_model.cache_clear()


def score(name, pairs, directory, **options):
    return create(name, {"model": str(directory), "dtype": "float32", "device": "cpu", **options}).score(pairs)


def token_logprobs(directory, context, continuation):
    """log p of each token of the continuation, one text at a time, nothing cut."""
    model, tokenizer = AutoModelForCausalLM.from_pretrained(directory), AutoTokenizer.from_pretrained(directory)
    whole = tokenizer(context + continuation)["input_ids"]
    start = len(tokenizer(context)["input_ids"])
    with torch.inference_mode():
        logprobs = model(torch.tensor([whole])).logits[0].log_softmax(-1)
    return [float(logprobs[i - 1, whole[i]]) for i in range(start, len(whole))]


def mean(values):
    return math.fsum(values) / len(values)


def test_the_four_figures_equal_the_plain_path(models):
    directory = models("causal")
    given = token_logprobs(directory, prompt(SOURCE, "en"), " " + CLAIM)
    bare = token_logprobs(directory, prompt("", "en"), " " + CLAIM)
    found = [score(name, [Pair(SOURCE, CLAIM)], directory)[0] for name in NAMES]
    assert found[0].value == pytest.approx(mean(given), abs=1e-4)
    assert found[1].value == pytest.approx(min(given), abs=1e-4)
    assert found[2].value == pytest.approx(mean(given) - mean(bare), abs=1e-4)
    assert found[0].details["tokens"] == len(given)
    words = SOURCE.split()
    shuffled = create("likelihood_shuffled", {"model": str(directory)}).other_source(Pair(SOURCE, CLAIM))
    assert sorted(shuffled.split()) == sorted(words)
    other = token_logprobs(directory, prompt(shuffled, "en"), " " + CLAIM)
    assert found[3].value == pytest.approx(mean(given) - mean(other), abs=1e-4)


def test_each_sentence_is_given_the_source_and_the_sentences_before_it(models):
    directory = models("causal")
    (verdict,) = score("likelihood", [Pair(SOURCE, CLAIM)], directory, aggregate="sentences")
    context = prompt(SOURCE, "en")
    first = mean(token_logprobs(directory, context, " The film was long."))
    second = mean(token_logprobs(directory, context + " The film was long.", " It was reviewed."))
    assert [s.text for s in verdict.sentences] == ["The film was long.", "It was reviewed."]
    assert [s.value for s in verdict.sentences] == pytest.approx([first, second], abs=1e-4)
    assert verdict.value == pytest.approx((first + second) / 2, abs=1e-4)
    assert verdict.details["worst_sentence"] == pytest.approx(min(first, second), abs=1e-4)


def test_every_figure_is_aggregated_by_sentence_as_itself(models):
    directory = models("causal")
    parts = (("", " The film was long."), (" The film was long.", " It was reviewed."))
    scorer = create("likelihood_shuffled", {"model": str(directory)})
    sources = {"given": SOURCE, "bare": "", "shuffled": scorer.other_source(Pair(SOURCE, CLAIM))}
    logprobs = {
        name: [token_logprobs(directory, prompt(source, "en") + before, text) for before, text in parts]
        for name, source in sources.items()
    }
    means = {name: [mean(values) for values in found] for name, found in logprobs.items()}
    expected = {
        "likelihood": means["given"],
        "likelihood_min": [min(values) for values in logprobs["given"]],
        "likelihood_pmi": [a - b for a, b in zip(means["given"], means["bare"], strict=True)],
        "likelihood_shuffled": [a - b for a, b in zip(means["given"], means["shuffled"], strict=True)],
    }
    for name, values in expected.items():
        for aggregate in ("tokens", "sentences"):
            (verdict,) = score(name, [Pair(SOURCE, CLAIM)], directory, aggregate=aggregate)
            assert [s.value for s in verdict.sentences] == pytest.approx(values, abs=1e-4), name
            assert verdict.details["worst_sentence"] == pytest.approx(min(values), abs=1e-4)
        assert verdict.value == pytest.approx(mean(values), abs=1e-4), name


@pytest.mark.parametrize("name", NAMES)
def test_neither_order_nor_company_nor_repetition_moves_a_verdict(models, name):
    pairs = [Pair(SOURCE, CLAIM), Pair("It was.", "The people."), Pair(SOURCE, "It was long."), Pair(SOURCE, CLAIM)]
    alone = [score(name, [pair], models("causal"))[0].value for pair in pairs]
    shared_model.cache_clear()
    order = list(range(len(pairs)))
    random.Random(1).shuffle(order)
    told = []
    scorer = create(name, {"model": str(models("causal")), "dtype": "float32", "device": "cpu"})
    together = scorer.score([pairs[i] for i in order], told.append)
    assert [together[order.index(i)].value for i in range(len(pairs))] == pytest.approx(alone, abs=1e-4)
    assert sum(told) == len(pairs)
    assert scorer.identity()["weights_sha256"]


LONG = "Rome first. " + "The film was long. " * 40


def asked_of(name, pair, directory, **options):
    """The scorer, its verdict, and what it asked."""
    scorer = create(name, {"model": str(directory), "dtype": "float32", "device": "cpu", **options})
    asked = []
    ask = scorer._model.ask
    scorer._model.ask = lambda requests, advance: asked.extend(requests) or ask(requests, advance)
    (verdict,) = scorer.score([pair])
    del scorer._model.ask
    return scorer, verdict, asked


@pytest.mark.parametrize("kind", ["causal", "t5"])
def test_a_source_that_does_not_fit_beside_the_claim_is_cut_from_its_end_and_counted(models, kind):
    scorer, verdict, asked = asked_of("likelihood", Pair(LONG, CLAIM), models(kind))
    kept = asked[0].context if kind == "t5" else asked[0].context.removeprefix("Article: ").split("\nSummary:")[0]
    assert kept.startswith("Rome first. The film was long.")
    assert LONG.startswith(kept)
    tokens = AutoTokenizer.from_pretrained(models(kind))
    count = [len(tokens(text, add_special_tokens=False)["input_ids"]) for text in (LONG.strip(), kept)]
    assert verdict.truncated == count[0] - count[1] > 0
    # Nothing is left for the engine to cut, and no more was cut than had to be.
    texts = scorer._model._backend.texts
    assert max(scorer._model._excess(texts, request) for request in asked) == 0
    if kind == "causal":
        context = prompt(kept, "en")
        assert all(request.context.startswith(context) for request in asked)
        assert verdict.value == pytest.approx(mean(token_logprobs(models(kind), context, " " + CLAIM)), abs=1e-4)
        assert max(len(texts.row(request).ids) for request in asked) == texts.window + 1


def test_a_shuffled_source_has_the_words_that_were_not_cut(models):
    scorer, verdict, asked = asked_of("likelihood_shuffled", Pair(LONG, CLAIM), models("causal"))
    given, against = (asked[i].context.removeprefix("Article: ").removesuffix("\nSummary:") for i in (0, 3))
    assert LONG.startswith(given)
    # In another order they may be more tokens; what does not fit then is cut from their end.
    shuffled = scorer.other_source(Pair(given, CLAIM))
    assert shuffled.startswith(against)
    assert len(against) > len(shuffled) / 2
    assert math.isfinite(verdict.value)


def test_a_source_that_fits_is_asked_as_it_is(models):
    scorer, verdict, asked = asked_of("likelihood_shuffled", Pair(f" {SOURCE}\n", CLAIM), models("causal"))
    shuffled = scorer.other_source(Pair(f" {SOURCE}\n", CLAIM))
    assert [(r.context, r.continuation) for r in asked[::3]] == [
        (prompt(SOURCE, "en"), " " + CLAIM),
        (prompt(shuffled, "en"), " " + CLAIM),
    ]
    assert verdict.truncated == 0


@pytest.mark.parametrize("name", NAMES)
def test_a_claim_beyond_the_window_or_without_room_for_a_source_is_no_number(models, name):
    directory = models("causal")
    tokens = AutoTokenizer.from_pretrained(directory)
    beyond, filling = "It was long. " * 60, "It"
    while len(tokens(f"{prompt('', 'en')} {filling}")["input_ids"]) < 131:  # two more than have a place
        filling += "!"
    refused = score(name, [Pair(SOURCE, beyond), Pair(SOURCE, filling)], directory)
    assert [verdict.value for verdict in refused] == [None, None]
    assert "exceeds the model's window" in refused[0].reason
    assert refused[1].reason == NO_ROOM


@pytest.mark.parametrize(
    ("language", "chinese", "between"),
    [("zh-Hans", True, ""), ("yue", True, ""), ("ja", False, ""), ("ko-KR", False, " "), ("de", False, " ")],
)
def test_chinese_alone_is_asked_in_chinese_and_words_are_parted_as_the_language_does(
    models, language, chinese, between
):
    pair = Pair("가나 다라 마바 사아", "가나. 다라.", language=language)
    scorer, _, asked = asked_of("likelihood_shuffled", pair, models("causal"))
    assert asked[0].context == prompt(pair.source, language)
    assert asked[0].context.startswith("文章" if chinese else "Article: ")
    assert asked[0].continuation == between + pair.claim
    assert sorted(scorer.other_source(pair)) == sorted(pair.source)
    whole_words = sorted(scorer.other_source(pair).split()) == sorted(pair.source.split())
    assert whole_words == (between == " ")
    _, _, questions = p_yes(models("causal"), pair)
    assert questions[0].context.startswith("文章" if chinese else "Article: ")


def test_an_encoder_decoder_reads_the_bare_source(models):
    directory = models("t5")
    model, tokenizer = AutoModelForSeq2SeqLM.from_pretrained(directory), AutoTokenizer.from_pretrained(directory)
    source = tokenizer("The film was long.", return_tensors="pt")
    labels = tokenizer(text_target="It was long.", return_tensors="pt")["input_ids"]
    with torch.inference_mode():
        logits = model(**source, labels=labels).logits[0].log_softmax(-1)
    expected = float(logits.gather(1, labels[0][:, None]).mean())
    (verdict,) = score("likelihood", [Pair("The film was long.", "It was long.")], directory)
    assert verdict.value == pytest.approx(expected, abs=2e-3)


def test_p_yes_weighs_the_two_answers(models):
    directory = models("causal")
    text, (yes, no) = QUESTIONS["en"]
    question = text.format(source=SOURCE, claim=CLAIM)
    margin = sum(token_logprobs(directory, question, yes)) - sum(token_logprobs(directory, question, no))
    (verdict,) = score("p_yes", [Pair(SOURCE, CLAIM)], directory)
    assert verdict.value == pytest.approx(1 / (1 + math.exp(-margin)), abs=1e-4)


def p_yes(directory, pair, **options):
    """The same of `p_yes`, with options."""
    return asked_of("p_yes", pair, directory, **options)


def test_a_source_that_does_not_fit_beside_the_question_is_cut_from_its_end_and_counted(models):
    long = "Rome first. " + "The film was long. " * 40
    scorer, verdict, asked = p_yes(models("causal"), Pair(long, CLAIM))
    text, _ = QUESTIONS["en"]
    before, after = text.format(source="|", claim=CLAIM).split("|")
    kept = asked[0].context.removeprefix(before).removesuffix(after)
    assert long.startswith(kept)
    tokens = AutoTokenizer.from_pretrained(models("causal"))
    count = len(tokens(long.strip(), add_special_tokens=False)["input_ids"])
    assert verdict.truncated == count - len(tokens(kept, add_special_tokens=False)["input_ids"]) > 0
    assert scorer._model._excess(scorer._model._backend.texts, asked[0]) == 0
    assert 0 < verdict.value < 1


def test_p_yes_tells_of_pairs_as_they_are_answered_and_of_each_once(models, monkeypatch):
    told = []
    scorer = PYes(model=str(models("causal")), device="cpu", dtype="float32")
    ask, before = scorer._model.ask, []
    monkeypatch.setattr(
        scorer._model, "ask", lambda requests, advance: [ask(requests, advance), before.append(sum(told))][0]
    )
    scorer.score([Pair(SOURCE, CLAIM), Pair(SOURCE, "It was long. " * 60), Pair(SOURCE, "It was.")], told.append)
    assert before[0] > 0  # while the model was still being asked
    assert sum(told) == 3


def test_p_yes_of_a_claim_that_leaves_the_source_no_room_is_no_number(models):
    _, verdict, asked = p_yes(models("causal"), Pair(SOURCE, "It was long. " * 60))
    assert (verdict.value, verdict.reason) == (None, NO_ROOM_TO_ASK)
    assert not asked


@pytest.mark.parametrize("bos", [True, False])
def test_p_yes_asks_in_the_chat_template_where_there_is_one(tmp_path, bos):
    template = "{{ bos_token }}user:{{ messages[0]['content'] }} answer:"
    directory = save_causal(tmp_path / "m", window=256, bos=bos, chat_template=template)
    question = QUESTIONS["en"][0].format(source=SOURCE, claim=CLAIM)
    scorer, verdict, asked = p_yes(directory, Pair(SOURCE, CLAIM))
    row = scorer._model._backend.texts.row(asked[0])
    start = AutoTokenizer.from_pretrained(directory).convert_tokens_to_ids("<s>")
    assert row.ids.count(start) == 1
    assert row.ids[0] == start
    context = f"user:{question} answer:" if bos else f"<s>user:{question} answer:"
    assert [(r.context, r.continuation) for r in asked] == [(context, "Yes"), (context, "No")]
    assert "chat_template_sha256" in scorer.identity()
    plain = p_yes(directory, Pair(SOURCE, CLAIM), apply_chat_template=False)
    assert plain[2][0].context == question
    assert plain[1].value != verdict.value
    assert "chat_template_sha256" not in plain[0].identity()


def test_braces_of_strangers_are_text(models, monkeypatch):
    asked = []
    scorer = PYes(model=str(models("causal")), device="cpu", dtype="float32")
    ask = scorer._model.ask
    monkeypatch.setattr(scorer._model, "ask", lambda requests, _: asked.extend(requests) or ask(requests))
    (verdict,) = scorer.score([Pair("a {claim} b {0}", "c {source} {}")])
    assert verdict.value is not None
    assert "Article: a {claim} b {0}\n" in asked[0].context
    assert "Claim: c {source} {}\n" in asked[0].context


@pytest.mark.parametrize("name", [*NAMES, "p_yes"])
def test_the_precision_is_part_of_the_identity_as_it_is_on_this_machine(models, name, monkeypatch):
    directory = str(models("causal"))
    found = [create(name, {"model": directory, "dtype": dtype}).identity()["dtype"] for dtype in ("float32", "float16")]
    assert found == ["float32", "float16"]
    monkeypatch.setattr("halueval.backends.devices.resolve_device", lambda device: "cpu")
    for multiplies, expected in ((True, "bfloat16"), (False, "float32")):
        monkeypatch.setattr("halueval.backends.devices._multiplies_bfloat16", lambda m=multiplies: m)
        assert create(name, {"model": directory}).identity()["dtype"] == expected


def test_an_adapter_is_part_of_the_identity(models, tmp_path):
    adapter = save_adapter(models("causal"), tmp_path / "adapter", trained=True)
    card = tmp_path / "with.yaml"
    card.write_text(f"name: with\nsource: {models('causal')}\nadapter: {adapter}\n")
    plain = create("likelihood", {"model": str(models("causal"))}).identity()
    adapted = create("likelihood", {"model": str(card)}).identity()
    assert adapted["weights_sha256"] == plain["weights_sha256"]
    assert len(adapted["adapter_sha256"]) == 64


def test_an_unknown_aggregation_is_refused():
    with pytest.raises(UsageError, match="must be tokens or sentences"):
        create("likelihood", {"aggregate": "words"})
