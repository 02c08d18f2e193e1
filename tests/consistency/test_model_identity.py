"""Scorers with a model of their own: what is in their identity, and files that would make numbers of a failure."""

import json
import shutil

import pytest
from safetensors.numpy import load_file, save_file
from small_sets import TINY_SET

from halueval.consistency.base import Pair
from halueval.consistency.catalog import create
from halueval.consistency.encoder import SentenceEncoder
from halueval.consistency.factscore import FActScore
from halueval.consistency.language_model import shared_model
from halueval.consistency.lookback.reading import Reader
from halueval.errors import ModelError

PAIR = Pair("The film was long.", "The film was long.")


@pytest.fixture
def copied(models, tmp_path):
    """A copy of a small model that a test may spoil."""

    def copy(name):
        return shutil.copytree(models(name), tmp_path / name)

    return copy


def edit(path, **changes):
    content = json.loads(path.read_text())
    path.write_text(json.dumps({**content, **changes}))


def more_words(directory):
    words = json.loads((directory / "tokenizer.json").read_text())
    words["model"]["vocab"]["unheard"] = len(words["model"]["vocab"])
    (directory / "tokenizer.json").write_text(json.dumps(words))


def other_norm(directory):
    config = json.loads((directory / "config.json").read_text())
    key = "layer_norm_eps" if "layer_norm_eps" in config else "rms_norm_eps"
    edit(directory / "config.json", **{key: 0.1})


@pytest.mark.parametrize(("change", "part"), [(more_words, "tokenizer_sha256"), (other_norm, "config_sha256")])
@pytest.mark.parametrize(
    ("name", "model"), [("embedding", "bert"), ("likelihood", "causal"), ("p_yes", "causal"), ("factscore", "causal")]
)
def test_tokenizer_and_configuration_are_part_of_the_identity(copied, name, model, change, part):
    directory = copied(model)

    def identity():
        shared_model.cache_clear()
        key = "facts_model" if name == "factscore" else "model"
        return create(name, {key: str(directory)}).identity()

    before = identity()
    change(directory)
    after = identity()
    part = f"facts_{part}" if name == "factscore" else part
    assert len(before[part]) == 64
    assert {key for key in after if after[key] != before[key]} == {part}


@pytest.mark.parametrize("change", [more_words, other_norm])
def test_the_one_digest_of_a_packaged_model_holds_all_of_its_files(copied, change):
    encoder, reader = copied("bert"), copied("causal")

    def digests():
        shared_model.cache_clear()
        found = shared_model(str(reader), "cpu", "float32").digest
        return SentenceEncoder(encoder).digest, found, Reader(str(reader), "cpu", "float32").digest

    before = digests()
    change(encoder)
    change(reader)
    assert not set(before) & set(digests())


def test_the_chat_template_in_which_facts_are_asked_for_is_part_of_the_identity(copied):
    directory = copied("causal")
    assert "facts_chat_template_sha256" not in FActScore(facts_model=str(directory)).identity()
    (directory / "chat_template.jinja").write_text("{{ messages[0]['content'] }}")
    assert len(FActScore(facts_model=str(directory)).identity()["facts_chat_template_sha256"]) == 64


def without_tokenizer(directory):
    for path in directory.glob("token*"):
        path.unlink()


def without_half_of_its_weights(directory):
    weights = load_file(directory / "model.safetensors")
    kept = {name: value for i, (name, value) in enumerate(sorted(weights.items())) if i % 2}
    save_file(kept, directory / "model.safetensors", metadata={"format": "pt"})


def with_damaged_weights(directory):
    (directory / "model.safetensors").write_bytes(b"no safetensors")


def without_configuration(directory):
    (directory / "config.json").unlink()


def of_another_kind(directory):
    edit(directory / "config.json", model_type="nothing")


@pytest.mark.parametrize(
    ("spoil", "said"),
    [
        (without_tokenizer, "has no tokenizer"),
        (without_half_of_its_weights, r"the weights lack .*\(\d+ tensors missing\)"),
        (with_damaged_weights, "cannot be loaded from"),
        (without_configuration, r"config\.json"),
        (of_another_kind, "cannot be loaded from"),
    ],
)
def test_an_encoder_of_which_files_are_missing_gives_no_number(copied, spoil, said):
    directory = copied("bert")
    spoil(directory)
    scorer = create("embedding", {"model": str(directory), "device": "cpu"})
    with pytest.raises(ModelError, match=said) as caught:
        scorer.score([PAIR])
    assert "\n" not in str(caught.value)


def test_an_encoder_that_is_a_file_is_refused(tmp_path):
    path = tmp_path / "encoder.safetensors"
    path.write_bytes(b"x")
    with pytest.raises(ModelError, match="is a directory with safetensors"):
        create("embedding", {"model": str(path)}).identity()


SET = {**TINY_SET, "validation": {"share": 0.5}}


def test_validate_scorer_says_in_one_line_that_an_encoder_has_no_tokenizer(copied, tmp_path, invoke):
    directory = copied("bert")
    without_tokenizer(directory)
    (tmp_path / "tiny.yaml").write_text(json.dumps(SET))
    rows = [{"text": "a b", "claim": "a", "label": i % 2} for i in range(4)]
    (tmp_path / "tiny.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    on = ["--on", tmp_path / "tiny.yaml", "--data-dir", tmp_path]
    done = invoke("validate-scorer", "embedding", "--option", f"embedding:model={directory}", *on)
    assert (done.returncode, done.stdout) == (2, "")
    assert len(done.stderr.strip().splitlines()) == 1
    assert f"{directory}: has no tokenizer" in done.stderr
