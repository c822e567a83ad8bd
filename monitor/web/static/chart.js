// Drawings of the past, as SVG: a ribbon of states, and a chart of one measurement. They know no agent, only figures.
"use strict";

const SVG = "http://www.w3.org/2000/svg";
const HEIGHT = 190;
const EDGE = { left: 62, right: 12, top: 12, bottom: 24 };

function shape(tag, attributes, parent) {
  const node = document.createElementNS(SVG, tag);
  for (const [name, value] of Object.entries(attributes)) node.setAttribute(name, value);
  if (parent) parent.append(node);
  return node;
}

function label(x, y, words, anchor, parent) {
  const node = shape("text", { x, y, "text-anchor": anchor }, parent);
  node.textContent = words;
  return node;
}

// --- the ribbon ---

// `spans`: [from, to, state, why] in Unix seconds. Trouble is drawn last and never thinner than can be seen.
function drawRibbon(svg, ribbon, words) {
  const from = Date.parse(ribbon.from) / 1000;
  const width = Date.parse(ribbon.to) / 1000 - from;
  svg.setAttribute("viewBox", "0 0 1000 22");
  svg.setAttribute("preserveAspectRatio", "none");
  svg.replaceChildren();
  shape("rect", { x: 0, y: 0, width: 1000, height: 22, class: "nobody" }, svg);
  const rank = { operational: 0, up: 0, unknown: 1, degraded: 2, degradation: 2, down: 3, outage: 3 };
  const known = ribbon.spans.filter((span) => span[2] !== null);
  known.sort((one, other) => (rank[one[2]] ?? 1) - (rank[other[2]] ?? 1));
  for (const [begin, end, state, why] of known) {
    const long = Math.max(((end - begin) / width) * 1000, rank[state] ? 3 : 0.5);
    const at = Math.min(Math.max(((begin - from) / width) * 1000, 0), 1000 - long);
    const node = shape("rect", { x: at.toFixed(2), y: 0, width: long.toFixed(2), height: 22, "data-state": state }, svg);
    shape("title", {}, node).textContent = words(begin, end, state, why);
  }
}

// --- the chart ---

function steps(top, wanted) {
  const rough = top / wanted;
  const power = 10 ** Math.floor(Math.log10(rough));
  const step = [1, 2, 2.5, 5, 10].map((times) => times * power).find((size) => size >= rough);
  return Array.from({ length: Math.floor(top / step) + 1 }, (_, place) => place * step);
}

// Breaks where nothing was measured: a line through a gap would be made up.
function runs(points, step) {
  const found = [];
  points.forEach((point, place) => {
    const fresh = place === 0 || point[0] - points[place - 1][0] > 2.5 * (step || 60);
    if (fresh) found.push([]);
    found[found.length - 1].push(point);
  });
  return found;
}

const path = (places) => places.map(([x, y], place) => `${place ? "L" : "M"}${x.toFixed(1)} ${y.toFixed(1)}`).join("");

// `chart`: as the API tells it; `limits`: [{limit, level, condition}]; `spans`: as for the ribbon; `say`: a value in words.
function drawChart(svg, { chart, limits, spans, say, when }, width) {
  const from = Date.parse(chart.from) / 1000;
  const to = Date.parse(chart.to) / 1000;
  const points = chart.points.filter((point) => point[3] !== null && point[4] !== null);
  const seen = Math.max(...points.map((point) => point[4]), 0);
  const near = limits.map((item) => item.limit).filter((limit) => limit > 0 && limit < seen * 4);
  const top = Math.max(seen, ...near) * 1.12 || 1;
  const inner = { width: width - EDGE.left - EDGE.right, height: HEIGHT - EDGE.top - EDGE.bottom };
  const x = (at) => EDGE.left + Math.min(Math.max((at - from) / (to - from), 0), 1) * inner.width;
  const y = (value) => EDGE.top + inner.height * (1 - Math.max(value, 0) / top);
  svg.replaceChildren();
  svg.setAttribute("viewBox", `0 0 ${width} ${HEIGHT}`);
  svg.setAttribute("height", HEIGHT);
  for (const [begin, end, state] of spans) {
    if (state === null || state === "up") continue;
    const left = Math.max(x(begin), EDGE.left);
    const right = Math.min(x(end), width - EDGE.right);
    shape("rect", { x: left.toFixed(1), y: EDGE.top, width: Math.max(right - left, 1).toFixed(1), height: inner.height, class: "shade", "data-state": state }, svg);
  }
  for (const value of steps(top, 4)) {
    shape("line", { x1: EDGE.left, x2: width - EDGE.right, y1: y(value), y2: y(value), class: "grid" }, svg);
    label(EDGE.left - 8, y(value) + 4, say(value), "end", svg);
  }
  const ticks = Math.max(2, Math.min(6, Math.floor(inner.width / 120)));
  for (let place = 0; place <= ticks; place += 1) {
    const at = from + ((to - from) * place) / ticks;
    label(x(at), HEIGHT - 6, when(at, to - from), place === 0 ? "start" : place === ticks ? "end" : "middle", svg);
  }
  for (const run of runs(points, chart.step)) {
    const ends = run.length === 1 ? [run[0], [run[0][0] + (chart.step || 10), ...run[0].slice(1)]] : run;
    const upper = ends.map((point) => [x(point[0]), y(point[4])]);
    const lower = ends.map((point) => [x(point[0]), y(point[3])]);
    shape("path", { d: `${path(upper)}L${path(lower.slice().reverse()).slice(1)}Z`, class: "band" }, svg);
    shape("path", { d: path(lower), class: "median" }, svg);
  }
  for (const item of limits) {
    if (!(item.limit > 0 && item.limit <= top)) continue;
    shape("line", { x1: EDGE.left, x2: width - EDGE.right, y1: y(item.limit), y2: y(item.limit), class: "limit", "data-state": item.level }, svg);
    const name = label(width - EDGE.right - 4, y(item.limit) - 4, `${item.level} ${say(item.limit)}`, "end", svg);
    name.setAttribute("class", "limit-name");
    name.setAttribute("data-state", item.level);
  }
  const mark = shape("line", { y1: EDGE.top, y2: HEIGHT - EDGE.bottom, class: "mark", visibility: "hidden" }, svg);
  return { points, x, mark };
}
