// What is chosen, where it is kept (in the address of the page), and the controls that change it.
const explorers = [...document.querySelectorAll("table.sortable")].map(explorer);
document.querySelectorAll("table.answer").forEach(shorten);
const NUMBERS = ["problem", "line", "rate", "step"];
const WORDS = ["optimizer", "schedule", "rows", "band"];

function remember() {
  const kept = Object.entries(state).filter(([name, value]) => has(value) && value !== "" && !(name === "problem" && value === 0));
  const text = new URLSearchParams(kept.map(([name, value]) => [name, String(value)])).toString();
  history.replaceState(null, "", text ? `#${text}` : location.pathname.split("/").pop());
}

function recall() {
  const kept = new URLSearchParams(location.hash.slice(1));
  for (const name of Object.keys(state)) delete state[name];
  for (const [name, value] of kept) {
    if (NUMBERS.includes(name) && Number.isFinite(Number(value))) state[name] = Number(value);
    else if (WORDS.includes(name) || /^[a-z]+\.(sort|filter)$/.test(name)) state[name] = value;
  }
  explorers.forEach((show) => show());
}

// The choice, made whole: a problem that is there, a line of it that passes the filters, the best one first.
function settle() {
  if (!page.problems[state.problem]) state.problem = 0;
  for (const name of ["optimizer", "schedule"]) if (!ofProblem().some((each) => each[name] === state[name])) delete state[name];
  if (!shown().length) for (const name of ["optimizer", "schedule"]) delete state[name];
  if (!shown().includes(line())) { state.line = shown()[0].at; delete state.rate; }
  if (!page.parameters.includes(state.rows)) delete state.rows;
  if (has(state.step)) state.step = Math.max(0, Math.round(state.step));
}

const options = (id, names, all) => {
  const node = by(id), first = all ? [html("option", { value: "" }, all)] : [];
  node.replaceChildren(...first, ...names.map(([value, name]) => html("option", { value }, short(name, 80))));
  node.parentElement.hidden = names.length + first.length < (all ? 3 : 2);
};
const distinct = (values) => [...new Set(values)].map((value) => [value, value]);

function drawAll() {
  options("problem", page.problems.map((name, at) => [at, name]));
  options("optimizer", distinct(ofProblem().map((each) => each.optimizer)), "all");
  options("schedule", distinct(ofProblem().map((each) => each.schedule)), "all");
  options("line", shown().map((each) => [each.at, each.title]));
  options("rows", page.parameters.map((name) => [name, name.replace(/_/g, " ")]), "lines");
  for (const name of ["problem", "optimizer", "schedule", "line", "rows"]) by(name).value = state[name] ?? "";
  by("band").checked = state.band !== "0";
  by("step").max = steps().length - 1;
  by("step").value = stepAt();
  by("step-value").textContent = atEnd() ? `${steps()[stepAt()]}, the end` : steps()[stepAt()];
  by("rate").max = line().path.rate.length - 1;
  by("rate").value = chosenRate();
  by("rate-value").textContent = rateText(line().path.rate[chosenRate()]);
  drawLoss();
  drawMap();
  drawCurves();
  drawHeat();
  document.querySelectorAll("figure details[open]").forEach(listNumbers);
}

function change(what) {
  Object.assign(state, what);
  settle();
  if (atEnd()) state.step = null;
  hush();
  drawAll();
  remember();
}

// The numbers of a chart as a table, for those who do not see it.
const NUMBERS_OF = {
  "loss-chart": () => { const { rate, loss, low, high } = losses(line());
    return [["learning rate", line().objective, "lowest seed", "highest seed"], rate.map((value, at) => [rateText(value), digits(loss[at]), digits(low?.[at]), digits(high?.[at])])]; },
  "map-chart": () => [["", "best learning rate", "least loss"], mapRows().map((row) => {
    const found = row.lines.flatMap((each) => { const { rate, loss } = losses(each); return rate.map((value, at) => [value, loss[at]]); }).filter((each) => has(each[1]));
    const best = found.reduce((one, two) => (one && one[1] <= two[1] ? one : two), null);
    return [row.name, best ? rateText(best[0]) : "–", best ? digits(best[1]) : "–"]; })],
  "curve-chart": () => [["step", `rate ${rateText(line().path.rate[chosenRate()])}`], steps().map((step, at) => [step, digits(line().path.value[chosenRate()][at])])],
  "heat-chart": () => { const some = steps().map((_, at) => at).filter((at, _, all) => at % Math.ceil(all.length / 5) === 0 || at === all.length - 1);
    return [["learning rate", ...some.map((at) => `step ${steps()[at]}`)], line().path.rate.map((value, row) => [rateText(value), ...some.map((at) => digits(line().path.value[row][at]))])]; },
};
function listNumbers(details) {
  const [heads, rows] = NUMBERS_OF[details.dataset.of]();
  const table = html("table", {}, html("thead", {}, html("tr", {}, ...heads.map((name) => html("th", { scope: "col" }, name)))),
    html("tbody", {}, ...rows.map((row) => html("tr", {}, ...row.map((value) => html("td", {}, String(value)))))));
  details.querySelector(".scroll").replaceChildren(table);
}

document.querySelectorAll("figure details").forEach((details) => details.addEventListener("toggle", () => details.open && listNumbers(details)));
// A section is shown without a change of the address, which holds what is chosen.
document.querySelectorAll("nav a").forEach((link) => link.addEventListener("click", (event) => {
  event.preventDefault();
  document.querySelector(link.hash).scrollIntoView();
}));
window.addEventListener("scroll", hush, { passive: true });
document.querySelectorAll("button.svg").forEach((node) => node.addEventListener("click", () => saveChart(node.dataset.of)));
recall();
if (page.lines.length) {
  by("problem").addEventListener("change", (event) => change({ problem: Number(event.target.value), line: null, rate: null, step: null }));
  for (const name of ["optimizer", "schedule", "rows"]) by(name).addEventListener("change", (event) => change({ [name]: event.target.value }));
  by("line").addEventListener("change", (event) => change({ line: Number(event.target.value), rate: null }));
  by("band").addEventListener("change", (event) => change({ band: event.target.checked ? null : "0" }));
  by("rate").addEventListener("input", (event) => change({ rate: line().path.rate[Number(event.target.value)] }));
  by("step").addEventListener("input", (event) => change({ step: Number(event.target.value) }));
  window.addEventListener("hashchange", () => { if (location.hash.includes("=")) { recall(); settle(); drawAll(); } });
  let width = window.innerWidth;
  window.addEventListener("resize", () => { if (window.innerWidth !== width) { width = window.innerWidth; drawAll(); } });
  // On paper a chart has the width that it takes there, so that its letters keep their size, and what is folded is open.
  let folded = [];
  window.addEventListener("beforeprint", () => {
    Object.assign(paper, { "loss-chart": 650, "map-chart": 650, "curve-chart": 310, "heat-chart": 310 });
    folded = [...document.querySelectorAll("article details:not([open])")];
    folded.forEach((details) => { details.open = true; });
    drawAll();
  });
  window.addEventListener("afterprint", () => {
    for (const id of Object.keys(paper)) delete paper[id];
    folded.forEach((details) => { details.open = false; });
    drawAll();
  });
  settle();
  drawAll();
}
