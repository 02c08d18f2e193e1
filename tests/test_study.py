"""The arithmetic and the page of the study, on made checkpoints."""

import math
from dataclasses import replace

import pytest

from benchmarks.study.design import Design
from benchmarks.study.measure import Checkpoint, by_class, record_of, stopping
from benchmarks.study.page import write_page

CLASSES = {"HighlyKnown": 0.9, "MaybeKnown": 0.5, "WeaklyKnown": 0.2, "Unknown": 0.0}
PROBE = {
    "n_facts": 4,
    "classes": [{"known_class": name, "count": 1} for name in CLASSES],
    "split_half": {"observed": {"value": 0.8}},
}


def checkpoint(share, seed, step, choose, report, known=0.0, unknown=0.0):
    accuracy = {"choose": choose, "report": report, "all": (choose + report) / 2}
    return Checkpoint(share, seed, step, {"known": known, "unknown": unknown}, accuracy, CLASSES, 0.6)


def made():
    out = []
    for share in (0.0, 0.5, 1.0):
        for seed in (0, 1, 2):
            for step in (0, 10, 20):
                known, unknown = (1 - share) * step / 20, share * (step / 20) ** 2
                accuracy = 0.4 + 0.1 * known - 0.2 * unknown + 0.001 * seed
                out.append(checkpoint(share, seed, step, accuracy, accuracy, known, unknown))
    return out


def test_early_stopping_is_chosen_by_one_half_and_reported_by_the_other():
    found = [
        checkpoint(1.0, 0, 10, 0.5, 0.40),
        checkpoint(1.0, 0, 20, 0.4, 0.30),
        checkpoint(1.0, 1, 10, 0.4, 0.20),
        checkpoint(1.0, 1, 20, 0.5, 0.30),  # here going on was better
    ]
    (row,) = stopping(found)
    assert (row["early"], row["converged"]) == pytest.approx((0.35, 0.30))
    assert row["change"] == pytest.approx(-0.05)
    # Student's t with one degree of freedom, standard deviation .1/√2 over √2.
    assert row["ci_high"] - row["change"] == pytest.approx(12.7062 * 0.05, rel=1e-4)


def test_accuracy_by_class_is_that_of_the_ends_beside_the_base():
    found = made()
    last = [replace(c, by_class={**CLASSES, "HighlyKnown": 0.3}) if c.step == 20 else c for c in found]
    base, first, *_ = by_class(last)
    assert (base["unknown_share"], base["HighlyKnown"]) == (None, 0.9)
    assert first["HighlyKnown"] == pytest.approx(0.3)


def test_the_law_is_found_and_the_page_says_it(tmp_path):
    record = record_of(Design(shares=(0.0, 0.5, 1.0)), made(), PROBE)
    coefficients = record["law"]["coefficients"]
    assert coefficients["known"]["value"] == pytest.approx(0.1, abs=1e-6)
    assert coefficients["unknown"]["value"] == pytest.approx(-0.2, abs=1e-6)
    write_page(record, tmp_path)
    text = (tmp_path / "study.md").read_text()
    assert "| unknown facts fitted | −20.0 [" in text
    assert "the sign of unknown facts fitted is −, as published" in text
    assert "| the base | 90.0 | 50.0 | 20.0 | 0.0 | 60.0 |" in text
    assert (tmp_path / "study-law.svg").read_text().startswith("<svg ")


def test_nothing_fitted_is_no_law_and_no_number(tmp_path):
    found = [replace(c, fitted={"known": 0.0, "unknown": 0.0}) for c in made()]
    record = record_of(Design(shares=(0.0, 0.5, 1.0)), found, PROBE)
    assert record["law"] is None
    write_page(record, tmp_path)
    assert "No law: the shares of known and unknown facts do not vary" in (tmp_path / "study.md").read_text()


def test_a_class_without_asked_facts_is_null():
    found = [replace(c, by_class={**CLASSES, "WeaklyKnown": math.nan}) for c in made()]
    assert by_class(found)[0]["WeaklyKnown"] is None
