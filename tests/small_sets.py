"""The description of an annotated set that tests write and change."""

TINY_SET = {
    "name": "tiny",
    "about": "Made up.",
    "license": "CC0-1.0",
    "citation": "nobody",
    "files": {"rows": "tiny.jsonl"},
    "reader": "flat",
    "columns": {"source": "text", "claim": "claim", "label": "label"},
    "label": {"consistent": [1], "inconsistent": [0]},
    "validation": {"share": 0.4},
}
