import pytest
import torch
from neural_models import save_pairs, save_token_classifier, text
from safetensors.torch import load_file, save_file
from transformers import AutoTokenizer

from halueval.consistency.base import NO_SOURCE, Pair
from halueval.consistency.hhem import HHEM, load_weights, prompt
from halueval.errors import ModelError

SOURCE, CLAIM = "The capital of Italy is Rome.", "It was not true."


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    directory = tmp_path_factory.mktemp("hhem") / "model"
    return str(directory), save_token_classifier(directory)


def test_the_prompt_is_the_official_one_whatever_the_texts_hold():
    want = (
        "<pad> Determine if the hypothesis is true given the premise?\n\nPremise: {claim} a\n\nHypothesis: {source} {0}"
    )
    assert prompt("{claim} a", "{source} {0}") == want


PAIRS = [Pair(text(i, 1 + i % 4), text(20 + i, 1)) for i in range(6)]


def test_the_value_is_class_one_of_the_first_token(made):
    directory, model = made
    tokenizer = AutoTokenizer.from_pretrained(directory)
    want = []
    for pair in PAIRS:
        ids = tokenizer(prompt(pair.source, pair.claim), return_tensors="pt")["input_ids"]
        assert ids[0, 0] == 0
        with torch.inference_mode():
            want.append(model(input_ids=ids).logits[0, 0].softmax(-1)[1].item())
    verdicts = HHEM(directory, device="cpu").score(PAIRS)
    assert [verdict.value for verdict in verdicts] == pytest.approx(want, abs=1e-5)
    assert max(want) - min(want) > 0.1
    assert verdicts[0].sentences == ()


def test_the_order_of_source_and_claim_matters(made):
    forth = HHEM(made[0], device="cpu").score(PAIRS)
    back = HHEM(made[0], device="cpu").score([Pair(pair.claim, pair.source) for pair in PAIRS])
    assert max(abs(one.value - other.value) for one, other in zip(forth, back, strict=True)) > 0.01


@pytest.mark.parametrize(("prefix", "gated"), [("t5.", True), ("", True), ("t5.", False)])
def test_sizes_are_read_from_the_tensors(tmp_path, prefix, gated):
    model = save_token_classifier(tmp_path / "m", prefix=prefix, gated=gated)
    loaded = load_weights(tmp_path / "m", "float32").eval()
    for size in ("vocab_size", "d_model", "d_kv", "d_ff", "num_heads", "num_layers", "dense_act_fn"):
        assert getattr(loaded.config, size) == getattr(model.config, size)
    ids = torch.tensor([[0, 9, 8, 7, 2]])
    with torch.inference_mode():
        assert torch.allclose(loaded(input_ids=ids).logits, model(input_ids=ids).logits, atol=1e-6)


def test_weights_that_lack_or_have_too_much_are_refused(tmp_path, models):
    save_token_classifier(tmp_path / "m")
    path = tmp_path / "m" / "model.safetensors"
    whole = load_file(path)
    for wrong, why in (
        ({k: v for k, v in whole.items() if "block.1.layer.1.Dense" not in k}, "block.1.layer.1.DenseRelu"),
        ({**whole, "t5.extra": torch.zeros(1)}, "extra does not fit"),
        ({k: v for k, v in whole.items() if "shared" not in k}, "not a T5 encoder with a token classifier"),
        ({k: v for k, v in whole.items() if "classifier" not in k}, "not a T5 encoder with a token classifier"),
    ):
        save_file(wrong, path, {"format": "pt"})
        with pytest.raises(ModelError, match=why) as caught:
            load_weights(tmp_path / "m", "float32")
        assert "\n" not in str(caught.value)
    path.write_bytes(b"nothing")
    with pytest.raises(ModelError, match="cannot be read as safetensors"):
        load_weights(tmp_path / "m", "float32")
    save_token_classifier(tmp_path / "three", classes=3)
    with pytest.raises(ModelError, match="T5 with two classes"):
        load_weights(tmp_path / "three", "float32")
    with pytest.raises(ModelError, match="not a T5 encoder"):
        HHEM(str(models("bert")), device="cpu").score([Pair(SOURCE, CLAIM)])


def test_the_tokenizer_can_be_elsewhere(tmp_path, made):
    save_token_classifier(tmp_path / "m")
    for name in ("tokenizer.json", "tokenizer_config.json"):
        (tmp_path / "m" / name).unlink()
    with pytest.raises(ModelError, match="has no tokenizer"):
        HHEM(str(tmp_path / "m"), device="cpu").score([Pair(SOURCE, CLAIM)])
    (here,) = HHEM(str(tmp_path / "m"), tokenizer=made[0], device="cpu").score([Pair(SOURCE, CLAIM)])
    (there,) = HHEM(made[0], device="cpu").score([Pair(SOURCE, CLAIM)])
    assert here.value == there.value


def test_a_tokenizer_that_frames_the_prompt_otherwise_is_refused(tmp_path, made):
    other = str(save_pairs(tmp_path / "bert"))
    with pytest.raises(ModelError, match="does not read <pad> as the padding token"):
        HHEM(made[0], tokenizer=other, device="cpu").score([Pair(SOURCE, CLAIM)])


def test_the_source_is_cut_by_words_only_where_asked(made):
    long = text(1, 20)
    (whole,) = HHEM(made[0], device="cpu").score([Pair(long, CLAIM)])
    assert whole.truncated == 0
    scorer = HHEM(made[0], device="cpu", max_length=120)
    (cut,) = scorer.score([Pair(long, CLAIM)])
    kept = len(long.split()) - cut.truncated
    shown = " ".join(long.split()[:kept])
    assert 0 < kept < len(long.split())
    tokenizer = AutoTokenizer.from_pretrained(made[0])
    assert len(tokenizer(prompt(shown, CLAIM))["input_ids"]) <= 120
    more = " ".join(long.split()[: kept + 1])
    assert len(tokenizer(prompt(more, CLAIM))["input_ids"]) > 120
    (same,) = HHEM(made[0], device="cpu").score([Pair(shown, CLAIM)])
    assert cut.value == pytest.approx(same.value, abs=1e-6)
    (none,) = scorer.score([Pair(SOURCE, text(2, 30))])
    assert (none.value, none.reason) == (None, "the claim leaves the source no room in a prompt of 120 tokens")


def test_sentences_are_scored_beside_the_whole_where_asked(made):
    claim = f"{CLAIM} Rome is in Italy."
    (plain,) = HHEM(made[0], device="cpu").score([Pair(SOURCE, claim)])
    (verdict,) = HHEM(made[0], device="cpu", by_sentence=True).score([Pair(SOURCE, claim)])
    first, second = HHEM(made[0], device="cpu").score([Pair(SOURCE, CLAIM), Pair(SOURCE, "Rome is in Italy.")])
    assert verdict.value == pytest.approx(plain.value, abs=1e-6)
    assert [s.value for s in verdict.sentences] == pytest.approx([first.value, second.value], abs=1e-6)


def test_batches_do_not_matter(made):
    pairs = [*PAIRS, Pair(" ", CLAIM)]
    one = HHEM(made[0], device="cpu", batch_size=1).score(pairs)
    many = HHEM(made[0], device="cpu").score(pairs)
    assert [v.value for v in one[:6]] == pytest.approx([v.value for v in many[:6]], abs=1e-5)
    assert one[6].reason == NO_SOURCE


def test_identity_has_digests_before_anything_is_loaded(made):
    scorer = HHEM(made[0], device="cpu")
    before = scorer.identity()
    assert scorer._loaded is None
    assert len(before["weights_sha256"]) == len(before["tokenizer_sha256"]) == 64
    scorer.score([Pair(SOURCE, CLAIM)])
    assert scorer.identity() == before
