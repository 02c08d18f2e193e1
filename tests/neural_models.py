"""Small models and stand-ins for the neural consistency scorers."""

from __future__ import annotations

import json
from pathlib import Path
from types import SimpleNamespace

from small_models import SMALL_T5, build_tokenizer, save_bert, save_t5

from halueval.consistency.local_model import Scored
from halueval.consistency.pair_classifier import PairClassifier

NLI = ("entailment", "neutral", "contradiction")
WORDS = (
    *("Paris", "Rome", "France", "Italy", "iron", "Fe", "film", "good", "bad", "people"),
    *("came", "4", "June", "2017", "true", "it", "was", "not", "capital"),
)


def text(seed: int, sentences: int, words: int = 6) -> str:
    """Sentences of words that are drawn anew for each seed."""
    import random

    draw = random.Random(seed)
    return " ".join("The " + " ".join(draw.choices(WORDS, k=words)) + "." for _ in range(sentences))


def save_pairs(directory: Path, labels=NLI, *, window: int = 64, seed: int = 0) -> Path:
    """A two-layer BERT over pairs with the classes of inference."""
    return save_bert(directory, labels, window=window, seed=seed)


def save_flan(directory: Path) -> Path:
    """A two-layer T5 whose head is its own, as FLAN-T5's is, and small, so that probabilities are not 0 or 1."""
    more = {"feed_forward_proj": "gated-gelu", "tie_word_embeddings": False}
    return save_t5(directory, seed=1, window=None, head_scale=0.1, **more)


def save_token_classifier(directory: Path, *, prefix: str = "t5.", gated: bool = True, classes: int = 2) -> Path:
    """A T5 encoder with a class for each token, under the names of HHEM's checkpoint."""
    import torch
    from safetensors.torch import save_file
    from transformers import T5Config, T5ForTokenClassification

    tokenizer = build_tokenizer(bos=None, eos="</s>", post="$A </s>")
    torch.manual_seed(1)
    feed_forward = "gated-gelu" if gated else "relu"
    config = T5Config(**SMALL_T5, vocab_size=len(tokenizer), d_ff=48, num_heads=3, feed_forward_proj=feed_forward)
    config.num_labels = classes
    model = T5ForTokenClassification(config).eval()
    with torch.no_grad():
        model.classifier.weight.mul_(0.01)  # else every probability is 0 or 1
    directory.mkdir(parents=True, exist_ok=True)
    tensors = {
        prefix + name: tensor.clone() for name, tensor in model.state_dict().items() if "embed_tokens" not in name
    }
    save_file(tensors, directory / "model.safetensors", {"format": "pt"})
    (directory / "config.json").write_text(
        json.dumps({"model_type": "HHEMv2", "architectures": ["HHEMv2ForSequenceClassification"]})
    )
    tokenizer.save_pretrained(directory)
    return model


class Scripted:
    """Takes the place of a classifier: probabilities by rule, a token for each word."""

    def __init__(self, rule, roles=NLI, window=512):
        self.rule, self.roles, self.window, self.asked = rule, roles, window, []
        self.local = SimpleNamespace(spec=lambda: SimpleNamespace(name="scripted"))

    lacks = PairClassifier.lacks

    def count(self, text):
        return len(text.split())

    def room(self, hypothesis):
        return self.window - self.count(hypothesis)

    def probabilities(self, pairs):
        self.asked += pairs
        found = [self.rule(premise, hypothesis) for premise, hypothesis in pairs]
        return [answer if not isinstance(answer, tuple) else Scored(answer) for answer in found]

    def identity(self):
        return {}


def scripted(scorer, rule, **more):
    """The scorer with a scripted classifier."""
    scorer.classifier = Scripted(rule, **more)
    return scorer


def table(**rows):
    """A rule that looks a pair up by the first letters of premise and hypothesis: `table(AX=(.9, .1, 0))`."""
    return lambda premise, hypothesis: rows[premise[0] + hypothesis[0]]
