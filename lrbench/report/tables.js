// The tables that can be sorted, filtered, copied and saved. What is shown is what is copied.
function explorer(table) {
  const heads = [...table.tHead.rows[0].cells], body = table.tBodies[0], name = table.dataset.name;
  const all = [...body.rows], tools = html("div", { class: "controls" });
  const search = html("input", { type: "search", placeholder: "filter rows", "aria-label": `filter the rows of ${name}` });
  const count = html("span", { class: "count", role: "status" });
  const key = (row, at) => row.cells[at].dataset.value ?? row.cells[at].textContent.trim();

  function sort(at, down) {
    const sign = down ? -1 : 1, text = heads[at].classList.contains("text");
    heads.forEach((head) => head.removeAttribute("aria-sort"));
    heads[at].setAttribute("aria-sort", down ? "descending" : "ascending");
    body.append(...all.sort((one, two) => {
      const a = key(one, at), b = key(two, at);
      if (text) return sign * a.localeCompare(b, undefined, { numeric: true });
      if (a === "" || b === "") return (a === "") - (b === ""); // what is missing stays last
      return sign * (Number(a) - Number(b));
    }));
    state[`${name}.sort`] = `${at}${down ? "d" : "u"}`;
  }
  function filter() {
    const words = search.value.toLowerCase().split(/\s+/).filter(Boolean);
    for (const row of all) {
      const text = row.textContent.toLowerCase();
      row.hidden = !words.every((word) => text.includes(word));
    }
    const shown = all.filter((row) => !row.hidden).length;
    count.textContent = shown < all.length ? `${shown} of ${all.length} rows` : `${all.length} row${all.length === 1 ? "" : "s"}`;
    if (search.value) state[`${name}.filter`] = search.value;
    else delete state[`${name}.filter`];
  }
  // A text that a spreadsheet would read as a formula gets an apostrophe, as in the CSV files of lrbench.
  const safe = (text) => (/^[=+\-@\t\r]/.test(text) && Number.isNaN(Number(text)) ? `'${text}` : text);
  const shownRows = () => [heads.map((head) => head.textContent.trim()),
    ...all.filter((row) => !row.hidden).map((row) => heads.map((_, at) => safe(key(row, at).replace(/\s+/g, " "))))];
  const quoted = (text) => (/[",\n]/.test(text) ? `"${text.replace(/"/g, '""')}"` : text);

  const button = (text, act) => { const node = html("button", { type: "button" }, text); node.addEventListener("click", act); return node; };
  const copied = button("copy", async () => {
    try { await navigator.clipboard.writeText(shownRows().map((row) => row.join("\t")).join("\n")); copied.textContent = "copied"; }
    catch { copied.textContent = "the browser does not let a page copy"; }
    setTimeout(() => { copied.textContent = "copy"; }, 2000);
  });
  tools.append(search, count, copied,
    button("CSV", () => save(`${page.name}-${name}.csv`, shownRows().map((row) => row.map(quoted).join(",")).join("\n") + "\n", "text/csv")));
  table.parentElement.before(tools);
  search.addEventListener("input", () => { filter(); remember(); });
  heads.forEach((head, at) => head.querySelector("button").addEventListener("click", () => {
    sort(at, head.getAttribute("aria-sort") === "ascending");
    remember();
  }));
  return () => {
    const [, at, way] = /^(\d+)([ud])$/.exec(state[`${name}.sort`] || "") || [];
    if (at !== undefined && heads[at]) sort(Number(at), way === "d");
    search.value = state[`${name}.filter`] || "";
    filter();
  };
}

// The answer of a problem with many lines begins with the best ten.
function shorten(table) {
  const rows = [...table.tBodies[0].rows].slice(10);
  if (!rows.length) return;
  const more = html("button", { type: "button", class: "more", "aria-expanded": "false" });
  const set = (open) => {
    rows.forEach((row) => row.classList.toggle("rest", !open));
    more.textContent = open ? "the best ten lines alone" : `all ${rows.length + 10} lines`;
    more.setAttribute("aria-expanded", String(open));
  };
  more.addEventListener("click", () => set(more.getAttribute("aria-expanded") === "false"));
  table.after(more);
  set(false);
}
