import pytest

from halueval.backends.base import ChatSettings
from halueval.backends.texts import Texts
from halueval.errors import DataError
from halueval.finetune.encode import encode_examples, num_target_tokens
from halueval.finetune.examples import Example


def texts_of(models, name, architecture):
    from transformers import AutoConfig, AutoTokenizer

    tokenizer = AutoTokenizer.from_pretrained(models(name))
    config = AutoConfig.from_pretrained(models(name))
    start = getattr(config, "decoder_start_token_id", None)
    return Texts(tokenizer, config, decoder_start=start, architecture=architecture, chat=ChatSettings())


def test_the_loss_is_over_the_tokens_of_the_answer_alone(models):
    texts = texts_of(models, "causal", "causal")
    (features,) = encode_examples(
        [Example("Question: what is the capital?\nAnswer:", " Paris\n")], texts, max_length=None
    )
    learnt = [token for token in features["labels"] if token != -100]
    assert texts.decode(learnt) == " Paris\n"
    assert texts.decode(features["input_ids"]) == "Question: what is the capital?\nAnswer: Paris\n"
    assert features["input_ids"][0] == texts.tokenizer.bos_token_id
    assert num_target_tokens([features]) == len(learnt)
    (whole,) = encode_examples([Example("", "A film")], texts, max_length=None)
    assert whole["labels"] == [-100, *whole["input_ids"][1:]]


@pytest.mark.parametrize("name", ["t5", "bart"])
def test_an_encoder_decoder_learns_its_target_with_the_end_shifted_behind_the_start(models, name):
    texts = texts_of(models, name, "seq2seq")
    (features,) = encode_examples([Example("The capital of France is Paris.", " Paris")], texts, max_length=None)
    start = texts.decoder_start
    target = list(texts.tokenizer(text_target="Paris")["input_ids"])
    assert features["decoder_input_ids"] == [start, *target[:-1]]
    assert features["labels"][-1] == texts.tokenizer.eos_token_id
    learnt = [token for token in features["labels"] if token != -100]
    assert learnt == [token for token in target if token != texts.tokenizer.bos_token_id]


@pytest.mark.parametrize(
    ("example", "max_length", "said"),
    [
        (Example("Where?", ""), None, "training example 1 ('Where?'): empty continuation"),
        (
            Example("Where?", " a b c d e f"),
            4,
            "tokens, and max_length is 4; shorten it, or leave it out with too_long: drop",
        ),
        (Example("Where?", " x" * 200), None, "tokens, and the model's window holds 128; shorten it"),
        (Example("", ""), None, "empty text"),
    ],
)
def test_what_cannot_be_learnt_whole_is_refused_and_named(models, example, max_length, said):
    with pytest.raises(DataError, match=r".") as refused:
        encode_examples([example], texts_of(models, "causal", "causal"), max_length=max_length)
    assert said in str(refused.value)


def test_a_class_that_the_head_lacks_is_refused(models):
    texts = texts_of(models, "bert", "classifier")
    labels = {"negative": 0, "positive": 1}
    (features,) = encode_examples([Example("A film", label="positive")], texts, max_length=None, labels=labels)
    assert features["labels"] == 1
    with pytest.raises(DataError, match="class 'mixed' is none of the head's: negative, positive"):
        encode_examples([Example("A film", label="mixed")], texts, max_length=None, labels=labels)
