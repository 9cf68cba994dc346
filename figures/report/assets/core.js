"use strict";
// The address is the state: `#view?key=value&...`. Whatever a reader chooses goes there, and `render` draws from there.

const DATA = JSON.parse(document.getElementById("data").textContent);
const VIEWS = {};
const FIRST_VIEW = "start";
const LAYOUT = {
  margin: { l: 55, r: 15, t: 30, b: 20 },
  font: { family: "system-ui, sans-serif", size: 12 },
  colorway: DATA.colours,
  legend: { orientation: "h", x: 0, y: 0, yref: "container", yanchor: "bottom", itemclick: false, itemdoubleclick: false },
  hovermode: "closest",
  // On a touch screen a finger scrolls the page; it must not be caught by the first diagram.
  dragmode: matchMedia("(pointer: coarse)").matches ? false : "zoom",
};

const byId = (id) => document.getElementById(id);

// What the address is about to be: browsers refuse more than a few changes a second, and a slider asks for more.
let [unwritten, writing] = [null, 0];
const BETWEEN_WRITES = 400; // milliseconds

function address() {
  const [view, query] = (unwritten ?? location.hash).slice(1).split("?");
  const known = view in VIEWS ? view : FIRST_VIEW;
  return { view: known, values: Object.fromEntries(new URLSearchParams(view === known ? query : "")) };
}

// The focus stays where it was, though a table or a row of boxes is made anew.
function go(changes, isContinuous = false) {
  const { id } = document.activeElement;
  keep(changes, isContinuous);
  render();
  if (id && document.activeElement.id !== id) byId(id)?.focus({ preventScroll: true });
}

// Writes into the address what is shown already.
function keep(changes, isContinuous = true) {
  const { view, values } = address();
  const chosen = Object.entries({ ...values, ...changes }).filter(([, value]) => value !== "" && value !== null);
  const query = new URLSearchParams(chosen).toString();
  const hash = `#${view}${query ? "?" + query : ""}`;
  if (!isContinuous) { write(); history.pushState(null, "", hash); return; }
  unwritten = hash;
  if (!writing) { write(); writing = setTimeout(() => { writing = 0; write(); }, BETWEEN_WRITES); }
}

function write() {
  if (unwritten !== null) history.replaceState(null, "", unwritten);
  unwritten = null;
}

function render() {
  const { view, values } = address();
  for (const section of document.querySelectorAll("main > section")) section.hidden = section.id !== view;
  for (const link of document.querySelectorAll("nav a")) {
    if (link.hash === `#${view}`) link.setAttribute("aria-current", "page");
    else link.removeAttribute("aria-current");
  }
  const entries = DATA.views[view];
  if (entries && !entries.length && view !== FIRST_VIEW) byId(view).replaceChildren(element("p", {}, "No record to show; see Records."));
  else VIEWS[view](values, entries);
}

// An element with properties and children; text is text, never markup.
function element(tag, properties = {}, ...children) {
  const made = document.createElement(tag);
  for (const [key, value] of Object.entries(properties)) {
    if (key.includes("-")) made.setAttribute(key, value);
    else made[key] = value;
  }
  made.append(...children.filter((child) => child !== null && child !== undefined));
  return made;
}

function table(head, rows, properties = {}) {
  const isNumber = head.map((_, column) => rows.some((row) => typeof (row.cells ?? row)[column] === "number"));
  const body = rows.map((row) => element("tr", row.properties ?? {}, ...(row.cells ?? row).map((content, i) => cell(content, isNumber[i], head[i]))));
  const first = element("tr", {}, ...head.map((text, i) => element("th", { scope: "col", className: isNumber[i] ? "number" : "" }, text)));
  return element("table", properties, element("thead", {}, first), element("tbody", {}, ...body));
}

function cell(content, isNumber, head) {
  const text = typeof content === "number" || content === null ? shown(content) : content;
  return element("td", { className: isNumber || content === null ? "number" : "", "data-head": head }, text);
}

function shown(value) {
  if (value === null || value === undefined) return "–";
  if (typeof value !== "number" || Number.isInteger(value)) return String(value);
  const size = Math.abs(value);
  return size >= 1e-3 && size < 1e5 ? String(Number(value.toPrecision(5))) : value.toExponential(2);
}

// Labels of a plot may hold markup for plotly; these characters then stand for themselves.
const plain = (text) => String(text).replaceAll("&", "&amp;").replaceAll("<", "&lt;").replaceAll(">", "&gt;");

function options(id, texts, chosen, key) {
  const list = byId(id);
  list.replaceChildren(...texts.map((text, i) => element("option", { value: String(i) }, text)));
  list.value = String(chosen);
  list.onchange = () => go({ [key]: list.value });
}

// A number from the address; anything that is not one of 0 ... count - 1 is `otherwise`.
function index(text, count, otherwise = 0) {
  const number = Number(text ?? NaN);
  return Number.isInteger(number) && number >= 0 && number < count ? number : otherwise;
}

// The records of a view by name, so that a link survives when records are added.
function entryOf(id, entries, values, key = "record", name = (entry) => entry.record) {
  const found = entries.findIndex((entry) => name(entry) === values[key]);
  const chosen = Math.max(found, 0);
  const list = byId(id);
  list.replaceChildren(...entries.map((entry) => element("option", { value: name(entry) }, entry.title)));
  list.value = name(entries[chosen]);
  list.onchange = () => go(Object.fromEntries([...Object.keys(values).map((old) => [old, ""]), [key, list.value]]));
  return entries[chosen];
}

// Plotly lies in the page compressed. The first view that draws with it has it unpacked, and is drawn again then.
let unpacking = null;
function unpackPlotly() {
  if (unpacking) return;
  document.body.setAttribute("aria-busy", "true");
  unpacking = unpacked(byId("plotly").textContent).then((source) => {
    document.head.append(element("script", { textContent: source }));
    render();
  }).catch((error) => {
    byId("no-plots").hidden = false;
    byId("no-plots").textContent = `Diagrams cannot be drawn here (${error.message}); a browser of 2023 or later can.`;
  }).finally(() => document.body.removeAttribute("aria-busy"));
}

async function unpacked(text) {
  const bytes = Uint8Array.from(atob(text), (letter) => letter.charCodeAt(0));
  return new Response(new Blob([bytes]).stream().pipeThrough(new DecompressionStream("gzip"))).text();
}

// A diagram fills its place, which also changes when one beside it goes.
const resizing = new ResizeObserver((entries) => {
  for (const { target } of entries) if (target.offsetWidth && target._fullLayout?.width !== target.offsetWidth) Plotly.Plots.resize(target);
});

function plot(id, traces, layout, onClick) {
  if (!window.Plotly) return unpackPlotly();
  const place = byId(id);
  const merged = { ...LAYOUT, ...layout };
  Plotly.react(place, traces, merged, { displayModeBar: false });
  resizing.observe(place);
  place.removeAllListeners?.("plotly_click");
  if (onClick) place.on("plotly_click", (event) => onClick(event.points[0]));
}

function badge(colour) {
  const made = element("span", { className: "badge", "aria-hidden": "true" });
  made.style.background = colour;
  return made;
}

// Words of a plot: Greek letters, and an index where one letter bears it.
const labelText = (text) => plain(text).replace(/\b(alpha|gamma)\b/g, (name) => GREEK[name]).replace(/\b([A-Za-z])_(\w+)/g, "$1<sub>$2</sub>");

const axis = (title) => ({ title: { text: labelText(title), standoff: 8 }, automargin: true, exponentformat: "power", zeroline: false });
const axisOf = (title, type, values) => (type === "log" ? logAxis(title, values) : axis(title));

// A logarithmic axis over decades has a tick at each, or at every second one; over about one, at 1, 2 and 5.
function logAxis(title, values) {
  const logs = values.filter((value) => value > 0).map(Math.log10);
  const span = Math.max(...logs) - Math.min(...logs);
  const whole = { tickformat: Math.max(...logs) < -3 ? ".0e" : "~g" }; // not the first digit alone
  const ticks = span > 1.2 ? { dtick: Math.ceil(span / 6) } : { ...(span > 0.4 ? { dtick: "D2" } : {}), ...whole };
  return { ...axis(title), type: "log", tickfont: { size: 10 }, ...ticks }; // powers are drawn larger
}

const heading = (text) => ({ text: labelText(text), font: { size: 13 } });

// The key of a plot in words, below it: entries have a name, a colour, and a dash where they are lines.
const keyOf = (entries) => entries.map(({ name, colour, dash, symbol }) => element("span", {}, sample(colour, dash, symbol), typeset(name), " "));

const SAMPLES = { solid: "", dash: "7 4", dot: "2 3", dashdot: "7 3 2 3", longdash: "12 4" };
function sample(colour, dash, symbol) {
  if (dash === undefined && symbol === undefined) return badge(colour);
  const line = symbol === "diamond" ? svg("path", { d: "M14 1l5 5-5 5-5-5z", fill: "none", stroke: colour, "stroke-width": 2 })
    : symbol ? svg("circle", { cx: 14, cy: 6, r: symbol === "circle" ? 5 : 3, fill: colour }) : svg("path", { d: "M0 6H28", stroke: colour, "stroke-width": 2, "stroke-dasharray": SAMPLES[dash] });
  return svg("svg", { viewBox: "0 0 28 12", width: 28, height: 12, "aria-hidden": "true", class: "sample" }, line);
}

const SVG = "http://www.w3.org/2000/svg";
function svg(tag, properties = {}, ...children) {
  const made = document.createElementNS(SVG, tag);
  for (const [key, value] of Object.entries(properties)) made.setAttribute(key, value);
  made.append(...children);
  return made;
}

const verticalLine = (x, dash = "dot") => ({
  type: "line", x0: x, x1: x, y0: 0, y1: 1, yref: "paper", line: { color: "#000000", width: 1, dash },
});

// A link shows its view from the top, and the keyboard goes on from there.
let isArriving = false;
document.addEventListener("click", (event) => { isArriving = Boolean(event.target.closest?.("a[href^='#']")); });
const titleShown = () => document.querySelector("main > section:not([hidden]) h2");
const arrive = () => {
  unwritten = null;
  render();
  if (!isArriving) return;
  isArriving = false;
  scrollTo(0, 0);
  if (!document.activeElement.closest("nav")) titleShown().focus();
};
window.addEventListener("hashchange", arrive);
window.addEventListener("pagehide", write);
window.addEventListener("DOMContentLoaded", () => {
  for (const place of document.querySelectorAll("[data-math]")) place.replaceChildren(typeset(place.textContent));
  for (const title of document.querySelectorAll("h2")) title.tabIndex = -1;
  byId("skip").onclick = () => titleShown().focus();
  const warning = byId("left-out");
  warning.hidden = !DATA.left_out.length;
  warning.append(`Left out: ${DATA.left_out.length} (`, element("a", { href: "#records" }, "which and why"), ").");
  render();
});
