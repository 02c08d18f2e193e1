"""A site whose every name was chosen by an attacker: nothing runs, nothing is written elsewhere, pages stay usable."""

from __future__ import annotations

import hashlib
import json
from html.parser import HTMLParser

import browsing
import planted
import pytest
from hostile import HOSTILE

from halueval.leaderboard.build import build_board
from halueval.report.site.build import write_site

LONG = "</script><script>window.pwned=1</script>\u202e" * 25_000  # 1 MB
CLIMBING = ["../../../out", "/etc/passwd", "..", "con", "a/../../b", "C:\\x", "index", "-rf", "%2e%2e%2f", "."]


class Tags(HTMLParser):
    def __init__(self, text):
        super().__init__()
        self.tags, self.attributes = set(), set()
        self.feed(text)

    def handle_starttag(self, tag, attrs):
        self.tags.add(tag)
        self.attributes |= {name for name, _ in attrs}


def row(number, text):
    return {
        "sample_id": str(number),
        "doc_hash": f"d{number}",
        "prompt_hash": f"p{number}",
        "target_hash": f"t{number}",
        "cluster": f"d{number}",
        "prompt": f"Q\n\n{text}",
        "target": text,
        "response": text,
        "num_response_tokens": 1,
        "finish_reason": "stop",
        "state": "hallucinated",
        "confidence": 0.5,
        "scores": {"exact_match": 0.0},
        "group": {"region": text[:500], text[:500]: "x"},
    }


def write(directory, prototype, rows, number, **changes):
    """A run of a model and a task of any name."""
    record = json.loads(json.dumps(prototype))
    record["run_id"] = f"{number:012x}"
    record["model"] |= {"name": changes.get("model", "plain"), "base": changes.get("base")}
    record["model"] |= {"weights_sha256": record["model"]["name"], "source": changes.get("model", "")}
    record["task"] |= {"name": changes.get("task", "facts"), "primary_metric": changes.get("metric", "exact_match")}
    record["identity"] |= {"task": record["task"]["name"], "limit": None}
    record["environment"]["git"] = None
    record["n_samples"] |= {"original": len(rows), "effective": len(rows)}
    record["metrics"][changes.get("metric", "exact_match")] = record["metrics"]["exact_match"]
    record["warnings"] = [changes.get("model", "")]
    # Not by `write_run`, which waits for the disk after each of some hundred files.
    samples = "".join(json.dumps(row) + "\n" for row in rows).encode()
    record["samples_sha256"] = hashlib.sha256(samples).hexdigest()
    (directory / str(number)).mkdir(parents=True)
    (directory / str(number) / "samples.jsonl").write_bytes(samples)
    (directory / str(number) / "run.json").write_text(json.dumps(record), encoding="utf-8")


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    """The site, and the directory that it lies in."""
    prototype = planted.planted_runs(tmp_path_factory)["base"].record
    home = tmp_path_factory.mktemp("hostile") / "a" / "b"
    results = home / "results"
    names = [text for text in HOSTILE if text.isprintable() or "\ud800" not in text] + CLIMBING + [LONG]
    for i, text in enumerate(names):
        base = names[i - 2] if i % 100 == 2 else None
        if i % 2:
            write(results, prototype, [row(0, text)], i, task=text, metric=text[:100])
        else:
            write(results, prototype, [row(n, text) for n in range(2)], i, model=text, base=base)
    (results / "leaderboard.yaml").write_text("title: '<img src=x onerror=window.pwned=1>'\n", encoding="utf-8")
    write_site(build_board([results]), home / "site")
    return home


def test_nothing_is_written_outside_the_site(made):
    root = made.parent.parent
    assert sorted(p.name for p in root.iterdir()) == ["a"]
    assert sorted(p.name for p in made.iterdir()) == ["results", "site"]
    for path in (made / "site").rglob("*"):
        assert path.name.isascii()
        assert len(path.name) <= 80


def test_every_page_holds_the_elements_of_a_harmless_one(made):
    allowed = "a,abbr,b,bdi,body,button,caption,circle,code,dd,del,desc,details,div,dl,dt,figcaption,figure,footer,form"
    allowed += ",h1,h2,h3,head,header,html,input,ins,label,li,line,main,meta,nav,noscript,ol,optgroup,option,p,path"
    allowed += ",rect,script,section,select,span,strong,style,summary,svg,table,tbody,td,text,th,thead,title,tr,ul"
    pages = sorted((made / "site").rglob("*.html"))
    assert len(pages) > 300
    for path in pages[::2]:  # index.html is the first, and holds every name
        seen = Tags(path.read_text(encoding="utf-8"))
        assert seen.tags <= set(allowed.split(","))
        assert not {name for name in seen.attributes if name.startswith("on")} | seen.attributes & {"src", "style"}
        assert path.stat().st_size < 3_000_000


def test_nothing_runs_and_pages_stay_usable(made, browser):
    site = made / "site"
    kinds = {name: sorted((site / name).rglob("*.html")) for name in ("models", "tasks", "runs", "pairs")}
    pages = [site / "index.html", *(path for paths in kinds.values() for path in paths[:: max(len(paths) // 4, 1)])]
    assert kinds["pairs"]
    for path in pages:
        page = browsing.Page(browser, path)
        page.js("for (const d of document.querySelectorAll('details')) d.open = true")
        assert page.js("return window.pwned ?? null") is None
        assert page.js("return document.documentElement.scrollWidth <= innerWidth")
        links = page.js("return [...document.querySelectorAll('a')].map(a => a.protocol)")
        assert set(links) <= {"file:"}
        page.check_quiet(beside=True)
    index = browsing.Page(browser, site / "index.html")
    index.js("document.getElementById('filters').elements.query.value = 'onerror'")
    index.js("document.getElementById('filters').dispatchEvent(new Event('change'))")
    assert "of" in index.js("return document.getElementById('count').textContent")
    index.js("document.querySelector('thead button').click()")
    assert index.js("return document.querySelector('th[aria-sort]').textContent").startswith("Model")
    assert index.js("return window.pwned ?? null") is None
