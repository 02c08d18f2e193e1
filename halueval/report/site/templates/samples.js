// The samples of one run: filter, search, page. The texts lie in files beside the page (a chunk holds some hundred
// rows) and are read when one of their rows is shown or searched, so that 100,000 rows open as fast as 100.
// Every text of a model reaches the document as a text node, never as markup.
(() => {
  const PAGE = 25;
  const SLICE_MS = 14; // longest stretch of searching before the page may react to a key again
  const RARE = 200; // strata values offered per key
  const LONG = 4000; // characters of an answer that are shown before it is asked for whole
  const LONGEST = 200_000; // … and that are shown then: a browser lays out no more without a stop
  const { el, modelText, pieces } = texts;
  const byId = (id) => document.getElementById(id);
  const index = JSON.parse(byId("rows-index").textContent);
  const { states, letters, starts, confidences, groups, metrics, directory, plain } = index;
  const form = byId("filters"), list = byId("rows"), status = byId("status"), pageBox = byId("page");
  const { state: stateBox, stratum: stratumBox, order: orderBox, query: queryBox } = form.elements;
  const number = (n) => n.toLocaleString("en");
  const short = (text) => (text.length > 200 ? `${text.slice(0, 200)}…` : text);
  const stateOf = (i) => states[letters.charCodeAt(i) - 48];

  // ---- chunks --------------------------------------------------------------------------------------
  const address = (url) => {
    if (!/^[a-z0-9][a-z0-9._-]*\/[0-9]+\.js$/.test(url)) throw new TypeError("no chunk of this page");
    return url;
  };
  const trusted = window.trustedTypes?.createPolicy("halueval-chunks", { createScriptURL: address })
    ?? { createScriptURL: address };
  const chunks = new Map(), waiting = new Map();
  window.haluevalChunk = (c, data) => chunks.set(c, data);
  const load = (c) => {
    if (chunks.has(c)) return null;
    if (!waiting.has(c)) {
      waiting.set(c, new Promise((done, failed) => {
        const script = document.createElement("script");
        script.src = trusted.createScriptURL(`${directory}/${c}.js`);
        script.onload = () => (chunks.has(c) ? done() : failed(new Error(`${directory}/${c}.js holds no samples`)));
        script.onerror = () => failed(new Error(`${directory}/${c}.js cannot be read; it belongs beside this page`));
        document.head.append(script);
      }).finally(() => waiting.delete(c)));
    }
    return waiting.get(c);
  };
  const chunkOf = (i) => {
    let low = 0, high = starts.length - 1;
    while (low < high) {
      const middle = (low + high + 1) >> 1;
      if (starts[middle] <= i) low = middle; else high = middle - 1;
    }
    return low;
  };
  const rowOf = (i, c = chunkOf(i)) => chunks.get(c).rows[i - starts[c]];

  // ---- filters -------------------------------------------------------------------------------------
  const option = (value, text) => new Option(text, value);
  const counts = states.map(() => 0);
  for (let i = 0; i < letters.length; i++) counts[letters.charCodeAt(i) - 48]++;
  stateBox.append(option("", `All (${number(letters.length)})`));
  states.forEach((state, s) => { if (counts[s]) stateBox.append(option(state, `${state} (${number(counts[s])})`)); });
  stateBox.disabled = stateBox.options.length < 3; // "All" and the only one
  stratumBox.append(option("", "All"));
  groups.forEach((group, g) => {
    const seen = new Array(group.values.length).fill(0);
    for (const code of group.codes) if (code >= 0) seen[code]++;
    const codes = [...seen.keys()].sort((a, b) => seen[b] - seen[a]);
    const box = document.createElement("optgroup");
    box.label = short(group.key);
    for (const code of codes.slice(0, RARE)) box.append(option(`${g}.${code}`, `${short(group.values[code])} (${number(seen[code])})`));
    if (codes.length > RARE) {
      const rest = option("", `${number(codes.length - RARE)} rarer ones: use the search`);
      rest.disabled = true;
      box.append(rest);
    }
    stratumBox.append(box);
  });
  stratumBox.closest("label").hidden = !groups.length;
  orderBox.closest("label").hidden = !confidences.some((c) => c !== null);

  const chosen = () => {
    const found = [], letter = stateBox.value === "" ? "" : String(states.indexOf(stateBox.value));
    const [g, code] = stratumBox.value === "" ? [-1] : stratumBox.value.split(".").map(Number);
    const codes = g < 0 ? null : groups[g].codes;
    for (let i = 0; i < letters.length; i++) {
      if ((letter === "" || letters[i] === letter) && (!codes || codes[i] === code)) found.push(i);
    }
    return found;
  };
  const ordered = (found) => {
    if (orderBox.value === "data") return found;
    const sign = orderBox.value === "sure" ? -1 : 1;
    const known = found.filter((i) => confidences[i] !== null);
    known.sort((a, b) => sign * (confidences[a] - confidences[b]) || a - b);
    return known.concat(found.filter((i) => confidences[i] === null));
  };

  const terms = () => (queryBox.value.match(/"[^"]+"|\S+/g) ?? [])
    .map((term) => (/^"[^"]+"$/.test(term) ? term.slice(1, -1) : term));
  const pattern = (term, flags) => new RegExp(term.replace(/[\\^$.*+?()[\]{}|/-]/g, "\\$&"), flags);
  const holds = (i, row, patterns) => {
    const searched = [row.id, row.prompt, row.target, row.text, row.why, ...(row.choices ?? [])];
    for (const { values, codes } of groups) if (codes[i] >= 0) searched.push(values[codes[i]]);
    return patterns.every((p) => searched.some((text) => text && p.test(text)));
  };

  let matches = [], page = 0, search = 0;
  const breathe = () => new Promise((done) => setTimeout(done));
  const apply = async () => {
    const mine = ++search, patterns = terms().map((term) => pattern(term, "iu"));
    let found = chosen();
    try {
      if (patterns.length) {
        const kept = [];
        let resume = performance.now() + SLICE_MS, c = 0, last = -1;
        for (let k = 0; k < found.length; k++) {
          const i = found[k]; // ascending: the order is made afterwards
          while (c + 1 < starts.length && starts[c + 1] <= i) c++;
          if (c !== last) {
            last = c;
            await load(c);
            if (mine !== search) return; // a newer question took over
          }
          if (holds(i, rowOf(i, c), patterns)) kept.push(i);
          if (performance.now() > resume) {
            status.textContent = `Searching: ${Math.round((100 * k) / found.length)} %`;
            await breathe();
            if (mine !== search) return;
            resume = performance.now() + SLICE_MS;
          }
        }
        found = kept;
      }
      matches = ordered(found);
      page = 0;
      await show(mine);
    } catch (error) {
      if (mine === search) status.textContent = `The samples cannot be read: ${error.message}`;
    }
  };

  // ---- one sample ----------------------------------------------------------------------------------
  const percent = (p) => `${(100 * p).toFixed(1)} %`;
  const whole = (label, write) => {
    const box = el("details", "", el("summary", "", label));
    box.addEventListener("toggle", () => { // written out only when asked for: texts can be long
      if (box.open && box.children.length === 1) box.append(write());
    });
    return box;
  };
  const clipped = (name, className, text) =>
    modelText(name, className, ...pieces(text.length > LONG ? `${text.slice(0, LONG)}…` : text));
  const everything = (text) => {
    const more = text.length - LONGEST;
    const box = modelText("p", "text", ...pieces(text.slice(0, LONGEST)));
    if (more > 0) box.append(el("span", "none", ` … and ${number(more)} characters more, in samples.jsonl`));
    return box;
  };
  const long = (head, text) => (text.length <= LONG ? [head]
    : [head, whole(`All ${number(text.length)} characters`, () => everything(text))]);
  const question = (row, prefix) => {
    const tail = row.prompt.length > 900 ? `… ${row.prompt.slice(-800)}` : row.prompt;
    const box = el("div", "question", modelText("p", "text", ...pieces(tail.trim())));
    if (prefix || tail !== row.prompt) {
      box.append(whole("Whole prompt", () => everything(prefix + row.prompt)));
    }
    return box;
  };
  const card = (i) => {
    const c = chunkOf(i), row = rowOf(i, c), state = stateOf(i);
    const head = el("h3", "", el("span", `state ${state}`, state), " ");
    if (row.conf !== undefined) {
      head.append(el("span", "name", `confidence ${row.conf >= 0.001 ? percent(row.conf) : row.conf.toExponential(1)}`));
    }
    const meta = el("p", "facts", "Sample ", modelText("bdi", "", ...pieces(short(row.id))));
    for (const { key, values, codes } of groups) {
      if (codes[i] < 0) continue;
      const named = [key, values[codes[i]]].map((text) => modelText("bdi", "", ...pieces(short(text))));
      meta.append(" · ", named[0], ": ", named[1]);
    }
    const item = el("li", "sample", head, meta);
    if (row.prompt) item.append(question(row, chunks.get(c).prefix));
    if (row.choices) item.append(el("ul", "choices", ...row.choices.map((one) => clipped("li", "text", one))));
    if (plain) {
      item.append(...long(clipped("p", "text", row.target), row.target));
    } else {
      const gold = row.target ? clipped("bdi", "text", row.target) : "none: the question has no answer";
      item.append(...long(el("p", "gold", el("b", "", "Expected: "), gold), row.target));
      const said = el("div", "answer", el("h4", "", row.choices ? "Chosen" : "Answer"));
      said.append(...(row.text ? long(clipped("p", "text", row.text.replace(/^ /, "")), row.text) : [el("p", "text none", "(nothing)")]));
      if (row.why) said.append(el("p", "why", "Not scored: ", modelText("span", "", ...pieces(row.why))));
      item.append(said);
    }
    const told = (row.scores ?? []).map((score, m) => `${metrics[m]} ${score === null ? "–" : Number(score.toPrecision(4))}`);
    if (told.length) item.append(el("p", "facts", told.join(" · ")));
    return item;
  };

  // ---- the page of samples -------------------------------------------------------------------------
  const emphasise = () => { // found words, where the browser can colour ranges without touching the document
    if (!window.Highlight || !CSS.highlights) return;
    const ranges = [];
    for (const regex of terms().map((term) => pattern(term, "giu"))) {
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
  const show = async (mine) => {
    const pages = Math.max(1, Math.ceil(matches.length / PAGE));
    page = Math.min(Math.max(page, 0), pages - 1);
    const first = page * PAGE, rows = matches.slice(first, first + PAGE);
    await Promise.all([...new Set(rows.map((i) => chunkOf(i)))].map(load));
    if (mine !== search) return;
    list.replaceChildren(...rows.map(card));
    list.start = first + 1;
    status.textContent = rows.length
      ? `${number(first + 1)}–${number(first + rows.length)} of ${number(matches.length)} samples`
      : letters.length ? "No sample fits. Clear a filter or the search." : "No sample fits: the run has none.";
    pageBox.value = page + 1;
    pageBox.max = pages;
    byId("pages").textContent = `of ${number(pages)}`;
    for (const button of document.querySelectorAll("[data-step]")) {
      button.disabled = Number(button.dataset.step) < 0 ? page === 0 : page >= pages - 1;
    }
    emphasise();
  };
  const turn = async (to) => {
    page = to;
    try {
      await show(search);
      byId("samples").scrollIntoView();
    } catch (error) {
      status.textContent = `The samples cannot be read: ${error.message}`;
    }
  };

  for (const box of [stateBox, stratumBox, orderBox]) box.addEventListener("change", apply);
  let typing = 0;
  queryBox.addEventListener("input", () => { clearTimeout(typing); typing = setTimeout(apply, 150); });
  form.addEventListener("submit", (event) => { event.preventDefault(); clearTimeout(typing); apply(); });
  form.addEventListener("reset", () => setTimeout(apply));
  pageBox.addEventListener("change", () => turn(Math.trunc(Number(pageBox.value) || 1) - 1));
  for (const button of document.querySelectorAll("[data-step]")) {
    button.addEventListener("click", () => turn(page + Number(button.dataset.step)));
  }
  const follow = () => { // a link from a table of states: samples.html#state=hallucinated
    const asked = /^#state=([a-z]+)$/.exec(location.hash)?.[1];
    if (asked && [...stateBox.options].some((o) => o.value === asked)) stateBox.value = asked;
  };
  window.addEventListener("hashchange", () => { follow(); apply(); });
  follow();
  apply();
})();
