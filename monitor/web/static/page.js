// The live page: asks the agent how everything stands and shows it. Text goes in by textContent only: much of it was
// written by the targets, and some targets are hostile. What a check shows when it is opened is in detail.js.
"use strict";

const EVERY = 2000;          // ms between two questions
const EVERY_LIVE = 5000;     // the same while the agent tells of events by itself
const EVENTS_EVERY = 60000;
const SOON = 250;            // ms: a storm of events is one question
const COME_BACK = 30000;     // ms until a stream that was refused is asked for again
const GIVE_UP = 8000;        // ms that one answer may take
const HISTORY = 60;          // response times kept of each check, for its sparkline
const SHOWN_OPEN = 60;       // with more checks than this, services that are well start folded
const SERVICES_NAMED = 3;    // of an incident
const CHECKS_LISTED = 32;    // by the agent, of an incident

const recent = new Map();    // check id -> {at, values}
const names = new Map();     // check id -> what people call it
let answeredAt = null;       // by our clock, ms
let skew = 0;                // the agent's clock minus ours, ms
let live = false;            // whether the agent tells of events by itself

// --- what is shown ---

const nameOf = (id) => names.get(id) || id;

function pill(parent) {
  const node = make("span", "pill", parent);
  drawing("", "0 0 12 12", node);
  make("span", "", node);
  return node;
}

function showPill(node, state) {
  attribute(node, "data-state", state);
  attribute(node.querySelector("path"), "d", SHAPES[KIND[state] || state] || SHAPES.unknown);
  text(node.lastChild, WORDS[state] || state);
}

// What is to be known besides the state, and why nobody is told.
function showFlags(parent, flags) {
  list(parent, flags, (flag) => flag, () => make("span", "flag"), (node, flag) => text(node, FLAGS[flag] || flag));
}

// Who hears of trouble now, and of which nobody does.
function showDuty({ oncall, silences, actions_stopped_by: stopped }) {
  const parts = oncall.map(({ rota, who, until }) => {
    const name = rota === "oncall" ? "On call" : `On call (${rota})`;
    return `${name}: ${who.join(", ")}${until ? ` until ${clock(until)}` : ""}`;
  });
  parts.push(...silences.map(({ when, until, why }) => `Silenced: ${when} until ${clock(until)}${why ? ` (${why})` : ""}`));
  if (stopped !== null) parts.push(`Actions are stopped by ${stopped || "somebody"}`);
  $("duty").hidden = parts.length === 0;
  text($("duty"), parts.join(" · "));
}

function showOverall(status) {
  const { summary, counts, agent } = status;
  attribute($("overall"), "data-state", summary.state);
  text($("sentence"), summary.sentence);
  const parts = ["down", "degraded", "unknown", "up"].filter((state) => counts.checks[state]);
  const total = Object.values(counts.checks).reduce((sum, count) => sum + count, 0);
  text($("counts"), `${plural(total, "check")}: ${parts.map((state) => `${counts.checks[state]} ${state}`).join(", ")}`);
  showDuty(status.duty);
  text($("agent"), `${agent.vantage} · ${agent.version} · running ${ago(age(agent.started))}`);
  attribute($("icon"), "href", `static/icon-${KIND[summary.state] || "unknown"}.svg`);
  document.title = summary.state === "operational" ? "All well · Brownout" : `${summary.sentence} · Brownout`;
  $("impaired").hidden = agent.impaired.length === 0;
  list($("impaired"), agent.impaired, (trouble) => trouble, () => make("li"), (node, trouble) => text(node, sentence(trouble)));
}

function showIncidents(incidents, titles) {
  $("incidents-section").hidden = incidents.length === 0;
  list($("incidents"), incidents, (incident) => incident.id, () => {
    const node = make("li");
    make("strong", "", node);
    make("span", "soft", node);
    make("span", "soft", node);
    return node;
  }, (node, incident) => {
    attribute(node, "data-state", incident.impact);
    const affected = incident.services.slice(0, SERVICES_NAMED).map((id) => titles.get(id) || id).join(", ");
    const others = incident.services.length - SERVICES_NAMED;
    text(node.firstChild, `${affected}${others > 0 ? ` and ${others} more` : ""}: ${WORDS[incident.impact].toLowerCase()}`);
    const many = incident.checks.length > 1;
    const cause = `${many ? "Probably " : ""}${nameOf(incident.root)}: ${incident.why}`;
    const more = incident.checks.length >= CHECKS_LISTED ? " or more" : "";
    const touched = many ? ` · ${incident.checks.length}${more} checks` : "";
    const { deploy } = incident;
    const behind = deploy ? `, ${ago(deploy.seconds)} after deploy ${deploy.version}` : "";
    text(node.children[1], `${cause} · trouble since ${clock(incident.since)}${behind}, for ${ago(age(incident.since))}${touched}`);
    text(node.lastChild, handled(incident));
  });
}

function handled(incident) {
  const { acknowledged, notes, next: [soonest] } = incident;
  const until = acknowledged && acknowledged.until ? ` until ${clock(acknowledged.until)}` : "";
  const called = soonest ? `: ${soonest.to.join(", ")} ${soonest.kind === "reminder" ? "again " : ""}at ${clock(soonest.at)}` : "";
  const who = acknowledged ? `${acknowledged.by} has it${until}` : `Nobody has it${called}`;
  const note = notes[notes.length - 1];
  return note ? `${who} · ${note.by}: ${note.text}` : who;
}

function showServices(status) {
  const checks = new Map();
  for (const check of status.checks) {
    if (!checks.has(check.service)) checks.set(check.service, []);
    checks.get(check.service).push(check);
  }
  const few = status.checks.length <= SHOWN_OPEN;
  const shown = status.services.filter((service) => checks.has(service.id));
  list($("services"), shown, (service) => service.id, (service) => buildService(service, few), (node, service) => {
    const { title, state, flags, since, list: rows } = node.parts;
    text(title, service.title);
    showPill(state, service.state);
    showFlags(flags, service.flags);
    const told = [];
    if (service.doubt && service.state !== "operational") told.push(service.doubt);
    if (service.since) told.push(`for ${ago(age(service.since))}`);
    text(since, told.join(" · "));
    attribute(since, "title", service.since ? `since ${service.since}` : null);
    list(rows, checks.get(service.id), (check) => check.id, buildCheck, showCheck);
  });
  const left = Object.values(status.counts.checks).reduce((sum, count) => sum + count, 0) - status.checks.length;
  $("truncated").hidden = left <= 0;
  text($("truncated"), `${plural(left, "more check")} not shown: those that are well come last.`);
}

function buildService(service, few) {
  const node = make("details", "service");
  node.open = few || service.state !== "operational";
  const summary = make("summary", "", node);
  const state = pill(summary);
  const title = make("h3", "", summary);
  const flags = make("span", "flags", summary);
  const since = make("span", "since", summary);
  node.parts = { state, title, flags, since, list: make("ul", "checks", node) };
  return node;
}

function buildCheck() {
  const node = make("li", "check");
  const state = pill(node);
  const what = make("div", "what", node);
  const name = make("button", "name", what);
  name.type = "button";
  name.setAttribute("aria-expanded", "false");
  const flags = make("span", "flags", what);
  const target = make("span", "target", what);
  const spark = drawing("spark", "0 0 100 24", node);
  spark.setAttribute("preserveAspectRatio", "none");
  const time = make("span", "time", node);
  const why = make("div", "why", node);
  const facts = make("div", "facts", node);
  const chips = make("ul", "chips", node);
  chips.setAttribute("aria-label", "Thresholds");
  node.parts = { state, name, flags, target, spark, time, why, facts, chips, detail: null };
  const toggle = () => toggleDetail(node);
  name.addEventListener("click", toggle);
  for (const part of [state, spark, time]) part.addEventListener("click", toggle);
  return node;
}

function showCheck(node, check) {
  node.check = check;
  const { state, name, flags, target, spark, time, why, facts, chips } = node.parts;
  attribute(node, "data-state", check.state);
  showPill(state, check.state);
  text(name, check.name);
  showFlags(flags, check.flags);
  text(target, check.target);
  // How long a failure took says nothing about how fast the target is.
  const response = check.last && check.last.ok ? check.last.measurements.response_time : null;
  text(time, response && response.value !== null ? seconds(response.value) : "");
  attribute(spark.firstChild, "d", line(remember(check, response)));
  why.hidden = check.state === "up" || !check.why;
  text(why, sentence(check.why));
  const told = tellFacts(check);
  facts.hidden = !told;
  text(facts, told);
  const active = check.thresholds.filter((item) => item.active);
  chips.hidden = active.length === 0 || node.parts.detail !== null;
  list(chips, active, (item) => `${item.level} ${item.condition}`, () => make("li"), (chip, item) => {
    attribute(chip, "data-state", item.active ? item.level : null);
    const now = item.value === null ? "" : ` · now ${quantity(item.value, item.unit)}`;
    text(chip, `${item.active ? `${WORDS[item.level]}: ` : ""}${item.condition}${now}`);
    attribute(chip, "title", `${item.level} when it holds`);
  });
  if (decodeURIComponent(location.hash.slice(1)) === check.id && !node.shownByAddress) {
    node.shownByAddress = true;
    toggleDetail(node, true);
  }
}

function tellFacts(check) {
  const parts = [];
  if (check.maintenance) {
    const { until, why, by } = check.maintenance;
    parts.push(`maintenance until ${clock(until)}${why ? `: ${why}` : ""}${by ? ` (${by})` : ""}`);
  }
  if (check.flags.includes("flapping")) parts.push("changes are gathered until it holds still");
  if (check.state !== "up") parts.push(`since ${clock(check.since)}, for ${ago(age(check.since))}`);
  if (check.suppressed_by) parts.push(`${nameOf(check.suppressed_by)} explains it, so nobody is told of it`);
  if (check.confirming) parts.push("looking more often");
  if (check.last && age(check.last.at) > 3 * check.every + 10) parts.push(`last look ${ago(age(check.last.at))} ago`);
  // Where another check explains it, that one's advice counts.
  if (check.state !== "up" && check.advice && check.reason !== "threshold" && !check.suppressed_by) parts.push(check.advice);
  return parts.join(" · ");
}

function remember(check, response) {
  const known = recent.get(check.id) || { at: null, values: [] };
  if (check.last && check.last.at !== known.at) {
    known.at = check.last.at;
    if (response && response.value !== null) known.values.push(response.value);
    if (known.values.length > HISTORY) known.values.shift();
    recent.set(check.id, known);
  }
  return known.values;
}

function line(values) {
  if (values.length < 2) return "";
  const top = Math.max(...values) * 1.25 || 1;
  const step = 100 / (values.length - 1);
  return values.map((value, place) => `${place ? "L" : "M"}${(place * step).toFixed(1)} ${(23 - (value / top) * 22).toFixed(1)}`).join("");
}

function showEvents(events) {
  $("events-section").hidden = events.length === 0;
  list($("events"), events, (event) => event.id, () => {
    const node = make("li");
    make("time", "", node);
    make("span", "", node);
    return node;
  }, (node, event) => {
    attribute(node.firstChild, "datetime", event.at);
    text(node.firstChild, clock(event.at));
    text(node.lastChild, event.sentence);
  });
}

// --- asking ---

const token = () => sessionStorage.getItem("token");

async function ask(path) {
  const headers = token() ? { Authorization: `Bearer ${token()}` } : {};
  const answer = await fetch(path, { cache: "no-store", headers, signal: AbortSignal.timeout(GIVE_UP) });
  $("token").hidden = answer.status !== 401 && answer.status !== 403;
  if (!answer.ok) throw new Error(`the agent answers ${answer.status}`);
  return answer.json();
}

function showStatus(status) {
  answeredAt = Date.now();
  skew = Date.parse(status.agent.now) - answeredAt;
  showOverall(status);
  names.clear();
  for (const check of status.checks) names.set(check.id, check.name);
  showIncidents(status.incidents, new Map(status.services.map((service) => [service.id, service.title])));
  showServices(status);
}

const time = (moment) => new Date(moment).toLocaleTimeString([], { hour12: false });

function showReach(error) {
  const lost = $("lost");
  document.body.classList.toggle("stale", error !== null && answeredAt !== null);
  lost.hidden = error === null || !$("token").hidden;
  if (error === null) {
    text($("updated"), `${live ? "Live" : `Asked every ${EVERY / 1000} s`}, last heard ${time(answeredAt)}`);
    return;
  }
  const then = answeredAt === null ? "" : ` Last heard ${time(answeredAt)}: what you see is from then.`;
  text(lost, `The agent does not answer.${then}`);
  document.title = "Agent does not answer · Brownout";
  attribute($("icon"), "href", "static/icon-unknown.svg");
}

// Asks again and again; `hurry` is called to have it done at once.
function follow(path, every, show, fail) {
  let timer = null;
  let asking = false;
  let again = false;
  const turn = async () => {
    clearTimeout(timer);
    if (asking) { again = true; return; }
    asking = true;
    // A page that nobody sees asks nothing.
    if (!document.hidden) {
      try {
        show(await ask(path));
        fail(null);
      } catch (error) {
        fail(error);
      }
    }
    asking = false;
    timer = setTimeout(turn, again ? SOON : every());
    again = false;
  };
  const hurry = () => { clearTimeout(timer); timer = setTimeout(turn, SOON); };
  turn();
  return hurry;
}

const hurryStatus = follow("api/v1/status", () => (live ? EVERY_LIVE : EVERY), showStatus, showReach);
const hurryEvents = follow("api/v1/events?limit=20", () => (live ? EVENTS_EVERY : EVENTS_EVERY / 6), (answer) => showEvents(answer.events), () => {});

// --- being told ---

const TOLD = [
  "check.changed", "service.changed", "incident.opened", "incident.updated", "incident.resolved", "agent.impaired",
  "agent.recovered", "deploy.marked", "digest", "gap",
];
let stream = null;

function listen() {
  if (stream !== null || document.hidden || token() || !window.EventSource) return;
  stream = new EventSource("api/v1/events");
  stream.onopen = () => { live = true; hurryStatus(); hurryEvents(); };
  stream.onerror = () => {
    live = false;
    if (stream.readyState === EventSource.CLOSED) deafen();
  };
  for (const name of TOLD) stream.addEventListener(name, () => { hurryStatus(); hurryEvents(); refreshDetails(true); });
}

function deafen() {
  if (stream !== null) stream.close();
  stream = null;
  live = false;
}

document.addEventListener("visibilitychange", () => {
  if (document.hidden) deafen();
  else { listen(); hurryStatus(); hurryEvents(); refreshDetails(true); }
});
setInterval(listen, COME_BACK);
setInterval(() => refreshDetails(false), EVERY_LIVE);
listen();

$("token").addEventListener("submit", (event) => {
  event.preventDefault();
  sessionStorage.setItem("token", $("token-text").value.trim());
  $("token-text").value = "";
  deafen();
  hurryStatus();
  hurryEvents();
});
