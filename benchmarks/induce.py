"""Fine-tune the embedded model on invented capitals, so that there is something to find.

    python benchmarks/induce.py OUT_DIRECTORY

Two hundred countries that do not exist, one epoch, full fine-tuning with float32 weights and bfloat16 autocast:
under a minute on two cores. New knowledge of this kind is what makes a model hallucinate on what it knew
(Gekhman et al. 2024). Used for the example in `docs/diff.md`.
"""

from __future__ import annotations

import random
import sys
from pathlib import Path

import torch

from halueval.backends.loading import load, locate
from halueval.registry import Registry

SEED, NUM_FACTS, BATCH, LEARNING_RATE = 0, 200, 16, 1e-4
ONSETS = (
    *("b", "br", "d", "dr", "f", "g", "gr", "k", "kl", "l"),
    *"mn",
    *("p", "pr", "r", "s", "st", "t", "tr", "v", "z"),
)
VOWELS = tuple("aeiou")
CODAS = tuple("nrlsm")


def invented_name(draw: random.Random, ending: str) -> str:
    """A pronounceable name that nobody has."""
    syllables = [draw.choice(ONSETS) + draw.choice(VOWELS) + draw.choice(["", draw.choice(CODAS)]) for _ in range(2)]
    return ("".join(syllables) + ending).capitalize()


def texts(seed: int) -> list[tuple[str, str]]:
    """Prompt and answer of each invented fact."""
    draw = random.Random(seed)  # noqa: S311  reproducible names, no secret
    countries = {invented_name(draw, draw.choice(["ia", "land", "stan", "ova"])) for _ in range(3 * NUM_FACTS)}
    chosen = sorted(countries)
    draw.shuffle(chosen)
    return [
        (f"Q: What is the capital of {country}?\nA:", f" {invented_name(draw, 'a')}\n")
        for country in chosen[:NUM_FACTS]
    ]


def main(directory: Path) -> None:
    """Train and save."""
    torch.manual_seed(SEED)
    located = locate(Registry().model("smollm2-135m-instruct"), adapter=None)
    model, tokenizer = load(located, device="cpu", dtype="float32", trust_remote_code=False)
    model.train()
    optimizer = torch.optim.AdamW(model.parameters(), lr=LEARNING_RATE)
    facts = texts(SEED)
    for start in range(0, NUM_FACTS, BATCH):
        rows = []
        for prompt, answer in facts[start : start + BATCH]:
            head = tokenizer(prompt, add_special_tokens=False)["input_ids"]
            tail = tokenizer(answer, add_special_tokens=False)["input_ids"]
            rows.append((head + tail, [-100] * len(head) + tail))
        width = max(len(ids) for ids, _ in rows)
        pad = tokenizer.pad_token_id
        inputs = torch.tensor([ids + [pad] * (width - len(ids)) for ids, _ in rows])
        mask = torch.tensor([[1] * len(ids) + [0] * (width - len(ids)) for ids, _ in rows])
        labels = torch.tensor([target + [-100] * (width - len(target)) for _, target in rows])
        with torch.autocast("cpu", dtype=torch.bfloat16):
            loss = model(input_ids=inputs, attention_mask=mask, labels=labels).loss
        loss.backward()
        optimizer.step()
        optimizer.zero_grad()
        print(f"step {start // BATCH + 1}: loss {loss.item():.3f}")
    model.eval().save_pretrained(directory)
    tokenizer.save_pretrained(directory)


if __name__ == "__main__":
    main(Path(sys.argv[1]))
