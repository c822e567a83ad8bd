// The public page: services and their states. Text goes in by textContent only.
"use strict";

const EVERY = 10000;         // ms between two questions
const GIVE_UP = 8000;        // ms that one answer may take
const WORDS = { operational: "Operational", degradation: "Degraded", outage: "Outage", unknown: "Unknown" };
const ICONS = { operational: "up", degradation: "degraded", outage: "down", unknown: "unknown" };

const $ = (id) => document.getElementById(id);
let answeredAt = null;
const shown = new WeakMap();

function text(node, value) {
  if (node.textContent !== value) node.textContent = value;
}

function row() {
  const node = document.createElement("li");
  const line = document.createElement("div");
  line.className = "line";
  line.append(document.createElement("strong"), document.createElement("span"));
  line.lastChild.className = "pill";
  const told = document.createElement("span");
  told.className = "soft";
  node.append(line, told);
  shape("svg", { class: "ribbon", role: "img" }, node);
  return node;
}

function show(answer) {
  $("overall").dataset.state = answer.state;
  text($("sentence"), answer.sentence);
  document.title = `${answer.sentence} · Status`;
  $("icon").href = `static/icon-${ICONS[answer.state] || "unknown"}.svg`;
  $("legend").hidden = !answer.services.some((service) => service.past !== null);
  const list = $("services");
  while (list.children.length > answer.services.length) list.lastChild.remove();
  while (list.children.length < answer.services.length) list.append(row());
  answer.services.forEach((service, place) => {
    const node = list.children[place];
    node.dataset.state = service.state;
    text(node.firstChild.firstChild, service.title);
    const maintained = service.maintenance !== null && service.state !== "outage" && service.state !== "degradation";
    text(node.firstChild.lastChild, maintained ? "Maintenance" : WORDS[service.state] || service.state);
    const told = node.children[1];
    told.hidden = service.state === "operational" && !maintained;
    text(told, service.sentence);
    showPast(node.lastChild, service.past);
  });
}

// A ribbon of the last days: how long it was in which state, and no more.
function showPast(svg, past) {
  svg.style.display = past === null ? "none" : "";
  const key = past === null ? "" : JSON.stringify(past);
  if (past === null || shown.get(svg) === key) return;
  shown.set(svg, key);
  drawRibbon(svg, past, (from, to, state) => `${WORDS[state] || state}: ${day(from)} to ${day(to)}`);
  const bad = past.spans.filter((span) => span[2] === "outage" || span[2] === "degradation").length;
  const days = Math.round((Date.parse(past.to) - Date.parse(past.from)) / 86400000);
  const words = past.spans.length ? `${bad || "no"} trouble${bad > 1 ? "s" : ""}` : "nothing is known yet";
  svg.setAttribute("aria-label", `Last ${days} days: ${words}`);
}

function day(seconds) {
  const date = new Date(seconds * 1000);
  return date.toLocaleString([], { month: "short", day: "numeric", hour: "2-digit", minute: "2-digit", hour12: false });
}

function reach(failed) {
  if (!failed) answeredAt = new Date();
  const then = answeredAt ? answeredAt.toLocaleTimeString([], { hour12: false }) : null;
  document.body.classList.toggle("stale", failed && then !== null);
  $("lost").hidden = !failed;
  text($("lost"), then ? `No answer; last heard ${then}. What you see is from then.` : "No answer yet.");
  if (!failed) text($("updated"), `Last heard ${then}`);
}

async function follow() {
  for (;;) {
    if (!document.hidden) {
      try {
        const answer = await fetch("api/v1/public", { cache: "no-store", signal: AbortSignal.timeout(GIVE_UP) });
        if (!answer.ok) throw new Error(`${answer.status}`);
        show(await answer.json());
        reach(false);
      } catch {
        reach(true);
      }
    }
    await new Promise((done) => { setTimeout(done, EVERY); });
  }
}

follow();
