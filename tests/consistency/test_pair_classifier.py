import json

import pytest
import torch
from neural_models import NLI, save_pairs, text
from transformers import AutoModelForSequenceClassification, AutoTokenizer

from halueval.consistency.labels import UnknownLabelsError, roles_of, split_labels
from halueval.consistency.local_model import NOT_FINITE, Encoded, Scored, in_batches
from halueval.consistency.pair_classifier import PairClassifier
from halueval.engine.memory import OUT_OF_MEMORY
from halueval.errors import ModelError, SourceError, UsageError
from halueval.schema import FailedResponse


@pytest.fixture(scope="module")
def directory(tmp_path_factory):
    return save_pairs(tmp_path_factory.mktemp("nli") / "model")


def classifier(directory, **options):
    return PairClassifier(str(directory), scorer="nli", device="cpu", **options)


def alone(directory, premise, hypothesis):
    """The softmax of transformers' own call on one pair, without any of the code under test."""
    tokenizer = AutoTokenizer.from_pretrained(directory)
    model = AutoModelForSequenceClassification.from_pretrained(directory)
    inputs = tokenizer(premise, hypothesis, return_tensors="pt")
    with torch.inference_mode():
        return model(**inputs).logits.softmax(-1)[0].tolist()


PAIRS = [(text(i, 1, 1 + i % 5), text(100 + i, 1, 1 + i % 3)) for i in range(9)]


def test_probabilities_are_the_models_own_in_the_order_of_its_head(directory):
    found = classifier(directory).probabilities(PAIRS)
    for (premise, hypothesis), scored in zip(PAIRS, found, strict=True):
        assert scored.probabilities == pytest.approx(alone(directory, premise, hypothesis), abs=1e-5)
        assert scored.truncated == 0
    assert classifier(directory).roles == NLI


@pytest.mark.parametrize("batch_size", [1, 2, 5])
def test_neither_batch_size_nor_order_nor_duplicates_matter(directory, batch_size):
    want = classifier(directory).probabilities(PAIRS)
    again = classifier(directory, batch_size=batch_size).probabilities([*PAIRS[::-1], *PAIRS])
    for one, other in zip([*want[::-1], *want], again, strict=True):
        assert one.probabilities == pytest.approx(other.probabilities, abs=1e-5)


def test_premise_and_hypothesis_are_not_interchangeable(directory):
    (forth,), (back,) = (classifier(directory).probabilities([pair]) for pair in (PAIRS[4], PAIRS[4][::-1]))
    assert forth.probabilities != pytest.approx(back.probabilities, abs=1e-3)


def test_only_the_premise_is_cut_and_what_was_cut_is_counted(directory):
    tokenizer = AutoTokenizer.from_pretrained(directory)
    long, hypothesis = text(1, 30), text(2, 1)
    (scored,) = classifier(directory).probabilities([(long, hypothesis)])
    ids = tokenizer(long, add_special_tokens=False)["input_ids"]
    room = 64 - 3 - len(tokenizer(hypothesis, add_special_tokens=False)["input_ids"])
    assert scored.truncated == len(ids) - room
    (kept,) = classifier(directory).probabilities([(long + " More of it.", hypothesis)])
    assert kept.probabilities == pytest.approx(scored.probabilities, abs=1e-6)
    (other,) = classifier(directory).probabilities([(long, text(3, 1))])
    assert other.probabilities != pytest.approx(scored.probabilities, abs=1e-3)
    assert classifier(directory).room(hypothesis) == room


def test_a_hypothesis_stays_whole_even_where_it_is_the_longer_text(directory):
    tokenizer = AutoTokenizer.from_pretrained(directory)
    hypothesis = tokenizer.decode(tokenizer(text(2, 30), add_special_tokens=False)["input_ids"][:45])
    made = classifier(directory)
    ids = made._encode(text(1, 30), hypothesis, 64).ids["input_ids"]
    whole = tokenizer(hypothesis, add_special_tokens=False)["input_ids"]
    assert len(whole) > 32
    assert ids[-len(whole) - 1 : -1] == whole
    assert len(ids) == 64


def test_a_shorter_window_cuts_more_and_a_longer_one_is_the_models(directory):
    pair = (text(1, 30), text(2, 1))
    (model,), (short,), (long,) = (classifier(directory, max_length=n).probabilities([pair]) for n in (None, 48, 4096))
    assert short.truncated == model.truncated + 16
    assert long == model


def test_a_hypothesis_that_fills_the_window_has_no_probabilities(directory):
    (failed, fine) = classifier(directory).probabilities([("Rome.", text(1, 30)), PAIRS[0]])
    assert isinstance(failed, FailedResponse)
    assert "no room in the window of 64" in failed.reason
    assert isinstance(fine, Scored)


def test_memory_that_runs_out_halves_the_batch_and_fails_one_alone():
    rows = [Encoded({"input_ids": [i] * (i + 1)}) for i in range(5)]

    def forward(inputs):
        if len(inputs) > 2 or any(ids["input_ids"][0] == 3 for ids in inputs):
            raise RuntimeError("CUDA out of memory")
        return [[ids["input_ids"][0] / 10, 1 - ids["input_ids"][0] / 10] for ids in inputs]

    found = in_batches([*rows, FailedResponse("before")], forward, torch.device("cpu"))
    assert [getattr(f, "reason", None) or f.probabilities[0] for f in found] == [
        0.0,
        0.1,
        0.2,
        OUT_OF_MEMORY,
        0.4,
        "before",
    ]


def test_what_is_not_finite_is_no_probability():
    found = in_batches(
        [Encoded({"input_ids": [1]}), Encoded({"input_ids": [2, 2]})],
        lambda inputs: [[float("nan"), 0.5] if ids["input_ids"] == [1] else [0.5, 0.5] for ids in inputs],
        torch.device("cpu"),
    )
    assert found == [FailedResponse(NOT_FINITE), Scored((0.5, 0.5))]


def test_other_errors_of_a_pass_are_not_taken_for_memory():
    def forward(inputs):
        raise RuntimeError("shape mismatch")

    with pytest.raises(RuntimeError, match="shape"):
        in_batches([Encoded({"input_ids": [1]})], forward, torch.device("cpu"))


@pytest.mark.parametrize(
    ("names", "roles"),
    [
        (("CONTRADICTION", "NEUTRAL", "ENTAILMENT"), ("contradiction", "neutral", "entailment")),
        (("SUPPORTS", "REFUTES", "NOT ENOUGH INFO"), ("entailment", "contradiction", "neutral")),
        (("entailment", "not_entailment"), ("entailment", "not_entailment")),
        (("inconsistent", "consistent"), ("not_entailment", "entailment")),
        (("aligned", "neutral", "contradict"), ("entailment", "neutral", "contradiction")),
    ],
)
def test_roles_come_from_names(names, roles):
    assert roles_of(names, model="m") == roles


@pytest.mark.parametrize(
    "names",
    [("LABEL_0", "LABEL_1", "LABEL_2"), ("negative", "positive"), ("neutral", "contradiction"), ("entailment",)],
)
def test_names_that_say_nothing_are_refused_in_one_line(names):
    with pytest.raises(ModelError, match="model m: its ") as caught:
        roles_of(names, model="m")
    assert "\n" not in str(caught.value)
    assert isinstance(caught.value, UnknownLabelsError) == (len(names) > 1)


def test_two_outputs_of_one_meaning_are_refused():
    with pytest.raises(ModelError, match="different meaning"):
        roles_of(("entailment", "supports", "neutral"), model="m", given=True)


def test_the_option_gives_the_order_that_the_configuration_does_not(tmp_path):
    directory = save_pairs(tmp_path / "m", ("LABEL_0", "LABEL_1", "LABEL_2"))
    with pytest.raises(UnknownLabelsError, match=r"LABEL_0.*labels: \["):
        _ = classifier(directory).roles
    given = classifier(directory, labels="contradiction, neutral, entailment")
    assert given.roles == ("contradiction", "neutral", "entailment")
    assert given.identity()["labels"] == "contradiction,neutral,entailment"
    assert split_labels(["a", "b"]) == ("a", "b")
    with pytest.raises(ModelError, match="3 outputs, but `labels` names 2"):
        _ = classifier(directory, labels=["entailment", "neutral"]).roles
    with pytest.raises(ModelError, match="option `labels` calls an output 'yes'"):
        _ = classifier(directory, labels=["yes", "neutral", "entailment"]).roles


def test_a_card_may_say_what_outputs_mean(tmp_path):
    save_pairs(tmp_path / "m", ("LABEL_0", "LABEL_1"))
    card = tmp_path / "card.yaml"
    card.write_text("name: own\nsource: m\nlabels: {LABEL_0: not_entailment, LABEL_1: entailment}\n")
    assert classifier(card).roles == ("not_entailment", "entailment")


def test_models_that_will_not_do_are_refused_in_one_line(models, tmp_path):
    with pytest.raises(ModelError, match="needs a model: give the option `model`"):
        _ = PairClassifier(None, scorer="nli").roles
    with pytest.raises((SourceError, UsageError)):
        _ = classifier(tmp_path / "nowhere").roles
    with pytest.raises(ModelError, match="is causal; needed is a sequence-classification model"):
        _ = classifier(models("causal")).roles
    copied = save_pairs(tmp_path / "m")
    (copied / "model.safetensors").rename(copied / "pytorch_model.bin")
    with pytest.raises(ModelError, match="only pickled weights"):
        _ = classifier(copied).roles


def test_code_of_a_model_is_never_run(tmp_path):
    directory = save_pairs(tmp_path / "m")
    config = json.loads((directory / "config.json").read_text())
    config |= {"model_type": "own", "auto_map": {"AutoModelForSequenceClassification": "own.M", "AutoConfig": "own.C"}}
    (directory / "config.json").write_text(json.dumps(config))
    (directory / "own.py").write_text("raise SystemExit('ran')\n")
    with pytest.raises(ModelError):
        classifier(directory).probabilities(PAIRS)


def test_identity_has_digests_before_the_model_is_loaded(directory):
    made = classifier(directory)
    before = made.identity()
    assert made.local._loaded is None
    assert {len(before[f"{part}_sha256"]) for part in ("weights", "config", "tokenizer")} == {64}
    _ = made.roles
    assert made.identity() == before
    assert made.identity()["dtype"] == "float32"
