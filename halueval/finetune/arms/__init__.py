"""Mitigations of fine-tuning-induced hallucination: one class each, named in a recipe's `mitigation`."""
