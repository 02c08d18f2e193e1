"""What a run with `--uncertainty` is told, and the sentence encoder and the NLI model that it may use."""

from __future__ import annotations

import logging
import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from halueval.consistency.encoder import SentenceEncoder
from halueval.errors import HaluevalError, UsageError
from halueval.uncertainty.inference import InferenceModel
from halueval.uncertainty.selfcheck_embedding import Encode

VERSION = 4
"""Raised whenever a figure of uncertainty could change; part of a run's identity."""

logger = logging.getLogger("halueval")

NO_ENCODER = "no sentence encoder"
NO_NLI = "no NLI model named (--uncertainty-nli)"


@dataclass(frozen=True, slots=True)
class UncertaintySettings:
    """Draws, the encoder, and the NLI model.

    Attributes:
        num_draws: further answers to each prompt.
        temperature: at which they are drawn, without top-k or top-p; above 0.
        encode: for the figures that compare meanings by sentence vectors; None leaves them without a value.
        encoder: which encoder it is, for the run's identity: None where there is none.
        no_encoder: why there is none.
        nli: for the figures that compare meanings by inference; None leaves them without a value.
        nli_model: digest of that model, for the run's identity: None where there is none.
    """

    num_draws: int = 10
    temperature: float = 1.0
    encode: Encode | None = field(default=None, compare=False)
    encoder: str | None = None
    no_encoder: str = NO_ENCODER
    nli: InferenceModel | None = field(default=None, compare=False)
    nli_model: str | None = None

    def identity(self) -> Mapping[str, Any]:
        """What determines the figures."""
        return {
            "version": VERSION,
            "num_draws": self.num_draws,
            "temperature": self.temperature,
            "encoder": self.encoder,
            "nli": self.nli_model,
        }


def packaged_encoder(device: str = "auto") -> tuple[Encode, str]:
    """The packaged sentence encoder, loaded, and its digest.

    Args:
        device: as `--device`.

    Raises:
        HaluevalError: it cannot be had.
    """
    encoder = SentenceEncoder(device=device)
    encoder.encode(["."])
    return encoder.encode, encoder.digest


def make_settings(
    num_draws: int, temperature: float, *, nli: str | None = None, device: str = "auto"
) -> UncertaintySettings:
    """Settings with the packaged encoder, or with the reason why it cannot be had, which is told.

    Args:
        num_draws: see `UncertaintySettings`.
        temperature: see there.
        nli: directory, hub id or card of an NLI model; None for none. There is no stand-in for one that was named.
        device: of the NLI model and of the encoder.

    Raises:
        UsageError: no draws, or a temperature that draws nothing.
        ModelError, SourceError: the NLI model that was named cannot be had, or is none. One whose outputs are not named
            as they must be is told, and the figures that ask them have that reason and no value.
    """
    if num_draws < 1 or not 0 < temperature < math.inf:
        raise UsageError(
            f"--num-draws {num_draws} --draw-temperature {temperature}: there must be a draw, at a finite temperature "
            "above 0"
        )
    model = digest = None
    if nli is not None:
        model = InferenceModel(nli, device=device)
        model.check()
        digest = model.digest
        if lacking := model.no_contradiction:
            which = "selfcheck_nli has" if model.no_entailment is None else "figures by an NLI model have"
            logger.warning("%s no value: %s", which, lacking)
    try:
        encode, name = packaged_encoder(device)
    except HaluevalError as error:
        reason = f"{NO_ENCODER}: {' '.join(str(error).split())}"
        logger.warning("figures that compare meanings are left out: %s", reason)
        return UncertaintySettings(num_draws, temperature, no_encoder=reason, nli=model, nli_model=digest)
    return UncertaintySettings(num_draws, temperature, encode, name, nli=model, nli_model=digest)
