"""Published and recomputed figures that need no model, to their printed digits, on the sets themselves."""

import csv
import functools
import json
import re
from pathlib import Path

import numpy as np
import pytest
from nltk.stem import PorterStemmer
from rouge_score.rouge_scorer import RougeScorer

from halueval.annotated.sets import load_set
from halueval.consistency.base import Pair
from halueval.consistency.catalog import create
from halueval.stats import agreement

DATA = Path(__file__).parent.parent.parent.parent / "shared" / "data"


def needs(name):
    if not (DATA / name).is_dir():
        pytest.skip(f"no annotated data: {DATA / name} is absent")
    return DATA / name


def value(measure):
    assert measure.problem is None
    return lambda n: float(measure.statistic(np.ones((1, n)))[0])


def figure(kind, x, y, *more):
    x, y = np.asarray(x, dtype=float), np.asarray(y, dtype=float)
    return value(getattr(agreement, kind)(x, y, *more))(len(x))


class OriginalPorter:
    """rouge-score's tokens, stemmed by Porter's algorithm as published, which older releases of NLTK had by default."""

    def __init__(self):
        self.stem = functools.cache(PorterStemmer(mode=PorterStemmer.ORIGINAL_ALGORITHM).stem)

    def tokenize(self, text):
        tokens = re.sub(r"[^a-z0-9]+", " ", text.lower()).split()
        return [self.stem(token) if len(token) > 3 else token for token in tokens]


def rouge2_on_qags(name, rouge):
    items = json.loads((needs("qags") / f"unieval_qags_{name}_result.json").read_text())
    scores = [rouge.score(item["source"], item["system_output"])["rouge2"].fmeasure for item in items]
    human = [item["scores"]["consistency"] for item in items]
    return [round(figure(kind, scores, human), 3) for kind in ("pearson", "spearman", "kendall")]


@pytest.mark.slow
@pytest.mark.parametrize(("name", "expected"), [("cnndm", [0.459, 0.418, 0.333]), ("xsum", [0.097, 0.083, 0.068])])
def test_rouge2_on_qags_is_g_evals_table_3(name, expected):
    assert rouge2_on_qags(name, RougeScorer(["rouge2"], tokenizer=OriginalPorter())) == expected


@pytest.mark.slow
@pytest.mark.parametrize(("name", "expected"), [("cnndm", [0.459, 0.418, 0.333]), ("xsum", [0.096, 0.081, 0.066])])
def test_nltks_extensions_of_the_stemmer_move_the_third_digit_on_xsum(name, expected):
    assert rouge2_on_qags(name, RougeScorer(["rouge2"], use_stemmer=True)) == expected


@pytest.mark.slow
def test_rouge2_precision_on_raw_qags():
    needs("qags")
    rows = load_set("qags_cnndm", DATA).rows
    rouge = RougeScorer(["rouge2"], use_stemmer=True)
    scores = [rouge.score(row.sources[0], row.claim)["rouge2"].precision for row in rows]
    assert round(figure("pearson", scores, [row.human for row in rows]), 3) == 0.663


@pytest.mark.slow
@pytest.mark.parametrize(
    ("name", "apart", "together"),
    [
        ("cnndm", [0.357, 0.324, 0.254], [0.433, 0.389, 0.309]),
        ("xsum", [0.023, -0.012, -0.010], [0.032, 0.001, 0.001]),
    ],
)
def test_rouge_lsum_on_qags_needs_its_line_breaks(name, apart, together):
    """Sentences on lines of their own give the ROUGE-L that is published for CNN/DM; without them it is another one."""
    items = json.loads((needs("qags") / f"unieval_qags_{name}_result.json").read_text())
    rouge = RougeScorer(["rougeLsum"], tokenizer=OriginalPorter())
    human = [item["scores"]["consistency"] for item in items]
    for end, expected in ((" .\n", apart), (" . ", together)):
        texts = [[item[key].replace(" . ", end) for key in ("source", "system_output")] for item in items]
        scores = [rouge.score(*pair)["rougeLsum"].fmeasure for pair in texts]
        assert [round(figure(kind, scores, human), 3) for kind in ("pearson", "spearman", "kendall")] == expected


@pytest.mark.parametrize(
    ("name", "right", "tied"),
    [("rouge_precision", 230, 63), ("ngram_precision", 250, 31), ("coverage", 109, 235), ("density", 257, 13)],
)
def test_pairwise_accuracy_on_rank19(name, right, tied):
    """How often the correct compression of a sentence scores higher than the incorrect one, of 373 pairs."""
    needs("summeval_rank19")
    rows = load_set("rank19", DATA).rows
    verdicts = create(name).score([Pair(row.sources[0], row.claim) for row in rows])
    pairs = {}
    for row, verdict in zip(rows, verdicts, strict=True):
        pairs.setdefault(row.document, {})[row.consistent] = verdict.value
    assert len(pairs) == 373
    found = [pair[True] - pair[False] for pair in pairs.values()]
    assert (sum(d > 0 for d in found), sum(d == 0 for d in found)) == (right, tied)


@pytest.mark.parametrize(
    ("metric", "pearson", "spearman"),
    [
        ("Rouge 1", 0.124, 0.091),
        ("Rouge 2", 0.121, 0.075),
        ("Rouge L", 0.126, 0.066),
        ("Bleu", 0.103, 0.065),
        ("Meteor", 0.136, 0.103),
        ("BertScore P Art", 0.220, 0.213),
        ("FactCC", 0.214, 0.268),
        ("QAGS", 0.001, 0.020),
    ],
)
def test_partial_correlations_of_franks_baselines(metric, pearson, spearman):
    folder = needs("frank_validation")
    outputs = json.loads((folder / "baseline_factuality_metrics_outputs.json").read_text())
    by_key = {(row["hash"], row["model_name"]): row[metric] for row in outputs}
    rows = load_set("frank_validation", DATA).rows
    assert len(rows) == 671
    scores = [by_key[row.document, row.system] for row in rows]
    human, systems = [row.human for row in rows], [row.system for row in rows]
    assert round(figure("partial_pearson", scores, human, systems), 3) == pearson
    assert round(figure("partial_spearman", scores, human, systems), 3) == spearman


def test_raw_correlation_of_factcc_is_simpsons_paradox():
    folder = needs("frank_validation")
    outputs = json.loads((folder / "baseline_factuality_metrics_outputs.json").read_text())
    by_key = {(row["hash"], row["model_name"]): row["FactCC"] for row in outputs}
    rows = load_set("frank_validation", DATA).rows
    scores = [by_key[row.document, row.system] for row in rows]
    assert round(figure("pearson", scores, [row.human for row in rows]), 3) == 0.564


@pytest.mark.parametrize(
    ("metric", "faithful", "factual"),
    [
        ("R1", 0.197, 0.125),
        ("R2", 0.162, 0.095),
        ("RL", 0.162, 0.113),
        ("BERTScore", 0.190, 0.116),
        ("Entailment", 0.431, 0.264),
    ],
)
def test_spearman_on_xsumfaith(metric, faithful, factual):
    with (needs("xsum_hallucination") / "eval_scores_xsum_summaries.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert len(rows) == 1992
    scores = [float(row[metric]) for row in rows]
    assert round(figure("spearman", scores, [float(row["Faithful"]) for row in rows]), 3) == faithful
    assert round(figure("spearman", scores, [float(row["Factual"]) for row in rows]), 3) == factual


@pytest.mark.parametrize(
    ("name", "folder", "n", "consistent"),
    [
        ("qags_cnndm", "qags", 235, 113),
        ("qags_xsum", "qags", 239, 116),
        ("frank_validation", "frank_validation", 671, 243),
        ("xsumfaith", "xsum_hallucination", 1988, 180),
        ("summedits_samsum", "summedits", 664, 242),
        ("summedits_scitldr", "summedits", 466, 145),
        ("summedits_ectsum", "summedits", 668, 242),
        ("summeval", "summeval_rank19", 1600, 1306),
        ("rank19", "summeval_rank19", 746, 373),
        ("gofigure_samsum", "gofigure", 247, 46),
        ("gofigure_xsum", "gofigure", 224, 39),
        ("begin_wow", "begin_wow", 4031, 1572),
        ("wice_dev", "wice_dev", 349, 114),
        ("fever_symmetric", "fever_symmetric", 1420, 710),
    ],
)
def test_sizes_and_labels_of_the_sets(name, folder, n, consistent):
    needs(folder)
    found = load_set(name, DATA)
    assert (len(found.rows), sum(row.consistent for row in found.rows)) == (n, consistent)
    parts = {part: {row.document for row in found.rows if row.part == part} for part in ("validation", "test")}
    assert all(parts.values())
    if name != "begin_wow":  # its published splits share pieces of knowledge
        assert not parts["validation"] & parts["test"]


def test_every_fever_claim_has_both_labels():
    needs("fever_symmetric")
    labels = {}
    for row in load_set("fever_symmetric", DATA).rows:
        labels.setdefault(row.claim, []).append(row.consistent)
    assert sum(len(set(found)) == 2 for found in labels.values()) / len(labels) > 0.99
