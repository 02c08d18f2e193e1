"""Which of the known causes of induced hallucination the evidence fits: one file a measure, and a record of all."""
