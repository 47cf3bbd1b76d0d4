"use strict";
// Charts as SVG: elements, scales, axes, the label beside the pointer. panels.js says what is drawn.
const by = (id) => document.getElementById(id);
const XML = by("space").namespaceURI;

function fill(node, attributes, inside) {
  for (const [name, value] of Object.entries(attributes)) node.setAttribute(name, value);
  node.append(...inside);
  return node;
}
const svg = (name, attributes = {}, ...inside) => fill(document.createElementNS(XML, name), attributes, inside);
const html = (name, attributes = {}, ...inside) => fill(document.createElement(name), attributes, inside);

// The widths of charts on paper, by their ids, while the page is printed.
const paper = {};
const short = (text, most) => (text.length > most ? text.slice(0, most - 1) + "…" : text);
const plain = (text) => text.replace(/(\.\d*?)0+($|e)/, "$1$2").replace(/\.($|e)/, "$1").replace("e+", "e");
const digits = (value) => (value === null || value === undefined ? "–" : plain(Number(value).toPrecision(3)));
const rateText = (rate) => (rate >= 0.001 && rate < 10000 ? String(Number(rate.toPrecision(2))) : plain(rate.toExponential(1)));

function scale(low, high, from, to, log) {
  const of = log ? Math.log10 : (value) => value, start = of(low), length = of(high) - start || 1;
  return (value) => from + ((of(value) - start) / length) * (to - from);
}

function ticks(low, high, log, most) {
  const inside = (values) => values.filter((value) => value >= low * (1 - 1e-9) && value <= high * (1 + 1e-9));
  if (log) {
    const first = Math.floor(Math.log10(low)), count = Math.ceil(Math.log10(high)) - first + 1;
    const decades = Array.from({ length: count }, (_, at) => first + at);
    const fine = inside(decades.flatMap((power) => [1, 2, 5].map((times) => Number(`${times}e${power}`))));
    if (fine.length <= most) return fine;
    const whole = inside(decades.map((power) => Number(`1e${power}`)));
    const every = Math.ceil(whole.length / most);
    return whole.filter((_, at) => (whole.length - 1 - at) % every === 0);
  }
  const rough = (high - low || 1) / most, power = 10 ** Math.floor(Math.log10(rough));
  const step = [1, 2, 5, 10].map((times) => times * power).find((value) => value >= rough);
  const from = Math.ceil(low / step - 1e-9);
  return Array.from({ length: Math.floor(high / step + 1e-9) - from + 1 }, (_, at) => Number(((from + at) * step).toPrecision(12)));
}

// How wide a text is beside an axis, and as much of one as there is room for.
const pen = html("canvas").getContext("2d");
pen.font = "11.5px system-ui, -apple-system, \"Segoe UI\", Roboto, sans-serif";
const wide = (text) => pen.measureText(text).width;
const fit = (text, room) => { let most = text.length; while (most > 2 && wide(short(text, most)) > room) most -= 1; return short(text, most); };

// The names of rows, each a list of parts: below each other where a row has the height, else in one line, in which the first
// part is shortened so that what follows is seen.
function rowNames(rows, high, most) {
  const stacked = high >= 26, lines = rows.map((parts) => (stacked ? parts : [parts.join(", ")]));
  const room = Math.min(most, Math.max(...lines.flat().map(wide)));
  const cut = (parts) => { const end = parts.slice(1).map((part) => `, ${part}`).join("");
    return wide(parts.join(", ")) <= room ? parts.join(", ") : fit(fit(parts[0], Math.max(room - wide(end), room / 2)) + end, room); };
  return { room, lines: rows.map((parts) => (stacked ? parts.map((part) => fit(part, room)) : [cut(parts)])) };
}

// An empty chart in the element `id`. An axis has low, high, log, title; `rows` are names, of several parts each, instead of a
// y axis; `under` is free height below the axis.
function frame(id, label, x, y, { rows = null, under = 0, height = 0 } = {}) {
  const place = by(id), width = Math.max(280, paper[id] || Math.floor(place.clientWidth || 640)), narrow = width < 500;
  const top = 12, bottom = top + (height || (narrow ? 230 : 300)), full = bottom + 46 + under;
  const names = rows && rowNames(rows, height / rows.length, width * (narrow ? 0.4 : 0.28));
  const left = rows ? Math.max(58, Math.ceil(names.room) + 12) : 58, right = width - 14;
  const root = svg("svg", { viewBox: `0 0 ${width} ${full}`, class: "chart", role: "application", "aria-roledescription": "chart",
    "aria-label": label, tabindex: "0" });
  const sx = scale(x.low, x.high, left, right, x.log), sy = rows ? null : scale(y.low, y.high, bottom, top, y.log);
  for (const value of ticks(x.low, x.high, x.log, Math.max(3, Math.floor((right - left) / 62)))) {
    root.append(svg("line", { class: "grid", x1: sx(value), x2: sx(value), y1: top, y2: bottom }),
      svg("text", { class: "tick", x: sx(value), y: bottom + 17, "text-anchor": "middle" }, x.log ? rateText(value) : digits(value)));
  }
  if (rows) names.lines.forEach((lines, at) => {
    const middle = top + ((at + 0.5) / rows.length) * (bottom - top) - 6.5 * (lines.length - 1);
    root.append(svg("text", { class: "tick" }, svg("title", {}, rows[at].join(", ")),
      ...lines.map((text, line) => svg("tspan", { x: left - 8, y: middle + 4 + 13 * line, "text-anchor": "end" }, text))));
  });
  else for (const value of ticks(y.low, y.high, y.log, 6)) {
    root.append(svg("line", { class: "grid", x1: left, x2: right, y1: sy(value), y2: sy(value) }),
      svg("text", { class: "tick", x: left - 8, y: sy(value) + 4, "text-anchor": "end" }, digits(value)));
  }
  const area = svg("svg", { x: left, y: top, width: right - left, height: bottom - top, viewBox: `${left} ${top} ${right - left} ${bottom - top}` });
  root.append(area, svg("path", { class: "axis", d: `M${left} ${top}V${bottom}H${right}` }),
    svg("text", { class: "name", x: (left + right) / 2, y: bottom + 38, "text-anchor": "middle" }, x.title));
  if (!rows) root.append(svg("text", { class: "name", x: 13, y: (top + bottom) / 2, "text-anchor": "middle",
    transform: `rotate(-90 13 ${(top + bottom) / 2})` }, y.title));
  place.querySelector("svg")?.remove();
  place.prepend(root);
  return { root, area, sx, sy, left, right, top, bottom };
}

// A line through the points; it breaks where a value is missing.
function path(xs, ys, chart) {
  let text = "", pen = "M";
  xs.forEach((x, at) => {
    if (ys[at] === null || ys[at] === undefined) { pen = "M"; return; }
    text += `${pen}${chart.sx(x).toFixed(1)} ${Math.max(-9999, Math.min(9999, chart.sy(ys[at]))).toFixed(1)}`;
    pen = "L";
  });
  return text;
}

// From violet, the least, to yellow.
const ANCHORS = [[68, 1, 84], [65, 68, 135], [42, 120, 142], [34, 168, 132], [122, 209, 81], [253, 231, 37]];
function colour(share) {
  const at = Math.min(0.9999, Math.max(0, share)) * (ANCHORS.length - 1), low = Math.floor(at);
  return "rgb(" + ANCHORS[low].map((value, part) => Math.round(value + (at - low) * (ANCHORS[low + 1][part] - value))).join(",") + ")";
}

// Rectangles with a share from 0 to 1 each, as one path for each of 40 colours: thousands of elements would be slow.
function mosaic(area, cells) {
  const levels = new Map();
  for (const [left, top, right, bottom, share] of cells) {
    const level = Math.round(39 * Math.min(1, Math.max(0, share)));
    levels.set(level, `${levels.get(level) || ""}M${left.toFixed(1)} ${top.toFixed(1)}H${(right + 0.4).toFixed(1)}V${(bottom + 0.4).toFixed(1)}H${left.toFixed(1)}z`);
  }
  for (const [level, d] of levels) area.append(svg("path", { d, fill: colour(level / 39) }));
}

// The colours of a mosaic with the values at both ends, below its axis.
function colourBar(chart, name, low, high) {
  const y = chart.bottom + 52, left = chart.left, right = Math.min(chart.right, left + 260);
  for (let at = 0; at < 40; at++) chart.root.append(svg("rect", { x: left + (at * (right - left)) / 40, y, width: (right - left) / 40 + 0.5, height: 9, fill: colour(at / 39) }));
  chart.root.append(svg("text", { class: "tick", x: left, y: y + 23 }, low),
    svg("text", { class: "tick", x: (left + right) / 2, y: y + 23, "text-anchor": "middle" }, name),
    svg("text", { class: "tick", x: right, y: y + 23, "text-anchor": "end" }, high));
}

// Borders between neighbouring values of an axis, in its pixels, from one end of the chart to the other.
function borders(places, from, to) {
  return [from, ...places.slice(1).map((place, at) => (place + places[at]) / 2), to];
}

function say(lines, x, y) {
  const tip = by("tip");
  tip.replaceChildren(...lines.map((text, at) => html(at ? "span" : "b", {}, text)));
  tip.hidden = false;
  const wide = tip.offsetWidth, high = tip.offsetHeight;
  tip.style.left = Math.max(6, Math.min(x + 14, document.documentElement.clientWidth - wide - 6)) + "px";
  tip.style.top = Math.max(6, y + 18 + high > window.innerHeight ? y - high - 12 : y + 18) + "px";
}
const hush = () => { by("tip").hidden = true; };

// Points that answer: the pointer finds the nearest, the arrow keys walk, Enter and a click take it. A point has x, y, its
// `series` (up and down go to another one), text (lines), and take.
function listen(chart, points) {
  const root = chart.root, ring = svg("circle", { class: "ring", r: 6, hidden: "" });
  let now = -1;
  root.append(ring);
  const show = (at) => {
    now = at;
    const point = points[at], box = root.getBoundingClientRect(), zoom = box.width / root.viewBox.baseVal.width;
    ring.setAttribute("cx", point.x);
    ring.setAttribute("cy", point.y);
    ring.removeAttribute("hidden");
    say(point.text(), box.left + point.x * zoom, box.top + point.y * zoom);
  };
  const leave = () => { ring.setAttribute("hidden", ""); hush(); };
  const nearest = (x, y, some = points) => some.reduce((best, point) => {
    const far = (point.x - x) ** 2 + (point.y - y) ** 2;
    return best && best.far <= far ? best : { far, point };
  }, null)?.point;
  const under = (event) => {
    const box = root.getBoundingClientRect(), zoom = root.viewBox.baseVal.width / box.width;
    return nearest((event.clientX - box.left) * zoom, (event.clientY - box.top) * zoom);
  };
  root.addEventListener("pointermove", (event) => { const point = under(event); if (point) show(points.indexOf(point)); });
  root.addEventListener("pointerleave", leave);
  root.addEventListener("blur", leave);
  root.addEventListener("click", (event) => {
    const point = under(event);
    point?.take?.();
    if (point && event.pointerType === "touch") say(point.text(), event.clientX, event.clientY); // a finger does not hover
  });
  root.addEventListener("keydown", (event) => {
    const here = points[now], id = root.parentElement.id;
    if (event.key === "Escape") return leave();
    if (event.key === "Enter" && here?.take) { here.take(); by(id).querySelector("svg").focus(); return undefined; }
    const go = { ArrowRight: [1, 0], ArrowLeft: [-1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1] }[event.key];
    if (!go || !points.length) return undefined;
    event.preventDefault();
    if (!here) return show(Math.max(0, points.findIndex((point) => point.first)));
    const same = points.filter((point) => (go[0] ? point.series === here.series && (point.x - here.x) * go[0] > 0
      : point.series !== here.series && (point.y - here.y) * go[1] > 0));
    const next = nearest(here.x, here.y, same);
    return next ? show(points.indexOf(next)) : undefined;
  });
}

// A file of the reader's own, made here.
function save(name, text, type) {
  const link = html("a", { href: URL.createObjectURL(new Blob([text], { type })), download: name });
  link.click();
  setTimeout(() => URL.revokeObjectURL(link.href), 1000);
}

// The legend of a figure as a part of its chart, below it, and how high it is.
function drawnLegend(figure, width, top) {
  const items = [...figure.querySelectorAll(".legend .key")], group = svg("g"), ink = getComputedStyle(figure).color;
  let x = 14, y = top + 16;
  for (const item of items) {
    const mark = item.querySelector("path"), own = getComputedStyle(mark || item.querySelector("i")), text = item.textContent.trim();
    const space = 38 + wide(text) * 1.1;
    if (x > 14 && x + space > width) { x = 14; y += 20; }
    group.append(svg("path", { d: `M${x} ${y - 4}h26`, stroke: mark ? own.stroke : own.backgroundColor, "stroke-width": mark ? own.strokeWidth : 2,
      "stroke-dasharray": mark ? own.strokeDasharray : "none", fill: "none" }),
    svg("text", { x: x + 33, y, fill: ink, "font-size": "12px", "font-family": own.fontFamily }, text));
    x += space + 16;
  }
  return { group, high: items.length ? y + 14 - top : 0 };
}

// A chart as a file, with its legend: what the style sheet says is written into its elements.
function saveChart(id) {
  const root = by(id).querySelector("svg"), copy = root.cloneNode(true), box = root.viewBox.baseVal;
  const nodes = [root, ...root.querySelectorAll("*")], twins = [copy, ...copy.querySelectorAll("*")];
  const kept = ["fill", "fill-opacity", "stroke", "stroke-width", "stroke-dasharray", "opacity", "font-size", "font-family", "font-weight"];
  nodes.forEach((node, at) => {
    const style = getComputedStyle(node);
    for (const name of kept) twins[at].setAttribute(name, style.getPropertyValue(name));
  });
  copy.querySelector(".ring")?.remove();
  const figure = root.closest("figure"), legend = drawnLegend(figure, box.width, box.height), full = box.height + legend.high;
  copy.setAttribute("width", box.width);
  copy.setAttribute("height", full);
  copy.setAttribute("viewBox", `0 0 ${box.width} ${full}`);
  copy.prepend(svg("rect", { width: box.width, height: full, fill: getComputedStyle(figure).backgroundColor }));
  copy.append(legend.group);
  save(`${page.name}-${id}.svg`, new XMLSerializer().serializeToString(copy), "image/svg+xml");
}
