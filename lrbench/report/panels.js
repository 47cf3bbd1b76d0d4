// The four charts: loss by rate, a map of rates, training curves, and a line's rates by step.
const page = JSON.parse(by("data").textContent);
const state = {};
const many = new Set(page.lines.map((each) => each.schedule)).size > 1;
page.lines.forEach((line, at) => { line.at = at; line.parts = many ? [line.optimizer, line.schedule] : [line.optimizer]; line.title = line.parts.join(", "); });

const has = (value) => value !== null && value !== undefined;
const ofProblem = () => page.lines.filter((line) => line.problem === page.problems[state.problem]);
const byScore = (lines) => [...lines].sort((a, b) => (has(a.score) ? a.score : Infinity) - (has(b.score) ? b.score : Infinity));
const shown = () => byScore(ofProblem().filter((line) => (!state.optimizer || line.optimizer === state.optimizer)
  && (!state.schedule || line.schedule === state.schedule)));
const line = () => page.lines[state.line];

// How lines are drawn: the best of the study as in its plots; what these leave over goes to the best others that are shown,
// and the rest is grey.
function looksOf(lines) {
  const left = new Set(page.looks.keys()), found = new Map();
  for (const each of lines) if (has(each.look)) { found.set(each, page.looks[each.look]); left.delete(each.look); }
  const others = lines.filter((each) => !has(each.look));
  [...left].slice(0, others.length).forEach((number, at) => found.set(others[at], page.looks[number]));
  return found;
}
const hue = (look) => (look ? `c${look.hue}` : "c-rest");
const dashes = (look, width) => (look && look.dash.length ? { "stroke-dasharray": look.dash.map((part) => (part * width).toFixed(1)).join(" ") } : {});

// The steps of a problem, and whether the slider stands at the end, where the losses are the means of the tables.
const steps = () => line().path.step;
const stepAt = () => Math.min(has(state.step) ? state.step : steps().length - 1, steps().length - 1);
const atEnd = () => stepAt() === steps().length - 1;
function losses(each) {
  if (atEnd()) return each;
  const step = steps()[stepAt()], place = Math.max(0, each.path.step.findLastIndex((value) => value <= step));
  return { rate: each.path.rate, loss: each.path.value.map((row) => row[place]), start: each.start };
}
const when = () => (atEnd() ? "at the end, mean over seeds" : `at step ${steps()[stepAt()]}, median over seeds`);

function rateAxis(rates) {
  const low = Math.min(...rates), high = Math.max(...rates), room = low < high ? (high / low) ** 0.02 : 2;
  return { low: low / room, high: high * room, log: true, title: "learning rate" };
}
function lossAxis(values, top, title) {
  const finite = values.filter(has), high = has(top) ? top : Math.max(...finite), low = Math.min(high, ...finite);
  const log = low > 0 && high > 1.5 * low;
  const room = (high - low || Math.abs(high) || 1) * 0.05;
  return { log, title, low: log ? low / 1.15 : low - room, high: log ? high * 1.25 : high + 2 * room };
}

// Under the axis of the loss chart: the chosen line's bands, and where it collapses.
function strips(chart, each, right) {
  const rows = [["pace", each.bands.pace, "band"], ["own", each.bands.own, "band"], ["problem", each.bands.good, "band"],
    ["collapse", each.collapse, "fall"]];
  rows.forEach(([name, [low, high], kind], at) => {
    const y = chart.bottom + 56 + 15 * at, known = has(high), words = `${name}: ${known ? `${rateText(low ?? high)} to ${rateText(high)}` : "none"}`;
    chart.root.append(svg("text", { class: "tick", x: chart.left - 8, y: y + 4, "text-anchor": "end" }, name),
      svg("line", { class: "rail", x1: chart.left, x2: right, y1: y, y2: y }));
    if (!known) return;
    const from = chart.sx(has(low) ? low : high), to = chart.sx(high);
    if (kind === "fall") chart.root.append(svg("rect", { class: "beyond", x: to, y: y - 4, width: Math.max(0, right - to), height: 8 }));
    chart.root.append(svg("rect", { class: kind, x: from - 3, y: y - 4, width: to - from + 6, height: 8, rx: 3 }, svg("title", {}, words)));
  });
}

function drawLoss() {
  const lines = shown(), looks = looksOf(lines), data = new Map(lines.map((each) => [each, losses(each)]));
  const all = [...data.values()], area = atEnd() && state.band !== "0";
  const y = lossAxis(all.flatMap((each) => [...each.loss, ...(area && each.low ? each.low : [])]), Math.max(...all.map((each) => each.start).filter(has)), line().objective);
  const chart = frame("loss-chart", `${line().objective} against learning rate, ${page.problems[state.problem]}, ${when()}`,
    rateAxis(all.flatMap((each) => each.rate)), y, { under: 66 });
  const points = [], top = [];
  const [low, fallen] = line().collapse;
  if (has(fallen)) chart.area.append(svg("rect", { class: "beyond", x: chart.sx(fallen), y: chart.top, width: Math.max(0, chart.right - chart.sx(fallen)), height: 999 }),
    svg("rect", { class: "falling", x: chart.sx(low ?? fallen), y: chart.top, width: chart.sx(fallen) - chart.sx(low ?? fallen), height: 999 }));
  [...lines].reverse().forEach((each) => {
    const { rate, loss, low, high } = data.get(each), main = each === line(), look = looks.get(each);
    const group = svg("g", { class: `${hue(look)}${main ? " main" : ""}` });
    if (area && low && !each.sampled && (main || lines.length <= 4)) {
      const back = rate.map((_, at) => at).filter((at) => has(low[at])).reverse();
      const edge = path(rate, high, chart) + path(back.map((at) => rate[at]), back.map((at) => low[at]), chart).replace(/^M/, "L");
      if (!rate.some((_, at) => !has(low[at]))) group.append(svg("path", { class: "spread", d: edge + "z" }));
    }
    if (each.sampled || rate.length === 1) rate.forEach((value, at) => has(loss[at]) && group.append(svg("circle", { class: "dot", cx: chart.sx(value), cy: chart.sy(loss[at]), r: 3.5 })));
    else group.append(svg("path", { class: "curve", d: path(rate, loss, chart), ...dashes(look, main ? 3 : 1.7) }));
    if (look || main) {
      const mark = (value, put) => { const at = rate.indexOf(value); if (at >= 0 && has(loss[at])) group.append(put(chart.sx(value), chart.sy(loss[at]))); };
      mark(each.collapse[0], (x, y) => { const d = `M${x - 4} ${y - 4}l8 8m0-8l-8 8`; return svg("g", {}, svg("path", { class: "halo", d }), svg("path", { class: "cross", d })); });
      mark(each.use, (x, y) => svg("circle", { class: "disc", cx: x, cy: y, r: main ? 6 : 4.5 }));
    }
    (main ? top : [group]).push(group);
    if (!main) chart.area.append(group);
    rate.forEach((value, at) => has(loss[at]) && points.push({ x: chart.sx(value), y: chart.sy(loss[at]), series: each.at, first: main && value === (has(state.rate) ? state.rate : each.use),
      text: () => [each.title, `rate ${rateText(value)}${value === each.use ? ", the rate to use" : ""}`, `${each.objective} ${digits(loss[at])}`,
        ...(low ? [`seeds ${digits(low[at])} to ${digits(high[at])}; ${each.seeds[at] - each.diverged[at]} of ${each.seeds[at]} train; ${page.zones[each.zone[at]]}`] : [])],
      take: () => change({ line: each.at, rate: value }) }));
  });
  chart.area.append(...top);
  strips(chart, line(), chart.right);
  listen(chart, points);
  by("loss-when").textContent = when();
  legend(lines, looks);
}

function legend(lines, looks) {
  const coloured = lines.filter((each) => looks.has(each));
  const items = (coloured.includes(line()) ? coloured : [...coloured, line()]).map((each) => {
    const look = looks.get(each), main = each === line(), width = main ? 3 : 1.7;
    const swatch = svg("svg", { class: "swatch", width: 30, height: 8 }, svg("path", { d: "M0 4H30", "stroke-width": width, ...dashes(look, width) }));
    const node = html("button", { type: "button", class: `key ${hue(look)}`, "aria-pressed": String(main) }, swatch, short(each.title, 60));
    node.addEventListener("click", () => change({ line: each.at, rate: null }));
    return node;
  });
  const rest = lines.length - coloured.length;
  by("legend").replaceChildren(...items, ...(rest > 0 ? [html("span", { class: "key c-rest" }, html("i"), `${rest} other line${rest > 1 ? "s" : ""}`)] : []));
}

// A row for each line or, with a parameter chosen, for each of its values: the best of the lines that have it.
function mapRows() {
  const lines = shown();
  if (!state.rows) return lines.slice(0, 60).map((each) => ({ name: each.title, parts: each.parts, lines: [each] }));
  const values = [...new Set(lines.map((each) => each.params[state.rows]).filter(has))];
  values.sort((a, b) => (typeof a === "number" && typeof b === "number" ? b - a : String(a).localeCompare(String(b))));
  return values.map((value) => ({ name: String(value), parts: [String(value)], lines: lines.filter((each) => each.params[state.rows] === value) }));
}

function drawMap() {
  const rows = mapRows();
  by("map-figure").hidden = !rows.length;
  if (!rows.length) return;
  const data = rows.map((row) => row.lines.map(losses)), rates = [...new Set(data.flat().flatMap((each) => each.rate))].sort((a, b) => a - b);
  const chart = frame("map-chart", `${line().objective} by learning rate and ${state.rows || "line"}, ${when()}`, rateAxis(rates), null,
    { rows: rows.map((row) => row.parts), under: 34, height: Math.max(90, Math.min(30, Math.max(13, 400 / rows.length)) * rows.length) });
  const all = data.flat().flatMap((each) => each.loss).filter(has), least = Math.min(...all), start = Math.max(...ofProblem().map((each) => each.start).filter(has));
  const gap = (loss) => (start > least ? Math.log10(Math.max(0.001, Math.min(1, (loss - least) / (start - least)))) / 3 + 1 : 1);
  const high = (chart.bottom - chart.top) / rows.length, points = [], cells = [], marks = [];
  rows.forEach((row, at) => {
    const best = new Map(), top = chart.top + at * high;
    data[at].forEach((each, which) => each.rate.forEach((rate, place) => {
      const loss = each.loss[place];
      if (has(loss) && !(best.get(rate)?.loss <= loss)) best.set(rate, { loss, each: row.lines[which] });
    }));
    const own = rates.filter((rate) => best.has(rate)), edges = borders(own.map(chart.sx), chart.left, chart.right);
    own.forEach((rate, place) => {
      const { loss, each } = best.get(rate);
      cells.push([edges[place], top, edges[place + 1], top + high, gap(loss)]);
      points.push({ x: chart.sx(rate), y: top + high / 2, series: at, first: at === 0 && rate === each.use,
        text: () => [row.name, ...(state.rows ? [each.title] : []), `rate ${rateText(rate)}`, `${each.objective} ${digits(loss)}`], take: () => change({ line: each.at, rate }) });
    });
    const main = byScore(row.lines)[0];
    if (has(main.use)) marks.push(svg("circle", { class: "spot", cx: chart.sx(main.use), cy: top + high / 2, r: Math.min(5, high / 3) }));
  });
  mosaic(chart.area, cells);
  chart.area.append(...marks);
  colourBar(chart, "gap", "0.1 %", "100 %");
  listen(chart, points);
}

const chosenRate = () => {
  const { rate } = line().path, want = has(state.rate) ? state.rate : line().use;
  if (!has(want)) return 0;
  return rate.reduce((best, value, at) => (Math.abs(Math.log(value / want)) < Math.abs(Math.log(rate[best] / want)) ? at : best), 0);
};

function drawCurves() {
  const { path: curves, objective, start, use } = line(), at = chosenRate(), best = has(use) ? curves.rate.indexOf(use) : -1;
  const x = { low: curves.step[0], high: curves.step[curves.step.length - 1], log: false, title: "step" };
  const chart = frame("curve-chart", `${objective} by step, ${line().title}`, x, lossAxis(curves.value.flat().filter((value) => has(value) && (!has(start) || value <= 2 * start)), start, objective));
  const faint = curves.value.map((row) => path(curves.step, row, chart)).join("");
  chart.area.append(svg("path", { class: "faint", d: faint }));
  const points = [], draw = (row, kind, name) => {
    chart.area.append(svg("path", { class: kind, d: path(curves.step, curves.value[row], chart) }));
    curves.step.forEach((step, place) => has(curves.value[row][place]) && points.push({ x: chart.sx(step), y: chart.sy(curves.value[row][place]), series: row,
      text: () => [`${name} ${rateText(curves.rate[row])}`, `step ${step}`, `${objective} ${digits(curves.value[row][place])}`], take: () => change({ step: place }) }));
  };
  if (best >= 0) draw(best, "good", "to use");
  if (at !== best) draw(at, "taken", "chosen");
  const now = chart.sx(steps()[stepAt()]);
  chart.area.append(svg("line", { class: "now", x1: now, x2: now, y1: chart.top, y2: chart.bottom }));
  listen(chart, points);
  const keys = [best >= 0 ? ["good", `to use: ${rateText(use)}`] : null, at !== best ? ["taken", `chosen: ${rateText(curves.rate[at])}`] : null, ["faint", "other rates"]];
  by("curve-legend").replaceChildren(...keys.filter(Boolean).map(([kind, text]) => html("span", { class: `key ${kind}` }, html("i"), text)));
}

function drawHeat() {
  const { path: curves, objective, start } = line(), finite = curves.value.flat().filter(has);
  const chart = frame("heat-chart", `${objective} by learning rate and step, ${line().title}`, rateAxis(curves.rate),
    { low: curves.step[0], high: curves.step[curves.step.length - 1] || 1, log: false, title: "step" }, { under: 34 });
  const low = Math.min(...finite), top = has(start) && start > low ? start : Math.max(...finite), log = low > 0 && top > low;
  const share = (value) => (log ? Math.log(Math.min(value, top) / low) / Math.log(top / low) : top > low ? (Math.min(value, top) - low) / (top - low) : 1);
  const xs = borders(curves.rate.map(chart.sx), chart.left, chart.right), ys = borders(curves.step.map(chart.sy), chart.bottom, chart.top);
  const cells = [], points = [];
  curves.value.forEach((row, at) => row.forEach((value, place) => {
    points.push({ x: chart.sx(curves.rate[at]), y: chart.sy(curves.step[place]), series: place, first: at === chosenRate(),
      text: () => [`rate ${rateText(curves.rate[at])}`, `step ${curves.step[place]}`, has(value) ? `${objective} ${digits(value)}` : "no longer finite"],
      take: () => change({ rate: curves.rate[at], step: place }) });
    if (has(value)) cells.push([xs[at], ys[place + 1], xs[at + 1], ys[place], share(value)]);
  }));
  mosaic(chart.area, cells);
  const rate = chart.sx(curves.rate[chosenRate()]), now = chart.sy(steps()[stepAt()]);
  chart.area.append(svg("line", { class: "now here", x1: rate, x2: rate, y1: chart.top, y2: chart.bottom }),
    svg("line", { class: "now here", x1: chart.left, x2: chart.right, y1: now, y2: now }));
  colourBar(chart, objective, digits(low), digits(top));
  listen(chart, points);
}
