/* Draws the report from the JSON in the page.  Text only ever goes in as text nodes. */
(function () {
"use strict";
const data = JSON.parse(document.getElementById("data").textContent);
const light = ["#0072b2", "#d55e00", "#009e73", "#b0468a", "#b07800", "#3a8fc0", "#5b5b5b", "#7a3fb0"];
const dark = ["#56b4e9", "#ff8a5b", "#2ed8a7", "#f0a6cc", "#ffc34d", "#a5d8f7", "#c0c0c0", "#c49bf0"];

function h(tag, attrs, ...children) {
  const e = document.createElement(tag);
  for (const [k, v] of Object.entries(attrs || {})) {
    if (k === "on") for (const [event, f] of Object.entries(v)) e.addEventListener(event, f);
    else if (v !== null && v !== undefined && v !== false) e.setAttribute(k, v);
  }
  for (const c of children.flat()) if (c !== null && c !== undefined) e.append(c);
  return e;
}
function svg(tag, attrs, ...children) {
  const e = document.createElementNS("http://www.w3.org/2000/svg", tag);
  for (const [k, v] of Object.entries(attrs)) e.setAttribute(k, v);
  e.append(...children);
  return e;
}

const armName = (arm, cell) => cell ? arm + " · " + cell : arm;
const arms = (data.arms || []).map(([arm, cell]) => armName(arm, cell)); // those that are drawn
const root = document.documentElement;
const isDark = () => root.dataset.theme ? root.dataset.theme === "dark" : matchMedia("(prefers-color-scheme: dark)").matches;
const palette = () => isDark() ? dark : light;
const color = i => palette()[i % light.length]; // for canvases; the rest follows the theme by itself:
const armColor = i => i < 0 ? "var(--line)" : `var(--arm${i % light.length})`;
const dashed = i => i >= light.length; // the ninth arm has the first one's colour
const variable = name => getComputedStyle(root).getPropertyValue(name).trim();

/* As many digits as the spread makes meaningful; four where one seed has none. */
function number(v, spread) {
  if (v === null || v === undefined) return "";
  const shown = spread > 0 ? v : Number(v.toPrecision(4)), scale = spread > 0 ? spread : Math.abs(shown) / 100;
  return shown.toFixed(scale > 0 ? Math.min(9, Math.max(0, 1 - Math.floor(Math.log10(scale)))) : 3);
}
const plus = (v, spread) => v === null ? "" : (v < 0 ? "−" : "+") + number(Math.abs(v), spread);
const brief = v => v === null ? "" : Number(v.toPrecision(4)).toString();
const half = r => r.lo === null ? 0 : (r.hi - r.lo) / 2;
const halfDiff = r => r.diff_lo === null ? 0 : (r.diff_hi - r.diff_lo) / 2;
const goalText = g => g === "max" ? "higher is better" : g === "min" ? "lower is better" : "";

/* --- the answer -------------------------------------------------------------------------------- */

const notes = new Map(data.notes); // what the script says of an arm

/* [heading, class, text of a row]: the answer first, for narrow screens. */
const columns = [
  ["verdict", null, r => r.verdict],
  ["seeds", "n", r => String(r.n)],
  ["mean", "n", r => number(r.mean, half(r))],
  ["interval", null, r => r.lo === null ? "" : "[" + number(r.lo, half(r)) + ", " + number(r.hi, half(r)) + "]"],
  ["difference", "n", r => plus(r.diff, halfDiff(r))],
  ["interval", null, r => r.diff_lo === null ? "" : "[" + plus(r.diff_lo, halfDiff(r)) + ", " + plus(r.diff_hi, halfDiff(r)) + "]"],
  ["p", "n", r => r.p === null ? "" : r.p.toPrecision(2)],
  ["p Holm", "n", r => r.p_holm === null ? "" : r.p_holm.toPrecision(2)],
];

function comparisonTable(rows) {
  const first = rows[0];
  const title = [first.metric, [first.unit, goalText(first.goal)].filter(Boolean).join(", ")];
  const used = columns.filter(([name, , text]) => rows.some(r => name === "verdict" ? !r.reference : text(r))); // of one arm few
  const body = rows.map(r => h("tr", {},
    h("th", { scope: "row", title: notes.get(r.arm) }, swatch(arms.indexOf(armName(r.arm, r.cell))), armName(r.arm, r.cell)),
    used.map(([name, kind, text]) => h("td", { class: name === "verdict" ? r.verdict : kind }, text(r)))));
  const tall = rows.length > 24;
  return h("div", { class: tall ? "scroll tall" : "scroll", tabindex: tall ? "0" : null, role: tall ? "region" : null,
    "aria-label": tall ? first.metric + ", all arms" : null }, h("table", { class: "arms" },
    h("caption", {}, title[0] + " ", h("span", { class: "quiet" }, title[1])),
    h("thead", {}, h("tr", {}, h("th", { scope: "col" }, "arm"), used.map(([name, kind]) => h("th", { scope: "col", class: kind }, name)))),
    h("tbody", {}, body)));
}

/* Differences from the reference with their intervals, one line per arm; in percent of a width that it does not know. */
function forest(rows) {
  const shown = rows.filter(r => !r.reference && r.diff !== null && arms.includes(armName(r.arm, r.cell)));
  if (!shown.length) return null;
  const reach = Math.max(...shown.map(r => Math.max(Math.abs(r.diff), r.diff_lo === null ? 0 : Math.max(Math.abs(r.diff_lo), Math.abs(r.diff_hi))))) || 1;
  const x = v => 50 + 48 * v / reach + "%";
  const label = shown.map(r => armName(r.arm, r.cell) + " " + plus(r.diff, reach / 20)).join(", ");
  const lines = shown.flatMap(r => {
    const name = armName(r.arm, r.cell), arm = arms.indexOf(name), stroke = "stroke-width:3;stroke:" + armColor(arm), y = "50%";
    const parts = [svg("line", { x1: x(0), x2: x(0), y1: 0, y2: "100%", style: "stroke:var(--quiet)", "stroke-dasharray": "3 3" })];
    if (r.diff_lo !== null) parts.push(svg("line", { x1: x(r.diff_lo), x2: x(r.diff_hi), y1: y, y2: y, style: stroke, "stroke-dasharray": dashed(arm) ? "6 4" : "none" }));
    parts.push(svg("circle", { cx: x(r.diff), cy: y, r: 4, style: stroke + ";fill:" + (dashed(arm) ? "var(--paper)" : armColor(arm)) }));
    return [h("span", {}, name), svg("svg", {}, ...parts)];
  });
  const axis = [-reach, 0, reach].map(v => svg("text", { x: x(v), y: 14, "text-anchor": v < 0 ? "start" : v > 0 ? "end" : "middle" }, v === 0 ? "0" : plus(v, reach / 20)));
  return h("div", { class: "forest", role: "img", "aria-label": "Differences from the reference: " + label }, lines, h("span", {}), svg("svg", {}, ...axis));
}

function answer() {
  if (!data.comparison.length) return null; // a teacher's run has no task
  const metrics = [...new Set(data.comparison.map(r => r.metric))];
  const section = h("section", {}, h("h2", {}, arms.length > 1 ? "Arms against the reference" : "Final metrics"));
  for (const m of metrics) {
    const rows = data.comparison.filter(r => r.metric === m);
    section.append(comparisonTable(rows), ...[forest(rows)].filter(Boolean));
  }
  const all = data.all_arms.map(([arm, cell]) => armName(arm, cell));
  const drawn = arms.every((a, i) => a === all[i]) ? `the first ${arms.length}` // as where nothing has a score
    : `the first and the ${arms.length - 1} that are best${data.sweep && data.sweep.objective ? " by " + data.sweep.objective : ""}`;
  if (all.length > arms.length) section.append(h("p", {}, `${all.length} arms are too many to draw: below are ${drawn}; the tables above have all.`));
  section.append(h("p", { class: "quiet" }, data.note));
  return section;
}

/* --- learning curves ---------------------------------------------------------------------------- */

const hidden = new Set();
const plots = [];

function swatch(i) {
  const c = armColor(i);
  return h("span", { class: "swatch", style: "background:" + (dashed(i) ? `repeating-linear-gradient(90deg, ${c} 0 3px, transparent 3px 5px)` : c) });
}

function redraw() {
  for (const p of plots) if (p.drawn) {
    if (p.box.clientWidth) drawPlot(p);
    else p.drawn = false; // its group is closed: drawn anew when it is seen
  }
}

function paint() {
  palette().forEach((c, i) => root.style.setProperty("--arm" + i, c));
  redraw();
}

function drawPlot(p) {
  if (p.plot) p.plot.destroy();
  p.drawn = true;
  const ink = variable("--quiet"), grid = variable("--line");
  const tables = [], series = [{ label: "step" }], bands = [];
  for (const c of p.curves) {
    const i = arms.indexOf(armName(c[3], c[4]));
    if (hidden.has(i)) continue;
    const at = series.length, stroke = color(i);
    series.push({ label: arms[i], stroke, width: 2, dash: dashed(i) ? [6, 4] : undefined, spanGaps: true, points: { show: c[5].length < 3 } },
      { stroke: "transparent", spanGaps: true, points: { show: false } },
      { stroke: "transparent", spanGaps: true, points: { show: false } });
    bands.push({ series: [at + 2, at + 1], fill: stroke + "2e" });
    tables.push([c[5].map(q => q[0]), c[5].map(q => q[1]), c[5].map(q => q[2]), c[5].map(q => q[3])]);
  }
  const size = { width: Math.max(240, p.box.clientWidth), height: 210 };
  const axis = { stroke: ink, grid: { stroke: grid, width: 1 }, ticks: { stroke: grid, width: 1 }, font: "11px system-ui" };
  p.plot = new uPlot({
    ...size, legend: { show: false }, series, bands,
    scales: { x: { time: false } },
    axes: [{ ...axis, size: 30, values: (u, vs) => vs.map(v => v >= 1e4 ? v / 1e3 + "k" : String(v)) }, { ...axis, size: 58 }],
    cursor: { points: { size: 6 }, drag: { x: true, y: false } },
    hooks: { setCursor: [u => readout(p, u)] },
  }, tables.length ? uPlot.join(tables) : [[0]], p.box);
}

function readout(p, u) {
  const i = u.cursor.idx;
  if (i === null || i === undefined) { p.out.textContent = ""; return; }
  const parts = [];
  for (let s = 1; s < u.series.length; s += 3) if (u.data[s][i] !== null && u.data[s][i] !== undefined) parts.push(u.series[s].label + " " + brief(u.data[s][i]));
  p.out.textContent = "step " + Math.round(u.data[0][i]) + ": " + parts.join("  ");
}

const seen = "IntersectionObserver" in window ? new IntersectionObserver(entries => {
  for (const e of entries) if (e.isIntersecting) { const p = plots.find(q => q.box === e.target); if (p && !p.drawn) drawPlot(p); }
}, { rootMargin: "300px" }) : null;

function chart(metric, curves) {
  const box = h("div", { class: "plot", role: "img" }), out = h("div", { class: "readout" });
  const last = curves.map(c => armName(c[3], c[4]) + " " + brief(c[5][c[5].length - 1][1])).join(", ");
  box.setAttribute("aria-label", metric + " by step; last values: " + last);
  const p = { box, out, curves, plot: null, drawn: false };
  plots.push(p);
  if (seen) seen.observe(box); else setTimeout(() => drawPlot(p));
  const first = curves[0];
  return h("div", { class: "chart" }, h("h3", {}, metric, " ", h("span", { class: "quiet" }, [first[2], goalText(first[1])].filter(Boolean).join(", "))), box, out);
}

function group(metric) {
  const parts = metric.split("/");
  if (parts[0] === "val") return [0, "Validation metrics"];
  if (parts[0] === "router" || parts[0] === "router_entropy") return [5, parts[0] === "router" ? "Router weights by step" : "Router entropy by step"];
  if (parts[0] === "trivial") return [6, "Trivial predictors"];
  if (parts[1] === "loss" || parts[1] === "task") return [1, "Losses"];
  if (parts[1] === "kd") return [2, "Distillation terms"];
  return [4, "Optimisation and speed"];
}

function curves() {
  const section = h("section", {}, h("h2", {}, "Learning curves"));
  if (!data.curves || !data.curves.length) return null;
  section.append(h("p", { class: "quiet" }, "The x axis is the step. Lines: mean over seeds; bands: smallest to largest seed. Drag to zoom, double-click to reset; the buttons hide arms."),
    h("div", { class: "legend", role: "group", "aria-label": "Arms shown" }, arms.map((a, i) => h("button", { "aria-pressed": "true", on: { click: e => {
      if (hidden.has(i)) hidden.delete(i); else hidden.add(i);
      e.currentTarget.setAttribute("aria-pressed", String(!hidden.has(i)));
      redraw();
    } } }, swatch(i), a))));
  const groups = new Map();
  for (const c of data.curves) {
    const [rank, title] = group(c[0]), key = rank + title;
    if (!groups.has(key)) groups.set(key, { rank, title, metrics: new Map() });
    const g = groups.get(key).metrics;
    if (!g.has(c[0])) g.set(c[0], []);
    g.get(c[0]).push(c);
  }
  [...groups.values()].sort((a, b) => a.rank - b.rank || a.title.localeCompare(b.title)).forEach(g => {
    const inside = h("div", { class: "charts" });
    const box = h("details", { open: g.rank < 2 ? "" : null, on: { toggle: fill } }, h("summary", {}, `${g.title} (${g.metrics.size})`), inside);
    function fill() {
      if (!box.open || inside.childElementCount) return;
      for (const [metric, cs] of g.metrics) inside.append(chart(metric, cs));
    }
    fill();
    section.append(box);
  });
  return section;
}

/* --- router weights ------------------------------------------------------------------------------ */

function heat(rows, name) {
  const experts = [...new Set(rows.map(r => r[4]))], tasks = [...new Set(rows.map(r => r[2]))];
  const body = [];
  for (const task of tasks) {
    const levels = [...new Set(rows.filter(r => r[2] === task).map(r => r[3]))].sort((a, b) => a - b);
    for (const level of levels) body.push(h("tr", {}, h("th", { scope: "row" }, task + " " + level), experts.map(e => {
      const cell = rows.find(r => r[2] === task && r[3] === level && r[4] === e);
      if (!cell || cell[5] === null) return h("td", {}, "");
      const w = Math.max(0, Math.min(1, cell[5]));
      return h("td", { style: `background: rgba(var(--cell), ${(0.06 + 0.6 * w).toFixed(3)})` }, cell[5].toFixed(2));
    })));
  }
  return h("div", { class: "scroll" }, h("table", { class: "heat" }, h("caption", {}, name),
    h("thead", {}, h("tr", {}, h("th", { scope: "col" }, "task, level"), experts.map(e => h("th", { scope: "col" }, e)))), h("tbody", {}, body)));
}

function routing() {
  if (!data.routing || !data.routing.length) return null;
  return h("section", {}, h("h2", {}, "Router weights"),
    h("p", { class: "quiet" }, "How much of each expert the heads see, per task and level of the stem (mean over images and seeds, end of training)."),
    h("div", { class: "heats" }, arms.map(a => {
      const rows = data.routing.filter(r => armName(r[0], r[1]) === a);
      return rows.length ? heat(rows, a) : null;
    })));
}

/* --- pictures, settings, provenance --------------------------------------------------------------- */

function sheets() {
  if (!data.sheets || !data.sheets.length) return null;
  return h("section", {}, h("h2", {}, "Predictions"), data.sheets.map(([s, src, why]) => {
    const text = `${armName(s.arm, s.cell)}, seed ${s.seed}, run ${s.run}`;
    return h("figure", {}, src ? h("img", { src, alt: "Prediction sheet of " + text, loading: "lazy" }) : null,
      h("figcaption", {}, src ? text : `${text}: ${why}`));
  }));
}

function settings() {
  if (!data.diff.length && !notes.size) return null;
  const about = [...notes].map(([arm, note]) => h("li", {}, arms.includes(arm) ? swatch(arms.indexOf(arm)) : null, h("b", {}, arm), ": " + note));
  return h("section", {}, h("h2", {}, "What the arms are"), about.length ? h("ul", { class: "about" }, about) : null,
    data.diff.length ? h("div", { class: "scroll" }, h("table", {}, h("caption", {}, "Settings that differ"),
      h("thead", {}, h("tr", {}, h("th", { scope: "col" }, "setting"), arms.map(a => h("th", { scope: "col" }, a)))),
      h("tbody", {}, data.diff.map(([path, values]) => h("tr", {}, h("th", { scope: "row" }, path),
        values.map(v => h("td", {}, v === null ? "–" : String(v)))))))) : null);
}

function table(names, rows) {
  return h("div", { class: "scroll" }, h("table", {},
    h("thead", {}, h("tr", {}, names.map(n => h("th", { scope: "col" }, n)))),
    h("tbody", {}, rows.map(r => h("tr", {}, r.map(v => h("td", { class: String(v).length > 60 ? "wrap" : null }, v === null || v === undefined ? "" : String(v))))))));
}

function listed(title, names, { total, rows }) {
  if (!total) return null;
  return h("details", { open: "" }, h("summary", {}, `${title} (${rows.length < total ? `first ${rows.length} of ` : ""}${total})`), table(names, rows));
}

function provenance() {
  const section = h("section", {}, h("h2", {}, "Provenance"));
  const runs = data.runs || [];
  const shared = key => { const s = new Set(runs.map(r => r[key])); return s.size === 1 ? [...s][0] : null; };
  const facts = [["script", "script"], ["data", "data"], ["sak", "version"], ["commit", "commit"], ["machine", "host"], ["processor", "cpu"], ["instructions", "isa"], ["BLIS kernels", "blis"], ["threads", "threads"]];
  section.append(table(["", "all runs"], facts.map(([name, key]) => [name, shared(key) ?? [...new Set(runs.map(r => r[key]))].join(", ")]).filter(r => r[1])));
  section.append(h("details", {}, h("summary", {}, `Runs (${runs.length})`), table(
    ["run", "uid", "arm", "seed", "state", "started", "seconds", "attempts", "config"],
    runs.map(r => [r.run, r.uid, armName(r.arm, r.cell), r.seed, r.state, r.started, r.seconds, r.attempts, r.config]))));
  section.append(...[listed("Failed trials", ["trial", "arm", "seed", "error"], data.failures),
    listed("Warnings and errors of finished runs", ["run", "level", "kind", "step", "text"], data.events)].filter(Boolean));
  const files = data.scripts.flatMap(o => Object.entries(o || {})); // runs of one script have it each
  section.append(...[...new Map(files.map(f => [f.join("\n"), f])).values()].map(([path, text]) =>
    h("details", {}, h("summary", {}, "Script " + path), h("pre", {}, text))));
  return section;
}

/* --- the page --------------------------------------------------------------------------------------- */

function header() {
  const toggle = h("button", { on: { click: () => {
    root.dataset.theme = isDark() ? "light" : "dark";
    paint();
  } } }, "Light / dark");
  const s = data.sweep, runs = (data.runs || []).length;
  const state = [`${runs} finished run${runs === 1 ? "" : "s"}`];
  if (s && s.total) state.push(`of ${s.total}`);
  if (data.failures.total) state.push(`${data.failures.total} failed`);
  return h("header", {}, h("h1", {}, data.title), toggle,
    s && s.question ? h("p", { class: "question" }, s.question) : null,
    h("p", { class: "quiet" }, state.join(", ") + (s && s.script ? ` · ${s.script}` : "") + ` · sak ${data.version}`));
}

document.title = data.title + " · sak report";
document.getElementById("page").append(...[header(), answer(), curves(), routing(), sheets(), settings(), provenance()].filter(Boolean));
paint();
let timer = 0;
addEventListener("resize", () => { clearTimeout(timer); timer = setTimeout(redraw, 150); });
matchMedia("(prefers-color-scheme: dark)").addEventListener("change", paint);
})();
