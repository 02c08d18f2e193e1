"""halueval: did fine-tuning make the language model hallucinate more, where, and how much."""

__version__ = "0.1.0"
