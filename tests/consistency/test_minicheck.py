import json

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from neural_models import save_flan, save_pairs, text
from transformers import AutoModelForSeq2SeqLM, AutoModelForSequenceClassification, AutoTokenizer

from halueval.consistency.base import Pair
from halueval.consistency.local_model import Scored
from halueval.consistency.minicheck import MiniCheck, chunk
from halueval.errors import ModelError
from halueval.schema import FailedResponse


@pytest.fixture(scope="module")
def t5(tmp_path_factory):
    return str(save_flan(tmp_path_factory.mktemp("mc") / "t5"))


@pytest.fixture(scope="module")
def encoder(tmp_path_factory):
    return str(save_pairs(tmp_path_factory.mktemp("mc") / "enc", ("LABEL_0", "LABEL_1")))


PIECE, SENTENCE = "The capital of Italy is Rome.", "It was not true."


def words(sentence):
    return len(sentence.split())


def test_pieces_add_up_to_the_limit_and_keep_line_breaks():
    source = "One two three. Four five.\nSix seven.\n\nEight nine ten eleven twelve thirteen fourteen. Last."
    assert chunk(source, words, 7) == (
        "One two three. Four five.\nSix seven.",
        "Eight nine ten eleven twelve thirteen fourteen.",
        "Last.",
    )
    assert chunk(source, words, 500) == (source,)
    assert chunk("Longer than the limit is. So.", words, 2) == ("Longer than the limit is.", "So.")
    assert chunk("\n\nOne.\n", words, 5) == ("One.",)
    assert chunk("甲在。乙在。", len, 100, "zh") == ("甲在。乙在。",)


@given(st.lists(st.lists(st.integers(1, 6), max_size=4), max_size=4), st.integers(1, 12))
def test_no_word_is_lost_and_no_piece_is_larger_than_it_must_be(lines, most):
    source = "\n".join(" ".join("Word" + " word" * (n - 1) + "." for n in line) for line in lines)
    pieces = chunk(source, words, most)
    assert " ".join(pieces).split() == source.split()
    assert all(words(piece) <= most or piece.count(".") == 1 for piece in pieces)


def test_the_labels_of_t5s_own_vocabulary_are_the_official_ids(t5):
    scorer = MiniCheck(t5, device="cpu")
    tokenizer = scorer.local.load()[1]
    assert scorer.label_tokens() == tuple(tokenizer(d, add_special_tokens=False)["input_ids"][0] for d in "01")
    tokenizer.add_tokens([f"<extra_{i}>" for i in range(32_100 - len(tokenizer))])
    assert scorer.label_tokens() == (3, 209)


def test_t5_is_asked_in_the_official_form_for_the_first_token_of_the_labels(t5):
    tokenizer, model = AutoTokenizer.from_pretrained(t5), AutoModelForSeq2SeqLM.from_pretrained(t5)
    ids = tokenizer(f"predict: {PIECE}</s>{SENTENCE}", return_tensors="pt")["input_ids"]
    zero, one = (tokenizer(label, add_special_tokens=False)["input_ids"][0] for label in ("0", "1"))
    with torch.inference_mode():
        logits = model(input_ids=ids, decoder_input_ids=torch.tensor([[model.config.pad_token_id]])).logits[0, 0]
    want = torch.sigmoid(logits[one] - logits[zero]).item()
    (verdict,) = MiniCheck(t5, device="cpu").score([Pair(PIECE, SENTENCE)])
    assert verdict.value == pytest.approx(want, abs=1e-5)
    assert 0.001 < want < 0.999


def test_an_encoder_is_asked_with_one_joined_text_for_class_one(encoder):
    tokenizer = AutoTokenizer.from_pretrained(encoder)
    model = AutoModelForSequenceClassification.from_pretrained(encoder)
    inputs = tokenizer(f"{PIECE}</s>{SENTENCE}", return_tensors="pt")
    with torch.inference_mode():
        want = model(input_ids=inputs["input_ids"]).logits.softmax(-1)[0, 1].item()
    (verdict,) = MiniCheck(encoder, device="cpu").score([Pair(PIECE, SENTENCE)])
    assert verdict.value == pytest.approx(want, abs=1e-5)


def test_named_classes_decide_over_the_official_order(tmp_path, encoder):
    named = str(save_pairs(tmp_path / "m", ("supported", "unsupported")))
    (one,) = MiniCheck(encoder, device="cpu").score([Pair(PIECE, SENTENCE)])
    (other,) = MiniCheck(named, device="cpu").score([Pair(PIECE, SENTENCE)])
    assert other.value == pytest.approx(1 - one.value, abs=1e-5)


class Asked(MiniCheck):
    """Answers by the first letters of piece and sentence."""

    def __init__(self, table, **options):
        super().__init__("m", **options)
        self.table, self.asked = table, []

    is_t5 = True

    def ask(self, items):
        self.asked += items
        found = [self.table[piece[0] + sentence[0]] for piece, sentence in items]
        return [p if isinstance(p, FailedResponse) else Scored((1 - p, p)) for p in found]


def test_a_claim_is_as_supported_as_its_least_supported_sentence():
    scorer = Asked({"AX": 0.2, "BX": 0.9, "AY": 0.6, "BY": 0.1}, chunk_size=3)
    (verdict,) = scorer.score([Pair("Alpha is here. Beta is there.", "X stands. Yes.")])
    assert scorer.asked[0] == ("Alpha is here.", "X stands.")
    assert [s.value for s in verdict.sentences] == [0.9, 0.6]
    assert verdict.value == 0.6


def test_t5_pieces_have_500_words():
    scorer = Asked(dict.fromkeys(("AX", "BX"), 0.5))
    scorer.score([Pair("Alpha " + "so " * 398 + "on. Beta " + "so " * 98 + "on.", "X.")])
    assert len(scorer.asked) == 1
    scorer.score([Pair("Alpha " + "so " * 398 + "on. Beta " + "so " * 99 + "on.", "X.")])
    assert len(scorer.asked) == 3


def test_a_failed_piece_leaves_no_value():
    scorer = Asked({"AX": 0.2, "BX": FailedResponse("why"), "AY": 0.6, "BY": 0.1}, chunk_size=3)
    (verdict,) = scorer.score([Pair("Alpha is here. Beta is there.", "X stands. Yes.")])
    assert (verdict.value, verdict.reason) == (None, "why")


def test_encoder_pieces_are_counted_in_tokens(encoder):
    scorer = MiniCheck(encoder, device="cpu", chunk_size=12)
    source = text(3, 6)
    pieces = scorer.grid(Pair(source, "It.")).chunks
    assert " ".join(pieces) == source
    assert len(pieces) > 1
    assert all(len(scorer.tokens(piece)) <= 12 or "." not in piece[:-1] for piece in pieces)


@pytest.mark.parametrize("kind", ["t5", "encoder"])
def test_the_piece_is_cut_and_never_the_sentence(kind, request):
    scorer = MiniCheck(request.getfixturevalue(kind), device="cpu", max_length=40)
    front = [*scorer.tokens(("predict: " if kind == "t5" else "") + text(1, 30))]
    tail = scorer.encode("", SENTENCE, 2048).ids["input_ids"][-(len(scorer.tokens(SENTENCE)) + 2) :]
    cut = scorer.encode(text(1, 30), SENTENCE, 40)
    ids = cut.ids["input_ids"]
    lead = 0 if kind == "t5" else 1
    assert len(ids) == 40
    assert ids[-len(tail) :] == tail
    assert ids[lead : 40 - len(tail)] == front[: 40 - len(tail) - lead]
    assert cut.truncated == len(front) - (40 - len(tail) - lead)
    failed = scorer.encode(text(1, 30), text(2, 30), 40)
    assert "no room in the window of 40" in failed.reason
    (verdict,) = scorer.score([Pair(text(1, 1, 60), SENTENCE)])
    assert verdict.truncated > 0


@pytest.mark.parametrize("kind", ["t5", "encoder"])
def test_batches_and_order_do_not_matter(kind, request):
    model = request.getfixturevalue(kind)
    pairs = [Pair(text(i, 1 + i % 3), text(20 + i, 1 + i % 2, 3)) for i in range(7)]
    one = MiniCheck(model, device="cpu", batch_size=1).score(pairs)
    many = MiniCheck(model, device="cpu").score(pairs[::-1])[::-1]
    assert [v.value for v in one] == pytest.approx([v.value for v in many], abs=1e-5)


def test_weights_of_no_variant_are_refused(models, tmp_path):
    with pytest.raises(ModelError, match="not a causal model; take the scorer 'judge'"):
        MiniCheck(str(models("causal")), device="cpu").score([Pair("A.", "B.")])
    three = str(save_pairs(tmp_path / "m"))
    with pytest.raises(ModelError, match="a head of two outputs"):
        MiniCheck(three, device="cpu").score([Pair("A.", "B.")])
    with pytest.raises(ModelError, match="'minicheck' needs a model"):
        MiniCheck().score([Pair("A.", "B.")])


def test_a_tokenizer_that_cannot_join_or_tell_labels_apart_is_refused(tmp_path, t5, monkeypatch):
    scorer = MiniCheck(t5, device="cpu")
    monkeypatch.setattr(scorer, "tokens", lambda text: [7])
    with pytest.raises(ModelError, match="does not tell the labels"):
        scorer.label_tokens()
    copy = save_pairs(tmp_path / "m", ("LABEL_0", "LABEL_1"))
    config = json.loads((copy / "tokenizer_config.json").read_text())
    config.pop("eos_token")
    (copy / "tokenizer_config.json").write_text(json.dumps(config))
    (copy / "special_tokens_map.json").unlink(missing_ok=True)
    with pytest.raises(ModelError, match="no end-of-text token"):
        MiniCheck(str(copy), device="cpu").score([Pair("A.", "B.")])


def test_identity_tells_sizes_that_are_not_official(t5):
    assert "chunk_size" not in MiniCheck(t5).identity()
    scorer = MiniCheck(t5, device="cpu", chunk_size=100)
    assert scorer.identity()["chunk_size"] == 100
    assert len(scorer.identity()["weights_sha256"]) == 64
