"""Records of a diff and paired samples made by hand, for tests of what is drawn from them."""

from __future__ import annotations

import random

from halueval.compare.record import STATES

SIDE = {
    "base": None,
    "source": None,
    "architecture": "causal",
    "dtype": "float32",
    "num_parameters": 1,
    "weights_sha256": "w",
    "adapter_sha256": None,
    "tokenizer_sha256": "t",
    "chat_template_sha256": None,
}


def side(label):
    return {**SIDE, "label": label, "name": label}


def figure(base, candidate, half=None, *, p=0.2, significant=False, better=True, primary=False, **changes):
    delta = candidate - base
    low, high = (None, None) if half is None else (delta - half, delta + half)
    return {
        "base": base,
        "candidate": candidate,
        "delta": delta,
        "ci_low": low,
        "ci_high": high,
        "ci_method": "jackknife-t",
        "ci_reason": None if half is not None else "one cluster",
        "p_value": p,
        "p_adjusted": p,
        "test": "mcnemar-exact",
        "mde": 0.081,
        "significant": significant,
        "primary": primary,
        "higher_is_better": better,
        "n": 146,
        "n_base_only": 0,
        "n_candidate_only": 0,
        "best": None,
        "worst": None,
        "flips": 3,
        "floor": None,
        "within_noise": None,
        **changes,
    }


def rate(count, n):
    if not n:
        return {"value": None, "ci_low": None, "ci_high": None, "count": 0, "n": 0}
    value = count / n
    return {"value": value, "ci_low": max(value - 0.08, 0), "ci_high": min(value + 0.08, 1), "count": count, "n": n}


def net(count, n, *, significant=False):
    value = count / n if n else None
    return {
        **rate(0, n),
        "value": value,
        "ci_low": None if value is None else value - 0.07,
        "ci_high": None if value is None else value + 0.07,
        "count": count,
        "p_value": 0.00001 if significant else 0.4,
        "p_adjusted": 0.00002 if significant else 0.8,
        "test": "mcnemar-exact",
        "mde": 0.09,
        "significant": significant,
        "floor": None,
        "within_noise": None,
    }


def stratum(n, induced, repaired, *, metric=True):
    return {
        "n": n,
        "small": n < 30,
        "metric": figure(0.5, 0.4, 0.1) if metric else None,
        "induced_rate": rate(induced, max(n // 2, 1)),
        "repaired_rate": rate(repaired, max(n - n // 2, 1)),
        "net_rate": net(induced - repaired, n, significant=n > 60),
        "transitions": {},
    }


def sample(number, base_state="correct", candidate_state="hallucinated", **changes):
    """A paired sample; `changes` may give `answers`, a pair of texts."""
    ours, theirs = changes.pop("answers", ("Paris", "Atlantis"))
    row = {
        "candidate_label": "tuned",
        "sample_id": str(number),
        "doc_hash": f"d{number}",
        "prompt": f"Q: What is the capital of Spain?\nA: Madrid\n\nQ: What is the capital of land {number}?\nA:",
        "target": "Paris",
        "choices": None,
        "group": {"relation": f"capital {number % 3}"},
        "transition": None,
        "base": _answer(base_state, ours),
        "candidate": _answer(candidate_state, theirs),
    }
    return {**row, **changes}


def _answer(state, text):
    score = {"correct": 1.0, "unscored": None}.get(state, 0.0)
    reason = "no answer found" if state == "unscored" else None
    return {
        "state": state,
        "response": text,
        "confidence": 0.123456789,
        "reason": reason,
        "scores": {"exact_match": score},
    }


def samples(n, seed=0):
    """`n` samples over all sixteen transitions."""
    draw = random.Random(seed)
    return [sample(i, draw.choice(STATES), draw.choice(STATES)) for i in range(n)]


def transitions(rows):
    counts = {a: dict.fromkeys(STATES, 0) for a in STATES}
    for row in rows:
        counts[row["base"]["state"]][row["candidate"]["state"]] += 1
    return counts


def calibration():
    def bins(shift):
        return [
            {
                "confidence": c / 10,
                "accuracy": max(c / 10 - shift, 0),
                "n": 15,
                "ci_low": max(c / 10 - shift - 0.1, 0),
                "ci_high": min(c / 10 - shift + 0.15, 1),
            }
            for c in range(1, 10, 2)
        ]

    one = {
        "base": 0.06,
        "candidate": 0.21,
        "delta": 0.15,
        "ci_low": 0.1,
        "ci_high": 0.2,
        "p_value": 0.0002,
        "test": "x",
    }
    return {
        "n": 146,
        "n_bins": 15,
        "reason": None,
        "ece": one,
        "brier": one,
        "nll": one,
        "ece_floor": {"base": 0.04, "candidate": 0.05},
        "curves": {"base": bins(0.02), "candidate": bins(0.2)},
    }


def task(name, rows, **changes):
    drift = {
        "rates": {"refusal_rate": figure(0.01, 0.02, 0.02, better=None)},
        "lengths": {"response_tokens": figure(3.1, 3.4, 0.2, better=None)},
        "expected_format": net(50, 140, significant=True),
        "could_explain": False,
        "text": "The form of the answers did not change.",
    }
    return {
        "task": {
            "name": name,
            "version": "1",
            "kind": "qa",
            "language": "en",
            "output_type": "generate_until",
            "num_fewshot": 4,
            "primary_metric": "exact_match",
        },
        "base_run": {"run_id": "aaa", "path": "a", "finished_at": ""},
        "candidate_run": {"run_id": "bbb", "path": "b", "finished_at": ""},
        "headline": "Fine-tuning made the model hallucinate on 52 of the 74 questions it used to get right.",
        "verdict": "worse",
        "notes": ["The chat templates differ, as the checkpoints do."],
        "mismatches": [],
        "n_paired": 146,
        "pairing": {
            "n_base": 146,
            "n_candidate": 146,
            "n_paired": 146,
            "n_clusters": 140,
            "n_unpaired_base": 1,
            "n_unpaired_candidate": 0,
            "reasons": {},
            "prompts_differ": 0,
            "unscored_base": 0,
            "unscored_candidate": 0,
            "unscored_both": 0,
            "identical_answers": 21,
        },
        "metrics": {
            "exact_match": figure(0.507, 0.158, 0.09, p=0.00001, significant=True, primary=True),
            "token_f1": figure(0.52, 0.17, 0.09, p=0.00001, significant=True),
            "hallucination_rate": figure(0.48, 0.83, 0.09, p=0.00001, significant=True, better=False),
            "answer_rate": figure(0.99, 0.98, 0.02, p=0.41),
            "reference_nll": figure(2.31, 5.92, 0.6, p=0.0001, significant=True, better=False),
            "response_tokens": figure(3.1, 3.4, 0.2, better=None),
        },
        "not_comparable": {"token_perplexity": "the tokenizers differ"},
        "has_states": True,
        "transitions": transitions(rows),
        "induced_rate": rate(52, 75),
        "lost_knowledge_rate": rate(52, 75),
        "lost_caution_rate": rate(0, 75),
        "repaired_rate": rate(1, 71),
        "persistent_rate": rate(70, 71),
        "net_rate": net(51, 146, significant=True),
        "bounds": {
            "n_uncertain": 1,
            "net_rate": {"best": 0.34, "worst": 0.36},
            "induced_rate": {"best": 0.69, "worst": 0.7},
        },
        "strata": {"relation": {"capital 0": stratum(90, 30, 1), "capital 1": stratum(12, 3, 0, metric=False)}},
        "format_drift": drift,
        "calibration": calibration(),
        "likelihood": {"reference_nll": figure(2.31, 5.92, 0.6, better=False)},
        "samples": {"induced": [], "repaired": []},
        **changes,
    }


def comparison(candidate, tasks):
    macro = {"value": 0.2, "ci_low": 0.1, "ci_high": 0.3}
    return {
        "candidate": side(candidate),
        "headline": next(iter(tasks.values()))["headline"],
        "notes": [],
        "tasks": tasks,
        "summary": {"qa": {"tasks": list(tasks), "net_rate": macro, "primary_delta": macro}},
    }


def record(tasks, *, base="plain", candidate="tuned", further=()):
    return {
        **comparison(candidate, tasks),
        "schema_version": 1,
        "halueval_version": "0.0",
        "settings": {"alpha": 0.05, "seed": 0, "n_resamples": 10000, "allow_mismatch": [], "n_claims": 2},
        "base": side(base),
        "further": list(further),
        "gates": [],
    }
