"""What a model knows of a task, from names to labels: what `halueval probe` and Python call."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

from halueval.api import Loading, check_writable, open_handle
from halueval.backends.loading import locate
from halueval.dataset import load_data
from halueval.errors import UsageError
from halueval.job import Observer
from halueval.probing.asking import prepare_probe
from halueval.probing.probe import Probed, run_probe
from halueval.probing.settings import ProbeSettings
from halueval.registry import Registry


@dataclass(frozen=True, slots=True)
class ProbeOptions(Loading):
    """Everything that `halueval probe` can be told, apart from model and task."""

    settings: ProbeSettings = field(default_factory=ProbeSettings)


def probe_model(model: str, task: str, options: ProbeOptions, observer: Observer) -> Probed:
    """Class the facts of a task by what a model knows of them.

    Everything is checked before the model is loaded or anything is written.

    Raises:
        HaluevalError: one of its subclasses, with one clear line.
    """
    settings = options.settings
    settings.check()
    registry = Registry(options.include_path)
    spec = registry.model(model)
    chosen = registry.expand([task])
    if len(chosen) != 1:
        raise UsageError(f"--task {task}: means {len(chosen)} tasks; a probe is of one")
    (card, _) = chosen[0]
    check_writable(settings.output)
    data = load_data(card, base=card.directory or Path(), data_file=options.data, progress=options.progress)
    located = locate(spec, adapter=options.adapter, progress=options.progress)
    handle = open_handle(located, options, settings.chat)
    return run_probe(prepare_probe(card, data, handle.identity, settings), handle, settings, observer)
