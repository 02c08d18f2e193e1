"""Tasks that installed packages bring: found without running their code, and never in another's place."""

import sys

import pytest

from halueval.errors import ConfigError, UsageError
from halueval.plugins import plugged_directories
from halueval.registry import Registry

TASK = "task: {name}\noutput_type: generate_until\ndoc_to_text: '{text}'\n"


@pytest.fixture
def installed(tmp_path, monkeypatch):
    """Lay a package with a directory of cards where Python finds it, as pip would."""
    site = tmp_path / "site-packages"
    monkeypatch.syspath_prepend(str(site))
    monkeypatch.chdir(tmp_path)

    def install(package="moon_pack", value=None, cards=None, init="raise RuntimeError('imported')", entry="cards"):
        for name, text in (cards or {}).items():
            file = site / package / "cards" / name
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_text(text, encoding="utf-8")
        (site / package).mkdir(parents=True, exist_ok=True)
        if init is not None:
            (site / package / "__init__.py").write_text(init, encoding="utf-8")
        info = site / f"{package}-1.0.dist-info"
        info.mkdir()
        (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {package}\nVersion: 1.0\n", encoding="utf-8")
        value = value or f"{package}.cards"
        (info / "entry_points.txt").write_text(f"[halueval.tasks]\n{entry} = {value}\n", encoding="utf-8")
        return site / package / "cards"

    return install


def card(name, text="Q"):
    return {f"{name}.yaml": TASK.format(name=name, text=text)}


@pytest.mark.parametrize("init", ["raise RuntimeError('imported')", None], ids=["package", "namespace package"])
def test_tasks_of_a_package_are_found_and_its_code_is_not_run(installed, init):
    directory = installed(cards=card("lunar"), init=init)
    assert plugged_directories() == [directory.resolve()]
    registry = Registry()
    assert "lunar" in [header.name for header in registry.list_tasks()]
    assert registry.task("lunar").path == directory.resolve() / "lunar.yaml"
    assert "moon_pack" not in sys.modules


def test_model_cards_and_groups_come_too(installed):
    cards = {
        "m.yaml": "name: lunar-model\nsource: hub:moon/model\n",
        "g.yaml": "group: lunar-group\ntask: [facts_qa]\n",
    }
    installed(cards=cards)
    registry = Registry()
    assert registry.model("lunar-model").name == "lunar-model"
    assert [spec.task for spec, _ in registry.expand(["lunar-group"])] == ["facts_qa"]


def test_what_the_user_names_comes_first(installed, tmp_path):
    installed(cards=card("lunar", "of the package"))
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "lunar.yaml").write_text(TASK.format(name="lunar", text="mine"), encoding="utf-8")
    assert Registry([tmp_path / "mine"]).task("lunar").doc_to_text == "mine"
    assert Registry().task("lunar").doc_to_text == "of the package"


def test_a_package_never_takes_the_place_of_a_shipped_task(installed):
    installed(cards=card("facts_qa"))
    with pytest.raises(ConfigError, match=r"facts_qa\.yaml and .*facts_qa\.yaml both define 'facts_qa'"):
        Registry().task("facts_qa")


def test_two_packages_with_one_name_are_told_when_it_is_asked_for(installed):
    installed("pack_a", cards=card("lunar"))
    installed("pack_b", cards=card("lunar"))
    with pytest.raises(ConfigError, match=r"pack_a.*pack_b.*both define 'lunar'"):
        Registry().task("lunar")
    assert Registry().task("facts_qa").task == "facts_qa"


@pytest.mark.parametrize(
    "value", ["moon_pack.nothing", "missing_pack.cards", "moon_pack.hedging:Rate", "../etc", "__main__", "json.decoder"]
)
def test_an_entry_that_is_no_directory_is_one_line_that_names_the_package(installed, value):
    installed(value=value)
    with pytest.raises(
        UsageError, match=r"tasks 'cards' of package moon_pack: .* dotted name of a package dir"
    ) as told:
        plugged_directories()
    assert "\n" not in str(told.value)


def test_one_directory_named_twice_is_read_once(installed):
    directory = installed("pack_a", cards=card("lunar"))
    installed("pack_b", value="pack_a.cards")
    assert plugged_directories() == [directory.resolve()]
    assert Registry().task("lunar").task == "lunar"
