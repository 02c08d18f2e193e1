"""How many tokens models can be fed whose positions begin behind a row of padding."""

import pytest
import torch
from small_models import SMALL, build_tokenizer
from transformers import (
    BertConfig,
    BertForSequenceClassification,
    LongformerConfig,
    LongformerForSequenceClassification,
    MPNetConfig,
    MPNetForSequenceClassification,
    RobertaConfig,
    RobertaForSequenceClassification,
)

from halueval.backends.base import ChatSettings
from halueval.backends.texts import Texts

POSITIONS = 24
KINDS = {
    "bert": (BertConfig, BertForSequenceClassification, {}, 24),
    "roberta": (RobertaConfig, RobertaForSequenceClassification, {"pad_token_id": 1}, 22),
    "roberta, padded by 0": (RobertaConfig, RobertaForSequenceClassification, {"pad_token_id": 0}, 23),
    "mpnet": (MPNetConfig, MPNetForSequenceClassification, {"pad_token_id": 1}, 22),
    "longformer": (
        LongformerConfig,
        LongformerForSequenceClassification,
        {"pad_token_id": 1, "attention_window": 4},
        22,
    ),
}


@pytest.mark.parametrize("kind", KINDS)
def test_the_window_is_what_the_model_can_be_fed(kind):
    config_class, model_class, options, expected = KINDS[kind]
    tokenizer = build_tokenizer(bos="<s>", eos="</s>", post="<s> $A </s>")
    config = config_class(**SMALL, vocab_size=len(tokenizer), max_position_embeddings=POSITIONS, **options)
    model = model_class(config).eval()
    texts = Texts(tokenizer, config, decoder_start=None, architecture="classifier", chat=ChatSettings(), model=model)
    assert texts.window == expected
    with torch.inference_mode():
        assert model(torch.full((1, texts.window), 7)).logits.isfinite().all()
        with pytest.raises((IndexError, RuntimeError)):
            model(torch.full((1, texts.window + 1), 7))
