// Points in space, drawn flat, seen along parallel rays: dragging, the arrow keys or four buttons turn them.
const [FIRST_TURN, FIRST_RISE, STEP, STEEPEST] = [0.8, 0.35, 0.2, 1.5];
const camera = { turn: FIRST_TURN, rise: FIRST_RISE };
const SIZE = 200; // half of the drawing's edge

// What a place shows is { points, lines, reach }: points { at, label, colour, symbol, title } at three coordinates or fewer, perhaps
// with a halo of that radius, lines between two of them, and the furthest that any point may ever be from the middle.
const scenes = new Map();

function space(id, scene, values) {
  const [turn, rise] = (values.turn ?? "").split(",").map(Number);
  if (values.turn && Number.isFinite(turn) && Number.isFinite(rise)) setCamera(turn, rise);
  scenes.set(id, scene);
  paint(id);
  const place = byId(id);
  place.onkeydown = (event) => {
    const step = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowDown: [0, -1], ArrowUp: [0, 1] }[event.key];
    if (step) { event.preventDefault(); turnBy(id, STEP * step[0], STEP * step[1]); }
  };
  place.onpointerdown = (event) => { place.setPointerCapture(event.pointerId); };
  place.onpointermove = (event) => { if (place.hasPointerCapture(event.pointerId)) turnBy(id, -0.01 * event.movementX, 0.01 * event.movementY); };
  for (const button of document.querySelectorAll(`[data-turns="${id}"] button`)) {
    button.onclick = () => turnBy(id, ...button.dataset.turn.split(",").map((part) => STEP * Number(part)));
  }
}

function setCamera(turn, rise) {
  camera.turn = turn % (2 * Math.PI);
  camera.rise = Math.max(-STEEPEST, Math.min(STEEPEST, rise));
}

function turnBy(id, sideways, upwards) {
  setCamera(camera.turn + sideways, camera.rise + upwards);
  keep({ turn: `${camera.turn.toFixed(2)},${camera.rise.toFixed(2)}` });
  paint(id);
}

// To the right, up, towards the reader; coordinates that a plane or a line lacks are zero.
function seenFrom([x = 0, y = 0, z = 0]) {
  const along = Math.cos(camera.turn) * x + Math.sin(camera.turn) * y;
  return [
    Math.cos(camera.turn) * y - Math.sin(camera.turn) * x, Math.cos(camera.rise) * z - Math.sin(camera.rise) * along,
    Math.cos(camera.rise) * along + Math.sin(camera.rise) * z,
  ];
}

function paint(id) {
  const { points, lines, reach } = scenes.get(id);
  const scale = (0.88 * SIZE) / (reach || 1);
  const flat = (at) => { const [right, up, near] = seenFrom(at); return { x: scale * right, y: -scale * up, near: near / (reach || 1) }; };
  const axes = [[1, 0, 0], [0, 1, 0], [0, 0, 1]].map((end) => [end.map((value) => -value * reach), end.map((value) => value * reach)]);
  const line = (className) => ([a, b]) => {
    const [from, to] = [flat(a), flat(b)];
    return svg("path", { d: `M${from.x.toFixed(1)} ${from.y.toFixed(1)}L${to.x.toFixed(1)} ${to.y.toFixed(1)}`, class: className });
  };
  const marks = points.map((point) => ({ ...point, ...flat(point.at) })).sort((a, b) => (a.inFront ?? 0) - (b.inFront ?? 0) || a.near - b.near).map((point) => markOf(point, scale));
  byId(id).replaceChildren(svg("svg", { viewBox: `${-SIZE} ${-SIZE} ${2 * SIZE} ${2 * SIZE}`, class: "space" }, ...axes.map(line("axis")), ...lines.map(line("edge")), ...marks));
}

// A disc with its letter, or an empty diamond; what is nearer is larger.
function markOf({ x, y, near, label, colour, symbol, title, halo = 0 }, scale) {
  const r = (symbol === "diamond" ? 13 : 9.5) * (1 + 0.2 * near);
  const wide = r + 4 * Math.max(0, label.length - 1);
  const shape = symbol === "diamond" ? svg("path", { d: `M0 ${-r}L${r} 0L0 ${r}L${-r} 0Z`, fill: "none", stroke: colour, "stroke-width": 2.5 })
    : svg("rect", { x: -wide, y: -r, width: 2 * wide, height: 2 * r, rx: r, fill: colour, stroke: "#ffffff", "stroke-width": 1 });
  const cloud = halo ? [svg("circle", { r: scale * halo, fill: colour, "fill-opacity": 0.15 })] : [];
  const text = label ? [svg("text", { y: 4, "text-anchor": "middle" }, label)] : [];
  return svg("g", { transform: `translate(${x.toFixed(1)} ${y.toFixed(1)})`, class: "mark", "data-class": label }, svg("title", {}, title), ...cloud, shape, ...text);
}

const dot = (a, b) => a.reduce((sum, value, i) => sum + value * b[i], 0);
const lengthOf = (a) => Math.sqrt(dot(a, a));

// Gram-Schmidt on rows: at most three orthonormal directions.
function directions(rows) {
  const found = [];
  const longest = Math.max(...rows.map(lengthOf));
  for (const row of rows) {
    let rest = row;
    for (const e of [...found, ...found]) { const part = dot(rest, e); rest = rest.map((value, i) => value - part * e[i]); }
    if (found.length < 3 && lengthOf(rest) > 1e-6 * longest) found.push(rest.map((value) => value / lengthOf(rest)));
  }
  return found;
}

const placedIn = (basis) => (row) => [0, 1, 2].map((i) => (basis[i] ? dot(row, basis[i]) : 0));
const pairsOf = (items) => items.flatMap((a, i) => items.slice(i + 1).map((b) => [a, b]));
const classColour = (k, classes) => (classes.includes(k) ? CLASS_COLOURS[classes.indexOf(k) % CLASS_COLOURS.length] : "#8c959f");
// Of the colours those on which a white letter can be read.
const CLASS_COLOURS = ["#0072b2", "#c24e00", "#00795a", "#a3487a", "#000000", "#8a6100", "#2f6d8f", "#57606a"];
