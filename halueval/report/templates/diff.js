// The samples of the page: filter, search, page, and show base beside candidate.
// Every text of a model reaches the document as a text node, never as markup.
(() => {
  const PAGE = 50;
  const CACHED_CHUNKS = 160;
  const { el, modelText, pieces, words, differ, marked } = texts;
  const { byId, form, number, option, strata, patterns, holds, sift, cut, draw, listen } = explorer;
  const index = JSON.parse(byId("rows-index").textContent);
  const { states, letters, sets, chunk_rows: chunkRows } = index;
  const { candidate: candidateBox, task: taskBox, transition: transitionBox, stratum: stratumBox, query: queryBox, order: orderBox } = form.elements;
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
        const label = sets.length > 1 ? `${title(t)}: ${group.key}` : group.key;
        stratumBox.append(strata(label, group, (code) => `${t}.${g}.${code}`));
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

  const test = (row, wanted) => {
    const { t, i, chunk } = locate(row);
    const { id, prompt, target, choices, base, cand } = chunk.rows[i % chunkRows];
    const searched = [id, prompt, target, base.text, cand.text, base.why, cand.why, ...(choices ?? [])];
    return holds(wanted, searched, sets[t].groups, i);
  };

  let matches = [], page = 0, search = 0;
  const apply = async () => {
    const mine = ++search;
    let found = candidates();
    const wanted = patterns("iu");
    if (wanted.length) {
      found = await sift(found, (row) => test(row, wanted), () => mine !== search);
      if (found === null) return;
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
  const facts = (side, metrics) => [...(side.conf === undefined ? [] : [explorer.confidence(side.conf)]),
    ...explorer.figures(side.scores, metrics)];

  const answer = (title, state, side, metrics, body) => {
    const head = el("h4", "", title, " ", el("span", `state ${state}`, state));
    const box = el("div", "answer", head, body);
    if (side.why) box.append(explorer.unscored(side.why));
    const told = facts(side, metrics);
    if (told.length) box.append(el("p", "facts", told.join(" · ")));
    return box;
  };

  const answers = (row) => {
    const a = row.base.text ?? "", b = row.cand.text ?? "";
    // Two of several choices differ as wholes; the words that they happen to share mean nothing.
    const split = row.choices ? (text) => [text] : words;
    const ta = split(a), tb = split(b), [ca, cb] = differ(ta, tb);
    return [a ? modelText("p", "text", ...marked(ta, ca, "del")) : explorer.blank(),
      b ? modelText("p", "text", ...marked(tb, cb, "ins")) : explorer.blank()];
  };

  const paragraph = (text) => modelText("p", "text", ...pieces(text));
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
    const item = el("li", "sample", head, meta, explorer.question(row, chunk.prefix, paragraph));
    if (row.choices) item.append(el("ul", "choices", ...row.choices.map((c) => modelText("li", "text", ...pieces(c)))));
    const gold = row.target ? modelText("bdi", "text", ...pieces(row.target)) : "none: the question has no answer";
    item.append(el("p", "gold", el("b", "", "Expected: "), gold));
    const [left, right] = answers(row);
    item.append(el("div", "pair", answer("Base", from, row.base, set.metrics, left),
      answer("Candidate", to, row.cand, set.metrics, right)));
    return item;
  };

  // ---- the page of samples -------------------------------------------------------------------------
  const show = () => {
    const part = cut(matches, page, PAGE);
    page = part.page;
    draw(part, card, "No sample fits. Clear a filter or the search.");
  };

  const turn = (to) => { page = to; show(); byId("samples").scrollIntoView(); };

  const refill = () => { fillTransitions(); fillStrata(); };
  for (const [box, key] of [[taskBox, "name"], [candidateBox, "candidate"]]) {
    for (const name of names(key)) box.append(option(`=${name}`, name));
    box.closest("label").hidden = box.options.length < 3; // "All" and the only one
    box.addEventListener("change", () => { refill(); apply(); });
  }
  listen({ boxes: [transitionBox, stratumBox, orderBox], apply, reset: () => { refill(); apply(); }, turn, page: () => page });
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
