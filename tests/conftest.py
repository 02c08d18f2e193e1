"""Fixtures: small models and a browser, made once for the whole session."""

from __future__ import annotations

import os

import pytest

# No test may reach a hub; code under test must do with what is local.
os.environ["HF_HUB_OFFLINE"] = "1"
os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")


@pytest.fixture(scope="session")
def models(tmp_path_factory):
    """Directory with `causal`, `t5`, `bart` and `bert`, each built on first use."""
    import small_models

    root = tmp_path_factory.mktemp("models")
    makers = {
        "causal": small_models.save_causal,
        "t5": small_models.save_t5,
        "bart": small_models.save_bart,
        "bert": small_models.save_bert,
    }

    def get(name):
        directory = root / name
        return directory if directory.exists() else makers[name](directory)

    return get


@pytest.fixture(scope="session")
def browser(tmp_path_factory):
    """A headless Chromium, started once; tests of pages skip where there is none."""
    import browsing

    driver = browsing.start(tmp_path_factory.mktemp("profile"))
    yield driver
    driver.quit()


@pytest.fixture(scope="session")
def axe():
    """Text of axe-core, from the user's cache or PyPI."""
    import browsing

    offline = os.environ.pop("HF_HUB_OFFLINE", None)  # PyPI is another matter than the hub
    try:
        return browsing.axe_script()
    finally:
        if offline is not None:
            os.environ["HF_HUB_OFFLINE"] = offline


@pytest.fixture(autouse=True)
def _own_cache(tmp_path_factory, monkeypatch, request):
    """Each test writes to a cache of its own, except those that use the embedded model."""
    if "embedded" not in request.fixturenames:
        monkeypatch.setenv("HALUEVAL_CACHE", str(tmp_path_factory.mktemp("cache")))


@pytest.fixture
def invoke(capsys, monkeypatch):
    """Run the command line in this process; returns exit code, standard output and standard error."""
    import logging
    from types import SimpleNamespace

    from halueval.cli.main import main

    def call(*arguments):
        monkeypatch.setattr("sys.argv", ["halueval", *map(str, arguments)])
        with pytest.raises(SystemExit) as stopped:
            main()
        captured = capsys.readouterr()
        return SimpleNamespace(returncode=stopped.value.code, stdout=captured.out, stderr=captured.err)

    yield call
    logging.getLogger("halueval").handlers = []
