"""The directory of a site: whole or not at all, and nobody else's files touched."""

from __future__ import annotations

import json

import pytest

from halueval.errors import UsageError
from halueval.report.site.directory import MANIFEST, staged


def write(directory, files):
    with staged(directory) as staging:
        for name, text in files.items():
            (staging / name).parent.mkdir(parents=True, exist_ok=True)
            (staging / name).write_text(text, encoding="utf-8")


def held(directory):
    return sorted(path.relative_to(directory).as_posix() for path in directory.rglob("*") if path.is_file())


def test_a_site_replaces_the_former_one_and_leaves_other_files(tmp_path):
    site = tmp_path / "deep" / "site"
    write(site, {"index.html": "1", "runs/a/0.js": "1", "runs/b/0.js": "1"})
    (site / "CNAME").write_text("example.org", encoding="utf-8")
    write(site, {"index.html": "2", "runs/b/0.js": "2"})
    assert held(site) == ["CNAME", MANIFEST, "index.html", "runs/b/0.js"]
    assert (site / "index.html").read_text(encoding="utf-8") == "2"
    assert not (site / "runs" / "a").exists()
    assert held(tmp_path) == [f"deep/site/{name}" for name in held(site)]  # no staging is left


def test_nothing_is_written_when_the_making_fails(tmp_path):
    site = tmp_path / "site"
    write(site, {"index.html": "1"})
    with pytest.raises(TypeError):
        write(site, {"index.html": "half", "other.html": None})
    assert (site / "index.html").read_text(encoding="utf-8") == "1"
    assert [path.name for path in tmp_path.iterdir()] == ["site"]


@pytest.mark.parametrize("content", ["not JSON", "[]", '{"files": 3}'])
def test_a_directory_of_something_else_is_refused(tmp_path, content):
    (tmp_path / "thesis.tex").write_text("x", encoding="utf-8")
    with pytest.raises(UsageError, match=r"holds files that are no halueval site.*give a new or empty directory"):
        write(tmp_path, {"index.html": "1"})
    (tmp_path / MANIFEST).write_text(content, encoding="utf-8")
    with pytest.raises(UsageError, match="cannot be read"):
        write(tmp_path, {"index.html": "1"})
    assert held(tmp_path) == [MANIFEST, "thesis.tex"]


def test_a_file_is_no_directory(tmp_path):
    (tmp_path / "site").write_text("x", encoding="utf-8")
    with pytest.raises(UsageError, match="is a file; a site needs a directory"):
        write(tmp_path / "site", {})


def test_a_manifest_names_no_file_outside_the_site_to_remove(tmp_path):
    site, mine = tmp_path / "site", tmp_path / "mine.txt"
    mine.write_text("x", encoding="utf-8")
    site.mkdir()
    (site / "out").symlink_to(tmp_path)
    names = ["../mine.txt", str(mine), "out/mine.txt"]
    (site / MANIFEST).write_text(json.dumps({"files": names}), encoding="utf-8")
    write(site, {"index.html": "1"})
    assert mine.exists()
