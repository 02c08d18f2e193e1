// The samples of one run: filter, search, page. The texts lie in files beside the page (a chunk holds some hundred
// rows) and are read when one of their rows is shown or searched, so that 100,000 rows open as fast as 100.
// Every text of a model reaches the document as a text node, never as markup.
(() => {
  const PAGE = 25;
  const LONG = 4000; // characters of an answer that are shown before it is asked for whole
  const LONGEST = 200_000; // … and that are shown then: a browser lays out no more without a stop
  const { el, modelText, pieces } = texts;
  const { byId, form, status, number, option, strata, patterns, holds, sift, cut, draw, listen, whole } = explorer;
  const index = JSON.parse(byId("rows-index").textContent);
  const { states, letters, starts, confidences, groups, metrics, directory, plain } = index;
  const { state: stateBox, stratum: stratumBox, order: orderBox } = form.elements;
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
  const counts = states.map(() => 0);
  for (let i = 0; i < letters.length; i++) counts[letters.charCodeAt(i) - 48]++;
  stateBox.append(option("", `All (${number(letters.length)})`));
  states.forEach((state, s) => { if (counts[s]) stateBox.append(option(state, `${state} (${number(counts[s])})`)); });
  stateBox.disabled = stateBox.options.length < 3; // "All" and the only one
  stratumBox.append(option("", "All"));
  groups.forEach((group, g) => stratumBox.append(strata(short(group.key), group, (code) => `${g}.${code}`, short)));
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

  const test = (i, wanted) => {
    const row = rowOf(i);
    return holds(wanted, [row.id, row.prompt, row.target, row.text, row.why, ...(row.choices ?? [])], groups, i);
  };

  let matches = [], page = 0, search = 0;
  const apply = async () => {
    const mine = ++search, stale = () => mine !== search, wanted = patterns("iu");
    let found = chosen();
    try {
      if (wanted.length) {
        found = await sift(found, (i) => test(i, wanted), stale, (i) => load(chunkOf(i)));
        if (found === null) return;
      }
      matches = ordered(found);
      page = 0;
      await show(mine);
    } catch (error) {
      if (mine === search) status.textContent = `The samples cannot be read: ${error.message}`;
    }
  };

  // ---- one sample ----------------------------------------------------------------------------------
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
  const card = (i) => {
    const c = chunkOf(i), row = rowOf(i, c), state = stateOf(i);
    const head = el("h3", "", el("span", `state ${state}`, state), " ");
    if (row.conf !== undefined) head.append(el("span", "name", explorer.confidence(row.conf)));
    const meta = el("p", "facts", "Sample ", modelText("bdi", "", ...pieces(short(row.id))));
    for (const { key, values, codes } of groups) {
      if (codes[i] < 0) continue;
      const named = [key, values[codes[i]]].map((text) => modelText("bdi", "", ...pieces(short(text))));
      meta.append(" · ", named[0], ": ", named[1]);
    }
    const item = el("li", "sample", head, meta);
    if (row.prompt) item.append(explorer.question(row, chunks.get(c).prefix, everything));
    if (row.choices) item.append(el("ul", "choices", ...row.choices.map((one) => clipped("li", "text", one))));
    if (plain) {
      item.append(...long(clipped("p", "text", row.target), row.target));
    } else {
      const gold = row.target ? clipped("bdi", "text", row.target) : "none: the question has no answer";
      item.append(...long(el("p", "gold", el("b", "", "Expected: "), gold), row.target));
      const said = el("div", "answer", el("h4", "", row.choices ? "Chosen" : "Answer"));
      said.append(...(row.text ? long(clipped("p", "text", row.text.replace(/^ /, "")), row.text) : [explorer.blank()]));
      if (row.why) said.append(explorer.unscored(row.why));
      item.append(said);
    }
    const told = explorer.figures(row.scores, metrics);
    if (told.length) item.append(el("p", "facts", told.join(" · ")));
    return item;
  };

  // ---- the page of samples -------------------------------------------------------------------------
  const show = async (mine) => {
    const part = cut(matches, page, PAGE);
    page = part.page;
    await Promise.all([...new Set(part.rows.map((i) => chunkOf(i)))].map(load));
    if (mine !== search) return;
    draw(part, card, letters.length ? "No sample fits. Clear a filter or the search." : "No sample fits: the run has none.");
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

  listen({ boxes: [stateBox, stratumBox, orderBox], apply, reset: apply, turn, page: () => page });
  const follow = () => { // a link from a table of states: samples.html#state=hallucinated
    const asked = /^#state=([a-z]+)$/.exec(location.hash)?.[1];
    if (asked && [...stateBox.options].some((o) => o.value === asked)) stateBox.value = asked;
  };
  window.addEventListener("hashchange", () => { follow(); apply(); });
  follow();
  apply();
})();
