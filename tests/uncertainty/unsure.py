"""A scripted model that is sure of the capitals it knows, and draws another invention each time for the rest."""

import math

import numpy as np
from runs import CAPITALS, knows

from halueval.backends.fake import FakeBackend
from halueval.uncertainty.settings import UncertaintySettings

KNOWN = ("France", "Italy", "Spain", "Peru")
INVENTED = ("Atlantis", "Utopia", "Camelot", "Avalon", "Eldorado")


def encode(texts):
    """One direction a distinct text."""
    out = np.zeros((len(texts), 512))
    for row, text in zip(out, texts, strict=True):
        row[int.from_bytes(text.encode(), "big") % 509] = 1.0
    return out


def draws(prompt, seed):
    """Sure of what it knows, and of nothing else."""
    country = prompt.rsplit("capital of ", 1)[1].split("?")[0]
    return f" {CAPITALS[country]}" if country in KNOWN else f" {INVENTED[seed % len(INVENTED)]}"


def verdict(context, continuation):
    """Finds true what it drew more than once."""
    if "Possible answer:" not in context:
        return -1.0
    right = any(f"Possible answer: {CAPITALS[country]}\n" in context for country in KNOWN)
    return math.log(0.9) if right == (continuation == " A") else math.log(0.1)


def backend(**options):
    return FakeBackend(knows(*KNOWN), draws=draws, loglikelihood=verdict, **options)


SETTINGS = UncertaintySettings(num_draws=6, encode=encode, encoder="fake")
