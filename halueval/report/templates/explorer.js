// What the samples of a page share, be they of one run or of two: search, strata, pages, and parts of one sample.
const explorer = (() => {
  const SLICE_MS = 14; // longest stretch of searching before the page may react to a key again
  const RARE = 200; // strata values offered per key
  const { el, modelText, pieces } = texts;
  const byId = (id) => document.getElementById(id);
  const form = byId("filters"), list = byId("rows"), status = byId("status"), pageBox = byId("page");
  const queryBox = form.elements.query;
  const number = (n) => n.toLocaleString("en");
  const option = (value, text) => new Option(text, value);

  // ---- filters -------------------------------------------------------------------------------------
  // The values of one key, the commonest first; `valueOf` makes of a value's number what its option stands for.
  const strata = (label, group, valueOf, shown = (text) => text) => {
    const counts = new Array(group.values.length).fill(0);
    for (const code of group.codes) if (code >= 0) counts[code]++;
    const codes = [...counts.keys()].sort((a, b) => counts[b] - counts[a]);
    const box = document.createElement("optgroup");
    box.label = label;
    for (const code of codes.slice(0, RARE)) {
      box.append(option(valueOf(code), `${shown(group.values[code])} (${number(counts[code])})`));
    }
    if (codes.length > RARE) {
      const rest = option("", `${number(codes.length - RARE)} rarer ones: use the search`);
      rest.disabled = true;
      box.append(rest);
    }
    return box;
  };

  // ---- search --------------------------------------------------------------------------------------
  const patterns = (flags) => (queryBox.value.match(/"[^"]+"|\S+/g) ?? [])
    .map((term) => (/^"[^"]+"$/.test(term) ? term.slice(1, -1) : term))
    .map((term) => new RegExp(term.replace(/[\\^$.*+?()[\]{}|/-]/g, "\\$&"), flags));
  // Whether each pattern is found in one of the texts, or in one of the row's strata.
  const holds = (wanted, searched, groups, i) => {
    for (const { values, codes } of groups) if (codes[i] >= 0) searched.push(values[codes[i]]);
    return wanted.every((p) => searched.some((text) => text && p.test(text)));
  };

  const breathe = () => new Promise((done) => setTimeout(done));
  // The rows that `test` lets through, in order; null where `stale` tells that a newer question took over. `load`
  // returns a promise where a row has to be waited for.
  const sift = async (rows, test, stale, load = () => null) => {
    const kept = [];
    let resume = performance.now() + SLICE_MS;
    for (let k = 0; k < rows.length; k++) {
      const loading = load(rows[k]);
      if (loading) {
        await loading;
        if (stale()) return null;
      }
      if (test(rows[k])) kept.push(rows[k]);
      if (performance.now() > resume) {
        status.textContent = `Searching: ${Math.round((100 * k) / rows.length)} %`;
        await breathe();
        if (stale()) return null;
        resume = performance.now() + SLICE_MS;
      }
    }
    return kept;
  };

  const emphasise = () => { // found words, where the browser can colour ranges without touching the document
    if (!window.Highlight || !CSS.highlights) return;
    const ranges = [];
    for (const regex of patterns("giu")) {
      const walker = document.createTreeWalker(list, NodeFilter.SHOW_TEXT);
      while (walker.nextNode()) {
        for (const hit of walker.currentNode.data.matchAll(regex)) {
          const range = new Range();
          range.setStart(walker.currentNode, hit.index);
          range.setEnd(walker.currentNode, hit.index + hit[0].length);
          ranges.push(range);
        }
      }
    }
    CSS.highlights.set("found", new Highlight(...ranges));
  };

  // ---- pages ---------------------------------------------------------------------------------------
  const cut = (matches, wanted, size) => {
    const pages = Math.max(1, Math.ceil(matches.length / size));
    const page = Math.min(Math.max(wanted, 0), pages - 1);
    return { page, pages, first: page * size, total: matches.length, rows: matches.slice(page * size, (page + 1) * size) };
  };
  const draw = ({ page, pages, first, total, rows }, card, none) => {
    list.replaceChildren(...rows.map(card));
    list.start = first + 1;
    status.textContent = rows.length
      ? `${number(first + 1)}–${number(first + rows.length)} of ${number(total)} samples` : none;
    pageBox.value = page + 1;
    pageBox.max = pages;
    byId("pages").textContent = `of ${number(pages)}`;
    for (const button of document.querySelectorAll("[data-step]")) {
      button.disabled = Number(button.dataset.step) < 0 ? page === 0 : page >= pages - 1;
    }
    emphasise();
  };

  const listen = ({ boxes, apply, reset, turn, page }) => {
    for (const box of boxes) box.addEventListener("change", apply);
    let typing = 0;
    queryBox.addEventListener("input", () => { clearTimeout(typing); typing = setTimeout(apply, 150); });
    form.addEventListener("submit", (event) => { event.preventDefault(); clearTimeout(typing); apply(); });
    form.addEventListener("reset", () => setTimeout(reset));
    pageBox.addEventListener("change", () => turn(Math.trunc(Number(pageBox.value) || 1) - 1));
    for (const button of document.querySelectorAll("[data-step]")) {
      button.addEventListener("click", () => turn(page() + Number(button.dataset.step)));
    }
  };

  // ---- one sample ----------------------------------------------------------------------------------
  const percent = (p) => `${(100 * p).toFixed(1)} %`;
  const confidence = (p) => `confidence ${p >= 0.001 ? percent(p) : p.toExponential(1)}`;
  const figures = (scores, metrics) =>
    (scores ?? []).map((score, i) => `${metrics[i]} ${score === null ? "–" : Number(score.toPrecision(4))}`);
  const unscored = (why) => el("p", "why", "Not scored: ", modelText("span", "", ...pieces(why)));
  const blank = () => el("p", "text none", "(nothing)");
  const whole = (label, write) => {
    const box = el("details", "", el("summary", "", label));
    box.addEventListener("toggle", () => { // written out only when asked for: texts can be long
      if (box.open && box.children.length === 1) box.append(write());
    });
    return box;
  };
  const question = (row, prefix, write) => {
    const tail = row.prompt.length > 900 ? `… ${row.prompt.slice(-800)}` : row.prompt;
    const box = el("div", "question", modelText("p", "text", ...pieces(tail.trim())));
    if (prefix || tail !== row.prompt) box.append(whole("Whole prompt", () => write(prefix + row.prompt)));
    return box;
  };

  return { byId, form, list, status, number, option, strata, patterns, holds, sift, cut, draw, listen,
    confidence, figures, unscored, blank, whole, question };
})();
