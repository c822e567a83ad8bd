// What a check shows when it is opened: its past as a ribbon and a chart, why it is as it is, its last transitions.
"use strict";

const RANGES = [["1h", "1 hour"], ["24h", "24 hours"], ["7d", "7 days"], ["90d", "90 days"]];
const PAST_EVERY = 60000;    // ms between two questions for the past

const details = new Set();
let parts = 0;

function toggleDetail(node, open) {
  const { name, chips } = node.parts;
  if (node.parts.detail !== null) {
    if (open) return;
    details.delete(node.parts.detail);
    node.parts.detail.node.remove();
    node.parts.detail = null;
    name.setAttribute("aria-expanded", "false");
    name.removeAttribute("aria-controls");
    return;
  }
  const detail = buildDetail(node.check.id);
  node.append(detail.node);
  node.parts.detail = detail;
  chips.hidden = true;
  name.setAttribute("aria-expanded", "true");
  name.setAttribute("aria-controls", detail.node.id);
  details.add(detail);
  loadNow(detail);
  loadPast(detail);
}

// Keeps what is open up to date; `past` also asks for charts anew.
function refreshDetails(past) {
  if (document.hidden) return;
  for (const detail of details) {
    if (!detail.node.isConnected) { details.delete(detail); continue; }
    loadNow(detail);
    if (past || Date.now() - detail.pastAt > PAST_EVERY) loadPast(detail);
  }
}

function buildDetail(id) {
  const node = make("div", "detail");
  parts += 1;
  node.id = `detail-${parts}`;
  const detail = { id, node, range: "24h", measurement: null, check: null, pastAt: 0, turn: 0, findings: [] };
  const bar = make("div", "bar", node);
  const ranges = make("div", "ranges", bar);
  ranges.setAttribute("role", "group");
  ranges.setAttribute("aria-label", "How far back");
  for (const [range, words] of RANGES) {
    const button = make("button", "", ranges);
    button.type = "button";
    button.textContent = words;
    button.setAttribute("aria-pressed", String(range === detail.range));
    button.addEventListener("click", () => {
      detail.range = range;
      for (const other of ranges.children) other.setAttribute("aria-pressed", String(other === button));
      loadPast(detail);
    });
  }
  detail.choice = make("select", "", bar);
  detail.choice.setAttribute("aria-label", "Measurement");
  detail.choice.hidden = true;
  detail.choice.addEventListener("change", () => { detail.measurement = detail.choice.value; loadPast(detail); });
  detail.ribbon = shape("svg", { class: "ribbon", role: "img" }, node);
  detail.told = make("p", "told", node);
  detail.chart = shape("svg", { class: "chart", role: "img", tabindex: "0" }, node);
  detail.readout = make("p", "told", node);
  detail.readout.setAttribute("aria-live", "polite");
  detail.why = make("div", "because", node);
  detail.past = make("div", "because", node);
  follows(detail);
  new ResizeObserver(() => draw(detail)).observe(detail.chart);
  return detail;
}

// --- asking ---

async function loadNow(detail) {
  try {
    detail.check = await ask(`api/v1/checks/${encodeURIComponent(detail.id)}`);
    showChoice(detail);
    showWhy(detail);
  } catch {
    // The page's own question says that the agent does not answer.
  }
}

async function loadPast(detail) {
  detail.pastAt = Date.now();
  detail.turn += 1;
  const turn = detail.turn;
  const base = `api/v1/checks/${encodeURIComponent(detail.id)}`;
  const asked = detail.measurement ? `&measurement=${encodeURIComponent(detail.measurement)}` : "";
  try {
    const [ribbon, chart, past, novel] = await Promise.all([
      ask(`${base}/ribbon?span=${detail.range}`),
      ask(`${base}/chart?span=${detail.range}${asked}`).catch(() => null),
      ask(`${base}/transitions?limit=8`),
      ask(`${base}/findings`).catch(() => null),
    ]);
    if (turn !== detail.turn) return;
    detail.data = { ribbon, chart };
    showRibbon(detail);
    draw(detail);
    showTransitions(detail, past.transitions);
    detail.findings = novel ? novel.findings : [];
    if (detail.check) showWhy(detail);
  } catch {
    if (turn === detail.turn && !detail.data) text(detail.told, "The history cannot be read now.");
  }
}

// --- the past ---

const inWords = (range) => RANGES.find(([name]) => name === range)[1];

function moment(unix, span) {
  const date = new Date(unix * 1000);
  const hours = { hour: "2-digit", minute: "2-digit", hour12: false };
  if (span <= 86400 * 1.5) return date.toLocaleTimeString([], hours);
  const day = date.toLocaleDateString([], { month: "short", day: "numeric" });
  return span <= 86400 * 8 ? `${day} ${date.toLocaleTimeString([], hours)}` : day;
}

function showRibbon(detail) {
  const { ribbon } = detail.data;
  drawRibbon(detail.ribbon, ribbon, (from, to, state, why) => {
    const span = `${clock(from * 1000)} to ${clock(to * 1000)} (${ago(to - from)})`;
    return `${WORDS[state] || state}: ${span}${why ? `: ${why}` : ""}`;
  });
  const seen = Object.entries(ribbon.seconds).filter(([state]) => state !== "unknown");
  const total = seen.reduce((sum, [, seconds]) => sum + seconds, 0);
  const parts = ["up", "degraded", "down", "unknown"].filter((state) => ribbon.seconds[state] > 0).map((state) => (
    state === "up" ? `up ${share(ribbon.seconds.up, total)}` : `${state} ${ago(ribbon.seconds[state])}`
  ));
  const words = parts.length ? `Last ${inWords(detail.range)}: ${parts.join(", ")}` : `Nothing is known yet of the last ${inWords(detail.range)}`;
  detail.ribbon.setAttribute("aria-label", words);
  text(detail.told, words);
}

// 99.996 % must not read as 100 %.
function share(part, whole) {
  if (!(whole > 0)) return "";
  if (part === whole) return "100 %";
  const percent = Math.floor((part / whole) * 100000) / 1000;
  return `${percent} %`;
}

function draw(detail) {
  const chart = detail.data ? detail.data.chart : null;
  detail.chart.style.display = chart ? "" : "none";
  const width = Math.round(detail.chart.getBoundingClientRect().width);
  if (!chart || !width) return;
  const thresholds = detail.check ? detail.check.thresholds : [];
  const limits = thresholds.filter((item) => item.measurement === chart.measurement && item.unit === chart.unit);
  detail.drawn = drawChart(detail.chart, {
    chart,
    limits,
    spans: detail.data.ribbon.spans,
    say: (value) => quantity(value, chart.unit),
    when: moment,
  }, width);
  summarise(detail);
}

function summarise(detail) {
  const { points } = detail.drawn;
  const { chart } = detail.data;
  const name = chart.measurement.replaceAll("_", " ");
  if (points.length === 0) {
    text(detail.readout, `No ${name} was measured in the last ${inWords(detail.range)}.`);
  } else {
    const last = points[points.length - 1];
    const highest = Math.max(...points.map((point) => point[5]));
    text(detail.readout, `${sentence(name)}: line p50, band to p95. Now ${quantity(last[3], chart.unit)}, highest ${quantity(highest, chart.unit)}.`);
  }
  detail.chart.setAttribute("aria-label", `${detail.readout.textContent} Arrow keys read it point by point.`);
}

// Reading a point: by pointer, or by the arrow keys.
function follows(detail) {
  let at = null;
  const point = (place) => {
    const { points, x, mark } = detail.drawn;
    at = Math.max(0, Math.min(points.length - 1, place));
    const [when, count, , p50, p95, most] = points[at];
    const { unit } = detail.data.chart;
    mark.setAttribute("x1", x(when));
    mark.setAttribute("x2", x(when));
    mark.setAttribute("visibility", "visible");
    text(detail.readout, `${clock(when * 1000)}: p50 ${quantity(p50, unit)}, p95 ${quantity(p95, unit)}, highest ${quantity(most, unit)}, ${plural(count, "look")}`);
  };
  const leave = () => {
    at = null;
    if (!detail.drawn) return;
    detail.drawn.mark.setAttribute("visibility", "hidden");
    summarise(detail);
  };
  const ready = () => detail.drawn && detail.drawn.points.length > 0;
  detail.chart.addEventListener("pointermove", (event) => {
    if (!ready()) return;
    const wanted = event.clientX - detail.chart.getBoundingClientRect().left;
    const away = detail.drawn.points.map((item) => Math.abs(detail.drawn.x(item[0]) - wanted));
    point(away.indexOf(Math.min(...away)));
  });
  detail.chart.addEventListener("pointerleave", leave);
  detail.chart.addEventListener("blur", leave);
  detail.chart.addEventListener("keydown", (event) => {
    const move = { ArrowLeft: -1, ArrowRight: 1 }[event.key];
    if (!move || !ready()) return;
    event.preventDefault();
    point(at === null ? detail.drawn.points.length - 1 : at + move);
  });
}

// --- why ---

function showChoice(detail) {
  const { choice, check } = detail;
  if (check.measured.length < 2 || choice.options.length === check.measured.length) return;
  choice.replaceChildren(...check.measured.map(({ name }) => {
    const option = make("option");
    option.value = name;
    option.textContent = name.replaceAll("_", " ");
    option.selected = name === (detail.measurement || "response_time");
    return option;
  }));
  choice.hidden = false;
}

function row(parent, name, value) {
  make("dt", "", parent).textContent = name;
  make("dd", "", parent).textContent = value;
}

function showWhy(detail) {
  const { check } = detail;
  const box = make("dl", "facts-list");
  const marks = [...(check.confirming ? ["being confirmed"] : []), ...check.flags.map((flag) => FLAGS[flag] || flag)];
  row(box, "State", [`${WORDS[check.state]} since ${clock(check.since)}, for ${ago(age(check.since))}`, ...marks].join("; "));
  if (check.why) row(box, "Why", sentence(check.why));
  if (check.suppressed_by) row(box, "Explained by", `${nameOf(check.suppressed_by)}, which it depends on: no event tells of it`);
  if (check.down_after) row(box, "Called down", check.down_after.why);
  if (check.usual) row(box, check.usual.measurement.replaceAll("_", " "), check.usual.why);
  for (const item of detail.findings) row(box, "Not as ever", `${item.why}; since ${clock(item.since)}`);
  if (check.reason) row(box, "Reason", check.reason.replaceAll("_", " "));
  if (check.advice && check.reason !== "threshold" && !check.suppressed_by) row(box, "What to do", sentence(check.advice));
  if (check.runbook) linked(box, "Runbook", check.runbook);
  if (check.owner) row(box, "Owner", check.owner);
  row(box, "Looks", `every ${seconds(check.every)}, by ${check.probe}`);
  if (check.last) {
    const phases = Object.entries(check.last.phases).filter(([, took]) => took !== null);
    row(box, "Last look", `${clock(check.last.at)}, ${check.last.ok ? "ok" : (check.last.reason || "failed").replaceAll("_", " ")}`);
    if (phases.length) row(box, "Phases", phases.map(([name, took]) => `${name.replaceAll("_", " ")} ${seconds(took)}`).join(", "));
    const figures = Object.entries(check.last.measurements).filter(([, item]) => item.value !== null);
    if (figures.length) row(box, "Measured", figures.map(([name, item]) => `${name.replaceAll("_", " ")} ${quantity(item.value, item.unit)}`).join(", "));
  }
  for (const [name, value] of Object.entries(check.evidence)) row(box, name.replaceAll("_", " "), value);
  detail.why.replaceChildren(...(check.thresholds.length ? [heading("Thresholds"), thresholdTable(check)] : []), heading("Why"), box);
  if (detail.data && !detail.drawn) draw(detail);
}

// Only what is certain to be a page becomes a link.
function linked(parent, name, url) {
  make("dt", "", parent).textContent = name;
  const value = make("dd", "", parent);
  if (!/^https?:\/\//.test(url)) { value.textContent = url; return; }
  const link = make("a", "", value);
  link.href = url;
  link.rel = "noreferrer";
  link.textContent = url;
}

function heading(words) {
  const node = make("h4");
  node.textContent = words;
  return node;
}

function thresholdTable(check) {
  const table = make("table", "thresholds");
  const head = make("tr", "", make("thead", "", table));
  for (const words of ["Condition", "Makes it", "Now", "Holds"]) {
    const cell = make("th", "", head);
    cell.scope = "col";
    cell.textContent = words;
  }
  const body = make("tbody", "", table);
  for (const item of check.thresholds) {
    const line = make("tr", "", body);
    if (item.active) line.dataset.state = item.level;
    const now = item.value === null ? "not known" : quantity(item.value, item.unit);
    for (const words of [item.condition, item.level, now, item.active ? "holds" : "no"]) make("td", "", line).textContent = words;
  }
  return table;
}

function showTransitions(detail, transitions) {
  const box = make("ol", "events");
  for (const item of transitions) {
    const line = make("li", "", box);
    const at = make("time", "", line);
    at.dateTime = item.was ? item.at : item.since;
    at.textContent = clock(at.dateTime);
    const change = `${item.old} → ${item.new}${item.why ? `: ${item.why}` : ""}`;
    make("span", "", line).textContent = item.was ? `renamed; it was ${item.was}` : change;
  }
  detail.past.replaceChildren(...(transitions.length ? [heading("Last transitions"), box] : []));
}
