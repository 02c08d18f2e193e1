import pytest
from hypothesis import given
from hypothesis import strategies as st
from neural_models import save_pairs, scripted, table, text

from halueval.consistency.alignscore import AlignScore, chunk_sentences
from halueval.consistency.base import Pair


def test_short_sources_are_one_piece():
    assert chunk_sentences(["A.", "B.", "C."], 349) == ("A. B. C.",)


@pytest.mark.parametrize(
    ("sentences", "words", "sizes"),
    [
        (10, 350, [5, 5]),  # 350 // 350 + 1 = 2 pieces
        (10, 700, [3, 3, 3, 1]),  # 3 wanted, 10 // 3 sentences each: what is left makes a fourth
        (2, 1400, [1, 1]),  # fewer sentences than pieces
        (1, 5000, [1]),
    ],
)
def test_pieces_take_equally_many_sentences(sentences, words, sizes):
    pieces = chunk_sentences([f"S{i}." for i in range(sentences)], words)
    assert [len(piece.split()) for piece in pieces] == sizes
    assert " ".join(pieces).split() == [f"S{i}." for i in range(sentences)]


@given(st.integers(1, 60), st.integers(1, 4000))
def test_every_sentence_is_in_one_piece(sentences, words):
    pieces = chunk_sentences([f"S{i}." for i in range(sentences)], words)
    assert " ".join(pieces).split() == [f"S{i}." for i in range(sentences)]
    assert len({len(piece.split()) for piece in pieces[:-1]}) <= 1


def test_mean_over_sentences_of_the_largest_aligned():
    a, b = "Alpha " + "so " * 198 + "on.", "Beta " + "so " * 198 + "on."
    rule = table(AX=(0.2, 0.5, 0.3), BX=(0.9, 0.1, 0.0), AY=(0.4, 0.2, 0.4), BY=(0.1, 0.1, 0.8))
    scorer = scripted(AlignScore("m"), rule)
    (verdict,) = scorer.score([Pair(f"{a} {b}", "X stands. Yes.")])
    assert len(scorer.classifier.asked) == 4
    assert [s.value for s in verdict.sentences] == [0.9, 0.4]
    assert verdict.value == pytest.approx(0.65)


def test_chinese_characters_are_words():
    scorer = scripted(AlignScore("m"), lambda p, h: (0.5, 0.5, 0.0))
    scorer.score([Pair("山" * 200 + "。" + "水" * 200 + "。", "山水。", language="zh")])
    assert [premise[0] for premise, _ in scorer.classifier.asked] == ["山", "水"]


def test_the_order_of_the_head_must_be_known(tmp_path):
    model = str(save_pairs(tmp_path / "m", ("LABEL_0", "LABEL_1", "LABEL_2")))
    pair = Pair(text(1, 8), text(2, 2))
    (unknown,) = AlignScore(model, device="cpu").score([pair])
    assert unknown.value is None
    (first,) = AlignScore(model, device="cpu", labels="aligned,neutral,contradict").score([pair])
    (last,) = AlignScore(model, device="cpu", labels="contradict,neutral,aligned").score([pair])
    assert first.value != pytest.approx(last.value, abs=1e-3)


def test_a_piece_beyond_the_window_is_cut_and_counted(tmp_path):
    model = str(save_pairs(tmp_path / "m"))
    (verdict,) = AlignScore(model, device="cpu").score([Pair(text(1, 20), "It was true.")])
    assert verdict.truncated > 0
    assert 0 < verdict.value < 1


def test_the_official_head_saved_as_a_sequence_classifier_gives_the_same(tmp_path):
    """Pooler and three-way layer on a RoBERTa, as the official code runs them."""
    import torch
    from small_models import SMALL, build_tokenizer
    from transformers import RobertaConfig, RobertaForSequenceClassification, RobertaModel

    tokenizer = build_tokenizer(bos="<s>", eos="</s>", post="<s> $A </s>")
    config = RobertaConfig(
        **SMALL, vocab_size=len(tokenizer), max_position_embeddings=66, pad_token_id=0, initializer_range=0.3
    )
    torch.manual_seed(5)
    encoder, head = RobertaModel(config, add_pooling_layer=True).eval(), torch.nn.Linear(32, 3)
    config.id2label = {0: "aligned", 1: "neutral", 2: "contradiction"}
    saved = RobertaForSequenceClassification(config)
    saved.roberta.load_state_dict({k: v for k, v in encoder.state_dict().items() if not k.startswith("pooler")})
    saved.classifier.dense.load_state_dict(encoder.pooler.dense.state_dict())
    saved.classifier.out_proj.load_state_dict(head.state_dict())
    saved.save_pretrained(tmp_path / "m")
    tokenizer.save_pretrained(tmp_path / "m")
    inputs = tokenizer("Rome is in Italy.", "It was true.", return_tensors="pt")
    with torch.inference_mode():
        inputs.pop("token_type_ids", None)
        want = head(encoder(**inputs).pooler_output).softmax(-1)[0, 0].item()
    (verdict,) = AlignScore(str(tmp_path / "m"), device="cpu").score([Pair("Rome is in Italy.", "It was true.")])
    assert verdict.value == pytest.approx(want, abs=1e-5)
