// Tables that are sorted by their headings and filtered by the form above them. Without this script they stand in
// the order of their first figure, whole.
(() => {
  const form = document.getElementById("filters"), count = document.getElementById("count");
  const SIGNS = { ascending: "▲", descending: "▼" };
  const number = (n) => n.toLocaleString("en");

  // ---- sorting -------------------------------------------------------------------------------------
  const sortable = (table) => {
    const body = table.tBodies[0], heads = [...table.tHead.rows[0].cells];
    const given = [...body.rows], rows = given.filter((row) => !row.classList.contains("tie"));
    const first = heads.find((head) => head.hasAttribute("aria-sort"));
    const valueOf = (row, c) => row.cells[c].dataset.v ?? "";
    const sort = (head, order) => {
      const c = heads.indexOf(head), words = head.dataset.by === "words", sign = order === "ascending" ? 1 : -1;
      for (const one of heads) {
        if (one === head) one.setAttribute("aria-sort", order); else one.removeAttribute("aria-sort");
        const mark = one.querySelector(".sign");
        if (mark) mark.textContent = one === head ? SIGNS[order] : "";
      }
      if (head === first && order === first.dataset.order) { // as given, with what cannot be told apart under a heading
        table.classList.remove("sorted");
        body.replaceChildren(...given);
      } else {
        table.classList.add("sorted");
        const keyed = rows.map((row, i) => [valueOf(row, c), i, row]);
        keyed.sort(([a, i], [b, j]) => {
          if (a === "" || b === "") return (a === "") - (b === "") || i - j; // what is missing comes last, always
          return sign * (words ? a.localeCompare(b, "en") : a - b) || i - j;
        });
        body.replaceChildren(...keyed.map(([, , row]) => row));
      }
      ties(table);
    };
    for (const head of heads) {
      head.querySelector("button")?.addEventListener("click", () => {
        const now = head.getAttribute("aria-sort"), start = head.dataset.order;
        const other = start === "ascending" ? "descending" : "ascending";
        sort(head, now === null ? start : now === start ? other : start);
      });
    }
  };

  // A heading of a group is of use while some row of the group is shown under it.
  const ties = (table) => {
    let heading = null;
    for (const row of table.tBodies[0].rows) {
      if (row.classList.contains("tie")) {
        heading = row;
        row.hidden = true;
      } else if (heading && !row.hidden) {
        heading.hidden = false;
      }
    }
  };

  // ---- filtering -----------------------------------------------------------------------------------
  const tables = [...document.querySelectorAll("table.board")];
  const filter = () => {
    const wanted = [...form.elements].filter((box) => box.dataset.key && box.value !== "");
    const terms = form.elements.query.value.toLocaleLowerCase("en").match(/\S+/g) ?? [];
    let shown = 0, total = 0;
    for (const table of tables) {
      let here = 0;
      for (const row of table.tBodies[0].querySelectorAll("tr:not(.tie)")) {
        const said = row.cells[0].textContent.toLocaleLowerCase("en");
        row.hidden = !(wanted.every((box) => row.dataset[box.dataset.key].split(" ").includes(box.value))
          && terms.every((term) => said.includes(term)));
        here += !row.hidden;
        total++;
      }
      shown += here;
      ties(table);
      const section = table.closest("[data-section]");
      if (section) section.hidden = !here;
    }
    count.textContent = shown === total ? `${number(total)} rows` : `${number(shown)} of ${number(total)} rows`;
  };

  tables.forEach(sortable);
  if (form) {
    let typing = 0;
    form.addEventListener("change", filter);
    form.elements.query.addEventListener("input", () => { clearTimeout(typing); typing = setTimeout(filter, 100); });
    form.addEventListener("submit", (event) => { event.preventDefault(); filter(); });
    form.addEventListener("reset", () => setTimeout(filter));
    filter();
  }
})();
