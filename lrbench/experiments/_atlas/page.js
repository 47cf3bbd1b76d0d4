"use strict";
const data = JSON.parse(document.getElementById("data").textContent);
const get = (id) => document.getElementById(id);
const state = { measure: 0, schedule: 0, filter: "", free: false, by: "mean", down: false };
const places = data.problems.length, schedules = data.schedules.length;

/** The value of a measure, or null. */
function value(name, problem, optimizer) {
  return data.values[name][(problem * data.optimizers.length + optimizer) * schedules + state.schedule];
}

function text(number, kind) {
  if (number === null) return "–";
  if (kind === "rate") return number >= 0.01 && number < 1000 ? String(+number.toPrecision(2)) : number.toExponential(1);
  if (kind === "decades") return number.toFixed(1);
  return number.toFixed(3).replace("-", "−");
}

/** The mean over problems, of rates the geometric one. */
function mean(numbers, kind) {
  const known = numbers.filter((each) => each !== null);
  if (!known.length) return null;
  const sum = known.reduce((total, each) => total + (kind === "rate" ? Math.log(each) : each), 0) / known.length;
  return kind === "rate" ? Math.exp(sum) : sum;
}

/** Colour of a cell: orange where it is far from the best, blue where a band is wide. */
function colour(number, kind) {
  if (number === null || kind === "rate") return "";
  const share = Math.min(1, Math.max(0, kind === "gap" ? number / 0.5 : number / 4));
  return `rgba(var(--${kind === "gap" ? "bad" : "good"}), ${(0.62 * share).toFixed(3)})`;
}

function rows() {
  const { key, kind } = data.measures[state.measure];
  const wanted = state.filter.trim().toLowerCase();
  const found = data.optimizers.map((optimizer, at) => {
    const numbers = data.problems.map((_, problem) => value(key, problem, at));
    const known = numbers.filter((each) => each !== null);
    const worst = known.length ? (kind === "decades" ? Math.min(...known) : Math.max(...known)) : null;
    return { at, optimizer, numbers, mean: mean(numbers, kind), worst, times: optimizer.times };
  }).filter(({ optimizer }) => optimizer.name.toLowerCase().includes(wanted) && (!state.free || optimizer.free));
  const of = (row) => state.by === "name" ? row.optimizer.name : typeof state.by === "number" ? row.numbers[state.by] : row[state.by];
  const sign = state.down ? -1 : 1;
  return found.sort((a, b) => {
    const [x, y] = [of(a), of(b)];
    if (x === null || y === null) return (x === null) - (y === null);
    return sign * (typeof x === "string" ? x.localeCompare(y) : x - y);
  });
}

function element(tag, content, attributes = {}) {
  const made = document.createElement(tag);
  made.textContent = content;
  for (const [name, each] of Object.entries(attributes)) made.setAttribute(name, each);
  return made;
}

function head() {
  const row = document.createElement("tr");
  const columns = [["name", "optimizer"], ["mean", "mean"], ["worst", "worst"], ["times", "cost, sgd = 1"], ...data.problems.map((name, at) => [at, name])];
  for (const [key, title] of columns) {
    const cell = element("th", "", { scope: "col" });
    if (state.by === key) cell.setAttribute("aria-sort", state.down ? "descending" : "ascending");
    const button = element("button", title.replaceAll("_", "_\u200b"), { type: "button" });
    button.addEventListener("click", () => {
      [state.by, state.down] = [key, state.by === key && !state.down];
      draw();
      get("map").querySelector("th[aria-sort] button").focus();
    });
    cell.append(button);
    row.append(cell);
  }
  get("map").tHead.replaceChildren(row);
}

function draw() {
  const measure = data.measures[state.measure], found = rows();
  get("note").textContent = measure.note;
  head();
  get("map").tBodies[0].replaceChildren(...found.map((each) => {
    const row = document.createElement("tr");
    row.append(element("th", each.optimizer.name, { scope: "row" }));
    row.append(element("td", text(each.mean, measure.kind), { class: "mean" }), element("td", text(each.worst, measure.kind)));
    row.append(element("td", each.times === null ? "–" : each.times.toFixed(1)));
    each.numbers.forEach((number, problem) => {
      const cell = element("td", text(number, measure.kind), { tabindex: "-1", "data-problem": problem, "data-optimizer": each.at });
      cell.style.backgroundColor = colour(number, measure.kind);
      row.append(cell);
    });
    return row;
  }));
  const first = get("map").querySelector("td[data-problem]");
  if (first) first.tabIndex = 0;
  get("count").textContent = `${found.length} of ${data.optimizers.length} optimizers`;
}

function detail(cell) {
  const problem = Number(cell.dataset.problem), at = Number(cell.dataset.optimizer), optimizer = data.optimizers[at];
  const show = (name, kind) => text(value(name, problem, at), kind);
  const list = document.createElement("dl");
  const loss = (name) => { const number = value(name, problem, at); return number === null ? "–" : String(+number.toPrecision(4)); };
  const facts = [
    ["rate to use", show("use", "rate")],
    ["loss there", `${loss("loss")} (95 %: ${loss("low")} to ${loss("high")})`],
    ["band", `${show("from", "rate")} to ${show("to", "rate")}, ${show("width", "decades")} decades`],
    ["gap", `tuned ${show("tuned", "gap")}, untuned ${show("untuned", "gap")}`],
  ];
  for (const [name, content] of facts) list.append(element("dt", name), element("dd", content));
  get("detail").replaceChildren(element("h3", `${optimizer.name} + ${data.schedules[state.schedule]} on ${data.problems[problem]}`), list, element("p", optimizer.about));
}

/** Arrow keys move between cells. */
function move(event) {
  const step = { ArrowLeft: [0, -1], ArrowRight: [0, 1], ArrowUp: [-1, 0], ArrowDown: [1, 0] }[event.key];
  const cell = event.target.closest("td[data-problem]");
  if (!step || !cell) return;
  event.preventDefault();
  const all = [...get("map").querySelectorAll("td[data-problem]")];
  const at = all.indexOf(cell), row = Math.floor(at / places) + step[0], column = (at % places) + step[1];
  const next = column >= 0 && column < places ? all[row * places + column] : undefined;
  if (!next) return;
  cell.tabIndex = -1;
  next.tabIndex = 0;
  next.focus();
}

get("measure").append(...data.measures.map((each, at) => element("option", each.title, { value: at })));
get("schedule").append(...data.schedules.map((name, at) => element("option", name, { value: at })));
get("measure").addEventListener("change", (event) => { state.measure = Number(event.target.value); state.down = data.measures[state.measure].kind === "decades"; state.by = "mean"; draw(); });
get("schedule").addEventListener("change", (event) => { state.schedule = Number(event.target.value); draw(); });
get("filter").addEventListener("input", (event) => { state.filter = event.target.value; draw(); });
get("free").addEventListener("change", (event) => { state.free = event.target.checked; draw(); });
get("map").addEventListener("keydown", move);
for (const kind of ["focusin", "mouseover"]) {
  get("map").addEventListener(kind, (event) => { const cell = event.target.closest("td[data-problem]"); if (cell) detail(cell); });
}
draw();
