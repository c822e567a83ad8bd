// What all parts of the live page use: words for states, small tools for the document, figures and times in words.
"use strict";

const WORDS = {
  up: "Up", degraded: "Degraded", down: "Down", unknown: "Unknown",
  operational: "Operational", degradation: "Degraded", outage: "Outage",
};
const FLAGS = { maintenance: "in maintenance", flapping: "flapping", suppressed: "suppressed" };
const KIND = { operational: "up", degradation: "degraded", outage: "down" };
// Each state has a shape of its own: colour alone tells nothing to one man in twelve.
const SHAPES = { up: "M2 7l3 3 5-7", degraded: "M6 1.5L11 10.5H1zM6 5v2", down: "M2 2l8 8M10 2l-8 8", unknown: "M4 4.2a2 2 0 1 1 2.6 2V7.4M6 10.2v.1" };

const $ = (id) => document.getElementById(id);

// --- small tools for the document ---

function text(node, value) {
  if (node.textContent !== value) node.textContent = value;
}

function attribute(node, name, value) {
  if (value === null) node.removeAttribute(name);
  else if (node.getAttribute(name) !== value) node.setAttribute(name, value);
}

function make(tag, className, parent) {
  const node = document.createElement(tag);
  if (className) node.className = className;
  if (parent) parent.append(node);
  return node;
}

function drawing(className, viewBox, parent) {
  const svg = document.createElementNS("http://www.w3.org/2000/svg", "svg");
  svg.setAttribute("viewBox", viewBox);
  svg.setAttribute("aria-hidden", "true");
  if (className) svg.setAttribute("class", className);
  svg.append(document.createElementNS("http://www.w3.org/2000/svg", "path"));
  parent.append(svg);
  return svg;
}

// Keeps one child per item, in the order of the items; nodes live on, so that focus and folding do too.
function list(parent, items, key, build, update) {
  const old = parent.shown || new Map();
  const next = new Map();
  let place = parent.firstChild;
  for (const item of items) {
    const id = key(item);
    if (next.has(id)) continue;
    const node = old.get(id) || build(item);
    next.set(id, node);
    update(node, item);
    if (node === place) place = place.nextSibling;
    else parent.insertBefore(node, place);
  }
  for (const [id, node] of old) if (!next.has(id)) node.remove();
  parent.shown = next;
}

// --- figures and times in words ---

function seconds(value) {
  if (value < 0) return "-" + seconds(-value);
  if (value > 0 && value < 0.001) return `${Math.round(value * 1e6)} µs`;
  if (value < 1) return `${Number((value * 1000).toPrecision(3))} ms`;
  if (value < 60) return `${Number(value.toPrecision(3))} s`;
  return ago(value);
}

function ago(value) {
  if (value < 60) return `${Math.floor(value)} s`;
  if (value < 3600) return `${Math.floor(value / 60)} min`;
  if (value < 86400) return `${Math.floor(value / 3600)} h ${Math.floor(value / 60) % 60} min`;
  return `${Math.floor(value / 86400)} d ${Math.floor(value / 3600) % 24} h`;
}

function quantity(value, unit) {
  if (value === null) return "";
  if (unit === "seconds") return seconds(value);
  if (unit === "ratio") return `${Number((value * 100).toPrecision(3))} %`;
  if (unit === "bytes" || unit === "bytes_per_second") return size(value) + (unit === "bytes" ? "" : "/s");
  return `${Number(value.toPrecision(6))}${unit === "per_second" ? "/s" : ""}`;
}

function size(value) {
  let unit = 0;
  for (; Math.abs(value) >= 1024 && unit < 4; unit += 1) value /= 1024;
  return `${Number(value.toPrecision(3))} ${["B", "KiB", "MiB", "GiB", "TiB"][unit]}`;
}

const agentNow = () => Date.now() + skew;
const age = (moment) => Math.max(0, (agentNow() - Date.parse(moment)) / 1000);

function clock(moment) {
  const date = new Date(moment);
  const time = date.toLocaleTimeString([], { hour: "2-digit", minute: "2-digit", second: "2-digit", hour12: false });
  const today = date.toDateString() === new Date(agentNow()).toDateString();
  return today ? time : `${date.toLocaleDateString([], { month: "short", day: "numeric" })} ${time}`;
}

// A capital first letter, unless the sentence begins with a measurement's name.
function sentence(words) {
  return /^[a-z]+[ ,]/.test(words) ? words[0].toUpperCase() + words.slice(1) : words;
}

const plural = (count, word) => `${count} ${word}${count === 1 ? "" : "s"}`;
