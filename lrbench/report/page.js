"use strict";
// Draws the pictures from the data in the page. Names are escaped before Plotly sees them, because Plotly reads a
// little HTML in its texts (<b>, <a href>).
(() => {
  const page = JSON.parse(document.getElementById("data").textContent);
  const by = (id) => document.getElementById(id);
  const plain = (text) => String(text).replace(/&/g, "&amp;").replace(/</g, "&lt;").replace(/>/g, "&gt;");
  const brief = (text) => plain(text.length > 44 ? text.slice(0, 43) + "…" : text);
  const css = (name) => getComputedStyle(document.documentElement).getPropertyValue(name).trim();
  const digits = (value) => (value === null || value === undefined ? "–" : Number(value).toPrecision(3).replace(/\.?0+($|e)/, "$1"));
  const rateText = (rate) => (rate >= 0.01 && rate < 1000 ? String(Number(rate.toPrecision(2))) : rate.toExponential(1));
  const config = { responsive: true, displaylogo: false, plotlyServerURL: "", 
    modeBarButtons: [["toImage", "zoom2d", "pan2d", "resetScale2d"]] }; // none that leads off this page
  const narrow = () => window.innerWidth < 600;

  function axis(title, extra) {
    return { title: { text: title, standoff: 8 }, gridcolor: css("--line"), linecolor: css("--muted"), zeroline: false,
             ticks: "outside", tickcolor: css("--line"), automargin: true, ...extra };
  }
  function layout(extra) {
    return { paper_bgcolor: "rgba(0,0,0,0)", plot_bgcolor: "rgba(0,0,0,0)", margin: { l: 58, r: 18, t: 32, b: 48 },
             modebar: { bgcolor: "rgba(0,0,0,0)", color: css("--muted"), activecolor: css("--accent") },
             font: { family: "system-ui, -apple-system, Segoe UI, Roboto, sans-serif", size: 12.5, color: css("--ink") },
             hoverlabel: { bgcolor: css("--card"), bordercolor: css("--line"), font: { color: css("--ink") }, align: "left" },
             ...extra };
  }
  const logRate = { type: "log", exponentformat: "power", dtick: 1, minor: { showgrid: false } };
  const translucent = (hex, alpha) => `rgba(${[1, 3, 5].map((at) => parseInt(hex.slice(at, at + 2), 16)).join(",")},${alpha})`;
  function rateAxis(rates) {
    const low = Math.min(...rates), high = Math.max(...rates);
    return high / low > 30 ? logRate : { type: "log", ...logTicks(low / 2, high * 2) };
  }
  // On dark paper the dark blue of the palette would vanish.
  const dark = () => window.matchMedia("(prefers-color-scheme: dark)").matches;
  const lit = (hex) => (dark() ? "#" + [1, 3, 5].map((at) => Math.round(parseInt(hex.slice(at, at + 2), 16) * 0.7 + 76)
    .toString(16).padStart(2, "0")).join("") : hex);

  function lossTraces(line, index, band) {
    const group = { legendgroup: "g" + index, x: line.rate };
    const many = line.rate.length > 1 && !line.sampled, colour = lit(line.colour);
    const note = line.rate.map((rate, at) => [rateText(rate), digits(line.loss[at]), digits(line.low[at]), digits(line.high[at]),
      line.zone[at], line.seeds[at] - line.diverged[at], line.seeds[at]]);
    const edge = { ...group, mode: "lines", line: { width: 0 }, hoverinfo: "skip", showlegend: false };
    const traces = band && many ? [
      { ...edge, y: line.low },
      { ...edge, y: line.high, fill: "tonexty", fillcolor: translucent(colour, 0.16) }] : [];
    traces.push({ ...group, y: line.loss, customdata: note, mode: many ? "lines" : "markers", name: brief(line.title),
      line: { color: colour, width: 2.2, dash: line.dash }, marker: { color: colour, size: 9 },
      hovertemplate: `<b>${brief(line.title)}</b><br>rate %{customdata[0]}: %{customdata[4]}<br>mean %{customdata[1]}, seeds ` +
        "%{customdata[2]} to %{customdata[3]}<br>%{customdata[5]} of %{customdata[6]} seeds train<extra></extra>" });
    const mark = (rate, symbol, what) => {
      const at = line.rate.indexOf(rate);
      if (at >= 0) traces.push({ ...group, x: [rate], y: [line.loss[at]], mode: "markers", showlegend: false,
        marker: { color: colour, size: 11, symbol, line: { color: css("--card"), width: 1.5 } },
        hovertemplate: `${brief(line.title)}<br>${what} ${rateText(rate)}<extra></extra>` });
    };
    if (line.collapse !== null) mark(line.collapse, "x", "training has collapsed at");
    if (line.use !== null) mark(line.use, "circle", "the rate to use:");
    return traces;
  }

  function shade(lines) {
    const useful = lines.filter((line) => line.use !== null);
    if (useful.some((line) => line.collapse === null)) return [];
    const rates = lines.flatMap((line) => line.rate), top = Math.max(...rates);
    const collapse = Math.max(0, ...useful.map((line) => line.collapse));
    const before = Math.max(0, ...rates.filter((rate) => rate < collapse));
    const from = before ? Math.sqrt(before * collapse) : Math.min(...rates) / 1.5;
    return [{ type: "rect", xref: "x", yref: "paper", x0: from, x1: top * 1.5, y0: 0, y1: 1, line: { width: 0 },
              fillcolor: css("--shade"), layer: "below" }];
  }

  function drawLoss() {
    const name = page.problems[Number(by("problem").value) || 0];
    const lines = page.lines.filter((line) => line.problem === name);
    if (!lines.length) return;
    const rates = lines.flatMap((line) => line.rate), log = lines.every((line) => line.log);
    const lows = lines.flatMap((line) => line.low).filter((value) => value !== null), starts = lines.map((line) => line.start);
    const low = Math.log10(Math.min(...rates)), high = Math.log10(Math.max(...rates)), room = 0.03 * (high - low) || 0.5;
    const traces = lines.flatMap((line, index) => lossTraces(line, index, by("band").checked && lines.length <= 24));
    const below = narrow() || lines.length < 5;
    const legend = below ? { orientation: "h", y: narrow() ? -0.3 : -0.2, yanchor: "top" } : { x: 1.01, y: 1 };
    // On a phone each name has a row of its own, which must not be taken from the plot.
    document.getElementById("loss-plot").style.height = narrow() ? `${320 + 22 * lines.length}px` : "";
    Plotly.react("loss-plot", traces, layout({ legend, hovermode: "closest", shapes: shade(lines), showlegend: true,
      xaxis: axis("learning rate", { ...rateAxis(rates), range: [low - room, high + room] }),
      yaxis: axis(lines[0].objective, log ? { type: "log", ...logTicks(Math.min(...lows) / 1.2, Math.max(...starts) * 1.2) } : {}) }), config);
  }

  const line = () => page.lines[Number(by("line").value) || 0];

  function chooseLine() {
    const rates = line().path.rate, use = rates.indexOf(line().use);
    by("rate").max = Math.max(0, rates.length - 1);
    by("rate").value = use >= 0 ? use : 0;
    drawHeat();
    drawCurves();
  }

  function faint(path, colour) {
    // One trace for all faint curves, with gaps between them: a hundred traces would be slow.
    const every = Math.ceil(path.rate.length / 40), x = [], y = [];
    for (let at = 0; at < path.rate.length; at += every) {
      x.push(...path.step, null);
      y.push(...path.value[at], null);
    }
    return { x, y, mode: "lines", line: { color: colour, width: 1 }, opacity: 0.22, hoverinfo: "skip", showlegend: false };
  }

  function drawCurves() {
    const { path, objective, start, use } = line();
    const at = Math.min(Number(by("rate").value), path.rate.length - 1), rate = path.rate[at];
    if (rate === undefined) return;
    by("rate-value").textContent = rateText(rate);
    const single = path.step.length === 1 ? "markers" : "lines+markers";
    const curve = (row, name, colour, width) => ({ x: path.step, y: path.value[row], mode: single, name,
      line: { color: colour, width }, marker: { color: colour, size: path.step.length > 60 ? 0.1 : 4 },
      hovertemplate: "step %{x}: %{y:.4g}<extra>" + name + "</extra>" });
    const traces = [faint(path, css("--muted"))], place = path.rate.indexOf(use);
    if (place >= 0) traces.push(curve(place, "to use: " + rateText(use), css("--best"), 2));
    if (place !== at) traces.push(curve(at, "chosen: " + rateText(rate), css("--warn"), 2.6));
    const finite = path.value.flat().filter((value) => value !== null);
    const least = Math.min(...finite, start === null ? Infinity : start), top = start === null ? Math.max(...finite) : start;
    const log = path.log && top > 8 * least;
    const range = log ? [Math.log10(least) - 0.05, Math.log10(top * 2)] : [least - 0.05 * (top - least || 1), top + 0.5 * (top - least || 1)];
    const legend = { x: 0.99, xanchor: "right", y: 0.99, bgcolor: "rgba(0,0,0,0)" };
    Plotly.react("curve-plot", traces, layout({ legend, showlegend: true, xaxis: axis("step", {}),
      yaxis: axis(objective, log ? { type: "log", range, ...logTicks(least / 1.2, top * 2) } : { range }) }), config);
    const mark = { type: "line", xref: "x", yref: "paper", x0: rate, x1: rate, y0: 0, y1: 1,
                   line: { color: css("--ink"), width: 1.5, dash: "dot" } };
    if (by("heat-plot").data) Plotly.relayout("heat-plot", { shapes: [mark] });
  }

  function logTicks(low, top) {
    // 1, 2, 5 of every decade, or the decades alone: Plotly's own choice writes 2, 1, 9, 8, 7 …
    const values = [];
    for (let power = Math.floor(Math.log10(low)); power <= Math.log10(top); power++)
      for (const times of [1, 2, 5]) values.push(times * 10 ** power);
    const inside = values.filter((value) => value >= low && value <= top);
    const some = inside.length > 7 ? inside.filter((value) => Math.abs(Math.log10(value) % 1) < 1e-9) : inside;
    return { tickvals: some, ticktext: some.map(digits) };
  }

  function drawHeat() {
    const { path, objective, start } = line();
    const finite = path.value.flat().filter((value) => value !== null);
    if (!finite.length) { Plotly.react("heat-plot", [], layout({ xaxis: axis("learning rate", {}), yaxis: axis("step", {}) }), config); return; }
    const low = Math.min(...finite), top = start !== null && start > low ? start : Math.max(...finite);
    const log = path.log && top > low, scale = (value) => (value === null ? null : log ? Math.log10(Math.min(value, top)) : Math.min(value, top));
    const z = path.step.map((_, at) => path.value.map((row) => scale(row[at])));
    const text = path.step.map((_, at) => path.value.map((row, place) => [rateText(path.rate[place]), digits(row[at])]));
    const ticks = logTicks(low, top);
    const bar = { title: { text: objective, side: "right" }, thickness: 12, outlinewidth: 0, ...(log ? { ...ticks, tickvals: ticks.tickvals.map(Math.log10) } : {}) };
    Plotly.react("heat-plot", [{ type: "heatmap", x: path.rate, y: path.step, z, customdata: text, colorscale: "Viridis",
      colorbar: bar, hovertemplate: "rate %{customdata[0]}, step %{y}<br>loss %{customdata[1]}<extra></extra>" }],
      layout({ xaxis: axis("learning rate", { ...rateAxis(path.rate), showgrid: false }), yaxis: axis("step", { showgrid: false }) }), config);
    if (!by("heat-plot").dataset.ready) {
      by("heat-plot").dataset.ready = "yes";
      by("heat-plot").on("plotly_click", (event) => {
        by("rate").value = line().path.rate.indexOf(event.points[0].x);
        drawCurves();
      });
    }
  }

  function sortable(table) {
    const heads = [...table.tHead.rows[0].cells], body = table.tBodies[0];
    const key = (row, at) => (row.cells[at].dataset.value === undefined ? row.cells[at].textContent.trim() : row.cells[at].dataset.value);
    heads.forEach((head, at) => head.querySelector("button").addEventListener("click", () => {
      const sign = head.getAttribute("aria-sort") === "ascending" ? -1 : 1;
      heads.forEach((other) => other.removeAttribute("aria-sort"));
      head.setAttribute("aria-sort", sign > 0 ? "ascending" : "descending");
      const text = head.classList.contains("text");
      const rows = [...body.rows].sort((one, two) => {
        const a = key(one, at), b = key(two, at);
        if (text) return sign * a.localeCompare(b);
        if (a === "" || b === "") return (a === "") - (b === ""); // what is missing stays last
        return sign * (Number(a) - Number(b));
      });
      body.append(...rows);
    }));
  }

  function drawAll() { if (page.lines.length) { drawLoss(); drawHeat(); drawCurves(); } }
  by("problem").addEventListener("change", drawLoss);
  by("band").addEventListener("change", drawLoss);
  by("line").addEventListener("change", chooseLine);
  by("rate").addEventListener("input", drawCurves);
  document.querySelectorAll("table.sortable").forEach(sortable);
  window.matchMedia("(prefers-color-scheme: dark)").addEventListener("change", drawAll);
  if (page.lines.length) { drawLoss(); chooseLine(); }
})();
