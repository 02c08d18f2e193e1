// The samples of the page: filter, search, page, and show base beside candidate.
// Every text of a model reaches the document as a text node, never as markup.
(() => {
  const PAGE = 50;
  const SLICE_MS = 14; // longest stretch of searching before the page may react to a key again
  const CACHED_CHUNKS = 160;
  const RARE = 200; // strata values offered per key
  const { el, modelText, pieces, words, differ, marked } = texts;
  const byId = (id) => document.getElementById(id);
  const index = JSON.parse(byId("rows-index").textContent);
  const { states, letters, sets, chunk_rows: chunkRows } = index;
  const form = byId("filters");
  const { candidate: candidateBox, task: taskBox, transition: transitionBox, stratum: stratumBox, query: queryBox, order: orderBox } = form.elements;
  const list = byId("rows"), status = byId("status"), pageBox = byId("page");
  const offsets = [];
  let total = 0;
  for (const set of sets) { offsets.push(total); total += set.transitions.length; }

  // Changes first, the costliest of them foremost.
  const RANK = { "correct>hallucinated": 0, "abstained>hallucinated": 1, "hallucinated>correct": 2,
    "hallucinated>abstained": 3 };
  const NAMES = { "correct>hallucinated": "lost knowledge", "abstained>hallucinated": "lost caution",
    "hallucinated>correct": "repaired", "hallucinated>abstained": "repaired",
    "hallucinated>hallucinated": "persistent" };
  const rankOf = {}, pairOf = {};
  for (const [i, letter] of [...letters].entries()) {
    const from = states[Math.floor(i / states.length)], to = states[i % states.length];
    pairOf[letter] = [from, to];
    rankOf[letter] = RANK[`${from}>${to}`] ?? (from !== to ? 4 : from === "hallucinated" ? 5 : 6);
  }

  const number = (n) => n.toLocaleString("en");

  // ---- rows ----------------------------------------------------------------------------------------
  const cache = new Map();
  const chunkOf = (t, c) => {
    const key = `rows-${t}-${c}`;
    let chunk = cache.get(key);
    if (!chunk) {
      chunk = JSON.parse(byId(key).textContent);
      if (cache.size >= CACHED_CHUNKS) cache.delete(cache.keys().next().value);
      cache.set(key, chunk);
    }
    return chunk;
  };
  const locate = (row) => {
    let t = offsets.length - 1;
    while (offsets[t] > row) t--;
    const i = row - offsets[t];
    return { t, i, chunk: chunkOf(t, Math.floor(i / chunkRows)) };
  };

  // ---- filters -------------------------------------------------------------------------------------
  const option = (value, text) => new Option(text, value);
  const names = (key) => [...new Set(sets.map((set) => set[key]))];
  const chosenSets = () => [...sets.keys()].filter((t) =>
    (taskBox.value === "" || `=${sets[t].name}` === taskBox.value) &&
    (candidateBox.value === "" || `=${sets[t].candidate}` === candidateBox.value));

  const manyTasks = names("name").length > 1, manyCandidates = names("candidate").length > 1;
  const title = (t) =>
    [manyTasks ? sets[t].name : "", manyCandidates ? sets[t].candidate : ""].filter(Boolean).join(" · ");

  const fillTransitions = () => {
    const kept = transitionBox.value, counts = {};
    for (const t of chosenSets()) for (const letter of sets[t].transitions) counts[letter] = (counts[letter] ?? 0) + 1;
    const sum = (test) => Object.entries(counts).reduce((n, [l, k]) => n + (test(...pairOf[l]) ? k : 0), 0);
    const induced = (from, to) => (from === "correct" || from === "abstained") && to === "hallucinated";
    const changed = sum((from, to) => from !== to);
    transitionBox.replaceChildren(
      option("", `All (${number(sum(() => true))})`),
      option("changed", `Any change of state (${number(changed)})`),
      option("induced", `Induced (${number(sum(induced))})`));
    const present = Object.keys(counts).sort((a, b) => rankOf[a] - rankOf[b] || (a < b ? -1 : 1));
    for (const letter of present) {
      const [from, to] = pairOf[letter], name = NAMES[`${from}>${to}`];
      const text = `${from} → ${to}${name ? `, ${name}` : ""} (${number(counts[letter])})`;
      transitionBox.append(option(letter, text));
    }
    transitionBox.value = [...transitionBox.options].some((o) => o.value === kept) ? kept : "";
  };

  const fillStrata = () => {
    const kept = stratumBox.value;
    stratumBox.replaceChildren(option("", "All"));
    for (const t of chosenSets()) {
      sets[t].groups.forEach((group, g) => {
        const counts = new Array(group.values.length).fill(0);
        for (const code of group.codes) if (code >= 0) counts[code]++;
        const codes = [...counts.keys()].sort((a, b) => counts[b] - counts[a]);
        const box = document.createElement("optgroup");
        box.label = sets.length > 1 ? `${title(t)}: ${group.key}` : group.key;
        for (const code of codes.slice(0, RARE)) {
          box.append(option(`${t}.${g}.${code}`, `${group.values[code]} (${number(counts[code])})`));
        }
        if (codes.length > RARE) {
          const rest = option("", `${number(codes.length - RARE)} rarer ones: use the search`);
          rest.disabled = true;
          box.append(rest);
        }
        stratumBox.append(box);
      });
    }
    stratumBox.value = [...stratumBox.options].some((o) => o.value === kept) ? kept : "";
    stratumBox.disabled = stratumBox.options.length === 1;
  };

  const transitionTest = () => {
    const chosen = transitionBox.value;
    if (chosen === "") return () => true;
    if (chosen === "changed") return (letter) => pairOf[letter][0] !== pairOf[letter][1];
    if (chosen === "induced") return (letter) => rankOf[letter] < 2;
    return (letter) => letter === chosen;
  };

  const candidates = () => {
    const test = transitionTest(), found = [];
    const [st, sg, code] = stratumBox.value === "" ? [-1] : stratumBox.value.split(".").map(Number);
    for (const t of chosenSets()) {
      if (st >= 0 && st !== t) continue;
      const task = sets[t], codes = st >= 0 ? task.groups[sg].codes : null;
      for (let i = 0; i < task.transitions.length; i++) {
        if (test(task.transitions[i]) && (!codes || codes[i] === code)) found.push(offsets[t] + i);
      }
    }
    return found;
  };

  const terms = () => {
    const found = queryBox.value.match(/"[^"]+"|\S+/g) ?? [];
    return found.map((term) => (/^"[^"]+"$/.test(term) ? term.slice(1, -1) : term));
  };
  const escaped = (text) => text.replace(/[\\^$.*+?()[\]{}|/-]/g, "\\$&");
  const pattern = (term, flags) => new RegExp(escaped(term), flags);

  const holds = (row, patterns) => {
    const { t, i, chunk } = locate(row);
    const { id, prompt, target, choices, base, cand } = chunk.rows[i % chunkRows];
    const searched = [id, prompt, target, base.text, cand.text, base.why, cand.why, ...(choices ?? [])];
    for (const { values, codes } of sets[t].groups) if (codes[i] >= 0) searched.push(values[codes[i]]);
    return patterns.every((p) => searched.some((text) => text && p.test(text)));
  };

  let matches = [], page = 0, search = 0;
  const breathe = () => new Promise((done) => setTimeout(done));

  const apply = async () => {
    const mine = ++search;
    let found = candidates();
    const patterns = terms().map((term) => pattern(term, "iu"));
    if (patterns.length) {
      const kept = [];
      let resume = performance.now() + SLICE_MS;
      for (let k = 0; k < found.length; k++) {
        if (holds(found[k], patterns)) kept.push(found[k]);
        if (performance.now() > resume) {
          status.textContent = `Searching: ${Math.round((100 * k) / found.length)} %`;
          await breathe();
          if (mine !== search) return; // a newer question took over
          resume = performance.now() + SLICE_MS;
        }
      }
      found = kept;
    }
    if (orderBox.value === "changes") {
      const buckets = [[], [], [], [], [], [], []]; // sorts 100,000 rows without comparing any
      let t = 0;
      for (const row of found) {
        while (t + 1 < sets.length && offsets[t + 1] <= row) t++;
        buckets[rankOf[sets[t].transitions[row - offsets[t]]]].push(row);
      }
      found = buckets.flat();
    }
    matches = found;
    page = 0;
    show();
  };

  // ---- one sample ----------------------------------------------------------------------------------
  const percent = (p) => `${(100 * p).toFixed(1)} %`;
  const facts = (side, metrics) => {
    const told = [];
    if (side.conf !== undefined) told.push(`confidence ${side.conf >= 0.001 ? percent(side.conf) : side.conf.toExponential(1)}`);
    side.scores?.forEach((score, i) => told.push(`${metrics[i]} ${score === null ? "–" : Number(score.toPrecision(4))}`));
    return told;
  };

  const answer = (title, state, side, metrics, body) => {
    const head = el("h4", "", title, " ", el("span", `state ${state}`, state));
    const box = el("div", "answer", head, body);
    if (side.why) box.append(el("p", "why", "Not scored: ", modelText("span", "", ...pieces(side.why))));
    const told = facts(side, metrics);
    if (told.length) box.append(el("p", "facts", told.join(" · ")));
    return box;
  };

  const blank = () => el("p", "text none", "(nothing)");
  const answers = (row) => {
    const a = row.base.text ?? "", b = row.cand.text ?? "";
    // Two of several choices differ as wholes; the words that they happen to share mean nothing.
    const split = row.choices ? (text) => [text] : words;
    const ta = split(a), tb = split(b), [ca, cb] = differ(ta, tb);
    return [a ? modelText("p", "text", ...marked(ta, ca, "del")) : blank(),
      b ? modelText("p", "text", ...marked(tb, cb, "ins")) : blank()];
  };

  const question = (row, prefix) => {
    const tail = row.prompt.length > 900 ? `… ${row.prompt.slice(-800)}` : row.prompt;
    const box = el("div", "question", modelText("p", "text", ...pieces(tail.trim())));
    if (prefix || tail !== row.prompt) {
      const whole = el("details", "", el("summary", "", "Whole prompt"));
      whole.addEventListener("toggle", () => { // written out only when asked for: prompts can be long
        if (whole.open && whole.children.length === 1) whole.append(modelText("p", "text", ...pieces(prefix + row.prompt)));
      });
      box.append(whole);
    }
    return box;
  };

  const card = (position) => {
    const { t, i, chunk } = locate(position);
    const set = sets[t], row = chunk.rows[i % chunkRows], [from, to] = pairOf[set.transitions[i]];
    const head = el("h3", "", el("span", `state ${from}`, from), " → ", el("span", `state ${to}`, to));
    const name = NAMES[`${from}>${to}`];
    if (name) head.append(" ", el("span", "name", name));
    const meta = el("p", "facts", title(t), title(t) ? " · sample " : "Sample ", modelText("bdi", "", row.id));
    for (const { key, values, codes } of set.groups) {
      if (codes[i] >= 0) meta.append(` · ${key}: `, modelText("bdi", "", ...pieces(values[codes[i]])));
    }
    const item = el("li", "sample", head, meta, question(row, chunk.prefix));
    if (row.choices) item.append(el("ul", "choices", ...row.choices.map((c) => modelText("li", "text", ...pieces(c)))));
    const gold = row.target ? modelText("bdi", "text", ...pieces(row.target)) : "none: the question has no answer";
    item.append(el("p", "gold", el("b", "", "Expected: "), gold));
    const [left, right] = answers(row);
    item.append(el("div", "pair", answer("Base", from, row.base, set.metrics, left),
      answer("Candidate", to, row.cand, set.metrics, right)));
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

  const show = () => {
    const pages = Math.max(1, Math.ceil(matches.length / PAGE));
    page = Math.min(Math.max(page, 0), pages - 1);
    const first = page * PAGE, rows = matches.slice(first, first + PAGE);
    list.replaceChildren(...rows.map(card));
    list.start = first + 1;
    status.textContent = rows.length
      ? `${number(first + 1)}–${number(first + rows.length)} of ${number(matches.length)} samples`
      : "No sample fits. Clear a filter or the search.";
    pageBox.value = page + 1;
    pageBox.max = pages;
    byId("pages").textContent = `of ${number(pages)}`;
    for (const button of document.querySelectorAll("[data-step]")) {
      button.disabled = Number(button.dataset.step) < 0 ? page === 0 : page >= pages - 1;
    }
    emphasise();
  };

  const turn = (to) => { page = to; show(); byId("samples").scrollIntoView(); };

  const refill = () => { fillTransitions(); fillStrata(); };
  for (const [box, key] of [[taskBox, "name"], [candidateBox, "candidate"]]) {
    for (const name of names(key)) box.append(option(`=${name}`, name));
    box.closest("label").hidden = box.options.length < 3; // "All" and the only one
    box.addEventListener("change", () => { refill(); apply(); });
  }
  for (const box of [transitionBox, stratumBox, orderBox]) box.addEventListener("change", apply);
  let typing = 0;
  queryBox.addEventListener("input", () => { clearTimeout(typing); typing = setTimeout(apply, 150); });
  form.addEventListener("submit", (event) => { event.preventDefault(); clearTimeout(typing); apply(); });
  form.addEventListener("reset", () => setTimeout(() => { refill(); apply(); }));
  pageBox.addEventListener("change", () => turn(Math.trunc(Number(pageBox.value) || 1) - 1));
  for (const button of document.querySelectorAll("[data-step]")) {
    button.addEventListener("click", () => turn(page + Number(button.dataset.step)));
  }
  for (const button of document.querySelectorAll("button[data-from]")) { // counts of the state tables
    button.addEventListener("click", () => {
      taskBox.value = `=${button.dataset.task}`;
      candidateBox.value = `=${button.dataset.candidate}`;
      refill();
      queryBox.value = stratumBox.value = "";
      const here = states.indexOf(button.dataset.from), there = states.indexOf(button.dataset.to);
      transitionBox.value = letters[here * states.length + there];
      apply();
      byId("samples").scrollIntoView();
      transitionBox.focus({ preventScroll: true });
    });
  }
  refill();
  apply();
})();
