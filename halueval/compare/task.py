"""Base against one candidate on one task: everything of `TaskDiff` but the correction for many claims."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from halueval.compare.columns import Columns, read_columns
from halueval.compare.drift import calibration, format_drift, likelihood_drift
from halueval.compare.fields import RunReference
from halueval.compare.figures import Difference, Engine, difference, make_clusters
from halueval.compare.knowledge import with_known_class
from halueval.compare.noise import apply_floor, noise_floor
from halueval.compare.pairing import Pairs, find_mismatches, pair, pairs_by_prompt, refuse
from halueval.compare.recipes import UNDER_CALIBRATION, NotComparableError, Recipe, find_recipe
from halueval.compare.record import Pairing, TaskDiff
from halueval.compare.samples import listed
from halueval.compare.strata import strata
from halueval.compare.transitions import UNSCORED, Transitions, bounds, net_rate, rates
from halueval.errors import UsageError
from halueval.scorers.catalog import scorer_names
from halueval.store import Run


@dataclass(frozen=True, slots=True)
class Compared:
    """A task's comparison with what the table over tasks still needs of it."""

    diff: TaskDiff
    primary: Difference | None
    net: Difference | None
    base: Run
    candidate: Run
    pairs: Pairs
    states: Transitions


def compare_task(
    base: Run,
    candidate: Run,
    engine: Engine,
    *,
    columns: Columns | None = None,
    noise: Run | None = None,
    allow_mismatch: Sequence[str] = (),
    label: str = "",
    known_class: Path | None = None,
) -> Compared:
    """Compare two runs of a task.

    Args:
        base: run of the base.
        candidate: run of the candidate.
        engine: level, seed, replicates.
        columns: the base's samples, where they were read before.
        noise: a second run of the base.
        allow_mismatch: keys of the identity that may differ.
        label: the candidate's name in the table.
        known_class: labels of `halueval probe` to break the comparison down by; None takes those of the base that
            stand beside its run, if there are any.

    Raises:
        UsageError: the runs cannot be compared; the line says why and what to do.
        DataError: a samples file that is missing, changed or unreadable.
    """
    mismatches = find_mismatches(base, candidate)
    task = base.record["task"]
    refuse(task["name"], mismatches, allow_mismatch)
    ours = columns if columns is not None else read_columns(base)
    sides = ours, read_columns(candidate)
    pairs = pair(*sides, by_prompt=pairs_by_prompt(mismatches, allow_mismatch))
    if not len(pairs):
        why = "; ".join(f"{reason} ({count})" for reason, count in pairs.reasons.items())
        raise UsageError(
            f"{task['name']}: {base.path} and {candidate.path} share no sample: {why}; "
            "--allow-mismatch prompt_hash pairs by document alone"
        )
    clusters = make_clusters([ours.clusters[i] for i in pairs.base.tolist()])
    states = Transitions(sides[0].state[pairs.base], sides[1].state[pairs.candidate], clusters)
    made, recipes, missing = _metrics(base, candidate, sides, pairs, states, engine)
    name = task["primary_metric"]
    for key, item in made.items():
        item.figure["primary"] = key == name
    metrics = {key: item.figure for key, item in made.items()}
    net, net_difference = net_rate(states, engine)
    found = rates(states)
    groups, told = with_known_class(base, [(ours.keys[i], ours.groups[i]) for i in pairs.base.tolist()], known_class)
    identical = _identical(sides, pairs)
    broken, notes = strata(groups, recipes.get(name), sides, pairs, states, engine)
    same_tokenizer = base.record["model"]["tokenizer_sha256"] == candidate.record["model"]["tokenizer_sha256"]
    info = {key: task[key] for key in ("name", "version", "kind", "language", "output_type", "num_fewshot")}
    diff: TaskDiff = {
        "task": {**info, "primary_metric": name},  # type: ignore[typeddict-item]  # the keys of TaskInfo, read from run.json
        "base_run": _reference(base),
        "candidate_run": _reference(candidate),
        "headline": "",
        "verdict": "",
        "notes": [*_notes(base, candidate, pairs, identical), *_stale(recipes), *told, *notes],
        "mismatches": mismatches,
        "n_paired": len(pairs),
        "pairing": _pairing(sides, pairs, states, identical),
        "metrics": metrics,
        "not_comparable": missing,
        "has_states": net["n"] > 0,
        "transitions": states.matrix(),
        "induced_rate": found["induced_rate"],
        "lost_knowledge_rate": found["lost_knowledge_rate"],
        "lost_caution_rate": found["lost_caution_rate"],
        "repaired_rate": found["repaired_rate"],
        "persistent_rate": found["persistent_rate"],
        "net_rate": net,
        "bounds": bounds(states, sides[0].state[pairs.unpaired_base], sides[1].state[pairs.unpaired_candidate]),
        "strata": broken,
        "format_drift": format_drift(sides, pairs, states, net, engine, same_tokenizer=same_tokenizer),
        "calibration": calibration(sides, pairs, states, engine),
        "likelihood": likelihood_drift(metrics, sides, pairs, clusters, engine),
        "samples": listed(base, candidate, ours.sample_ids, pairs, states, label),
    }
    if noise is not None:
        apply_floor(diff, noise_floor(base, noise, ours, metrics, engine))
    return Compared(diff, made.get(name), net_difference, base, candidate, pairs, states)


def _metrics(
    base: Run, candidate: Run, sides: tuple[Columns, Columns], pairs: Pairs, states: Transitions, engine: Engine
) -> tuple[dict[str, Difference], dict[str, Recipe], dict[str, str]]:
    """Figures that can be compared, primary first, their recipes, and the reasons for the others."""
    made: dict[str, Difference] = {}
    recipes: dict[str, Recipe] = {}
    missing: dict[str, str] = {}
    known = scorer_names()
    both = base.record["metrics"], candidate.record["metrics"]
    for name in dict.fromkeys([*both[0], *both[1]]):
        if name in UNDER_CALIBRATION:
            continue
        if not all(name in metrics for metrics in both):
            missing[name] = "only the base's run has it" if name in both[0] else "only the candidate's run has it"
            continue
        try:
            recipe = find_recipe(name, base, candidate, sides, known)
            made[name] = difference(recipe, sides, pairs, states.clusters, engine)
            recipes[name] = recipe
        except NotComparableError as reason:
            missing[name] = str(reason)
    return made, recipes, missing


def _stale(recipes: Mapping[str, Recipe]) -> Iterator[str]:
    for side in ("base", "candidate"):
        names = [name for name, recipe in recipes.items() if side in recipe.stale]
        if names:
            shown = ", ".join(names[:3]) + (", …" if len(names) > 3 else "")
            yield f"run.json of the {side} does not agree with its samples file ({shown}); the samples are used"


def _reference(run: Run) -> RunReference:
    return {"run_id": run.run_id, "path": str(run.path), "finished_at": run.record["finished_at"]}


def _pairing(sides: tuple[Columns, Columns], pairs: Pairs, states: Transitions, identical: int) -> Pairing:
    base, candidate = states.base == UNSCORED, states.candidate == UNSCORED
    return {
        "n_base": len(sides[0]),
        "n_candidate": len(sides[1]),
        "n_paired": len(pairs),
        "n_clusters": states.clusters.n,
        "n_unpaired_base": len(pairs.unpaired_base),
        "n_unpaired_candidate": len(pairs.unpaired_candidate),
        "reasons": pairs.reasons,
        "prompts_differ": pairs.prompts_differ,
        "unscored_base": int((base & ~candidate).sum()),
        "unscored_candidate": int((candidate & ~base).sum()),
        "unscored_both": int((base & candidate).sum()),
        "identical_answers": identical,
    }


def _identical(sides: tuple[Columns, Columns], pairs: Pairs) -> int:
    ours, theirs = sides[0].answers, sides[1].answers
    rows = zip(pairs.base.tolist(), pairs.candidate.tolist(), strict=True)
    return sum([(a := ours[i]) is not None and a == theirs[j] for i, j in rows])


def _notes(base: Run, candidate: Run, pairs: Pairs, identical: int) -> list[str]:
    """What a reader must know before the figures."""
    ours, theirs = base.record["model"], candidate.record["model"]
    notes = []
    same_weights = all(ours[key] == theirs[key] for key in ("weights_sha256", "adapter_sha256"))
    if same_weights:
        notes.append("both runs are of the same weights")
    if identical == len(pairs):
        hint = "" if same_weights else ", though the weights differ"
        hint += "; is the adapter applied?" if theirs["adapter_sha256"] and not same_weights else ""
        notes.append(f"the answers to all {len(pairs)} samples are byte-identical{hint}")
    if ours["apply_chat_template"] and ours["chat_template_sha256"] != theirs["chat_template_sha256"]:
        notes.append("each model was asked through its own chat template; the two differ")
    if ours["dtype"] != theirs["dtype"]:
        notes.append(f"the base ran in {ours['dtype']}, the candidate in {theirs['dtype']}")
    if ours["tokenizer_sha256"] != theirs["tokenizer_sha256"]:
        notes.append("the tokenizers differ: no figure per token is compared")
    unpaired = len(pairs.unpaired_base) + len(pairs.unpaired_candidate)
    if unpaired:
        why = "; ".join(f"{reason} ({count})" for reason, count in pairs.reasons.items())
        notes.append(f"{unpaired} samples have no partner and count in the bounds alone: {why}")
    if pairs.prompts_differ:
        notes.append(f"the prompts of {pairs.prompts_differ} of {len(pairs)} pairs differ")
    return notes
