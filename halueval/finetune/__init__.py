"""Fine-tuning under controlled conditions: recipes, their data, training that can be resumed, and mitigations."""
