// Points in space, drawn flat, seen along parallel rays: dragging, the arrow keys or four buttons turn them.
const [FIRST_TURN, FIRST_RISE, STEP, STEEPEST] = [0.8, 0.35, 0.2, 1.5];
const camera = { turn: FIRST_TURN, rise: FIRST_RISE };
const SIZE = 200; // half of the drawing's edge

// What a place shows is { points, lines, reach }: points { at, label, colour, symbol, title } at three coordinates or fewer, perhaps
// with a halo of that radius, lines between two of them, and the furthest that any point may ever be from the middle.
const scenes = new Map();

function space(id, scene) {
  const [turn, rise] = (address().values.turn ?? "").split(",").map(Number);
  if (Number.isFinite(turn) && Number.isFinite(rise)) setCamera(turn, rise);
  else setCamera(FIRST_TURN, FIRST_RISE);
  scenes.set(id, scene);
  paint(id);
  const place = byId(id);
  place.onkeydown = (event) => {
    const step = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowDown: [0, -1], ArrowUp: [0, 1] }[event.key];
    if (step) { event.preventDefault(); turnBy(id, STEP * step[0], STEP * step[1]); }
  };
  place.onpointerdown = (event) => { place.setPointerCapture(event.pointerId); };
  place.onpointermove = (event) => { if (place.hasPointerCapture(event.pointerId)) turnBy(id, -0.01 * event.movementX, 0.01 * event.movementY); };
  document.querySelector(`[data-turns="${id}"]`).replaceChildren(...TURNS.map(([arrow, way, sideways, upwards]) => element("button", {
    type: "button", "aria-label": `Turn ${way}`, title: `Turn ${way}`, id: `${id}-${way}`, onclick: () => turnBy(id, STEP * sideways, STEP * upwards),
  }, arrow)));
}

const TURNS = [["\u2190", "left", -1, 0], ["\u2192", "right", 1, 0], ["\u2191", "up", 0, 1], ["\u2193", "down", 0, -1]];

function setCamera(turn, rise) {
  camera.turn = turn % (2 * Math.PI);
  camera.rise = Math.max(-STEEPEST, Math.min(STEEPEST, rise));
}

function turnBy(id, sideways, upwards) {
  setCamera(camera.turn + sideways, camera.rise + upwards);
  const turn = `${camera.turn.toFixed(2)},${camera.rise.toFixed(2)}`;
  setCamera(...turn.split(",").map(Number)); // as a link brings it back
  keep({ turn });
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
  const marks = points.map((point) => ({ ...point, ...flat(point.at) })).sort((a, b) => (b.inFront ?? 0) - (a.inFront ?? 0) || b.near - a.near);
  const halos = marks.filter(({ halo }) => halo).map(({ x, y, halo, colour }) => svg("circle", { cx: x, cy: y, r: scale * halo, fill: colour, "fill-opacity": 0.15 }));
  const [discs, diamonds] = ["circle", "diamond"].map((kind) => marks.filter(({ symbol }) => symbol === kind));
  const named = togetherAt(discs);
  byId(id).replaceChildren(svg("svg", { viewBox: `${-SIZE} ${-SIZE} ${2 * SIZE} ${2 * SIZE}`, class: "space" },
    ...axes.map(line("axis")), ...lines.map(line("edge")), ...halos, ...diamonds.toReversed().map(diamondOf), ...named.toReversed().map(discsOf), ...togetherAt(diamonds).map((mark) => numberOf(mark, named))));
}

const TOUCHING = 12; // marks nearer than this, in units of the drawing, would hide each other's labels

// Those that touch the foremost of them share its label.
function togetherAt(marks, areTouching = (a, b) => Math.hypot(a.x - b.x, a.y - b.y) < TOUCHING) {
  const found = [];
  for (const mark of marks) {
    const home = found.find((other) => areTouching(other, mark));
    if (home) home.members.push(mark);
    else found.push({ ...mark, members: [mark] });
  }
  return found;
}

// `0, 2`; three numbers and more that follow each other as `4–9`.
function inWords(labels) {
  const runs = [];
  for (const label of labels.sort((a, b) => a.localeCompare(b, "en", { numeric: true }))) {
    if (runs.length && Number(label) === Number(runs.at(-1).at(-1)) + 1) runs.at(-1).push(label);
    else runs.push([label]);
  }
  return runs.map((run) => (run.length > 2 ? `${run[0]}–${run.at(-1)}` : run.join(", "))).join(", ");
}

const atPlace = ({ x, y }) => ({ transform: `translate(${x.toFixed(1)} ${y.toFixed(1)})` });
const sizeAt = (size, { near }) => size * (1 + 0.2 * near); // what is nearer is larger

// Discs with one label on them; a lozenge if it is long.
function discsOf(mark) {
  const label = inWords(mark.members.map((member) => member.label));
  const r = sizeAt(9.5, mark);
  const wide = r + 3.6 * (label.length - 1);
  const behind = mark.members.slice(1).map((member) => svg("circle", { cx: member.x - mark.x, cy: member.y - mark.y, r: sizeAt(9.5, member), fill: member.colour }));
  return svg("g", { ...atPlace(mark), class: "mark", "data-class": label }, svg("title", {}, mark.members.map(({ title }) => title).join("; ")), ...behind,
    svg("rect", { x: -wide, y: -r, width: 2 * wide, height: 2 * r, rx: r, fill: mark.colour, stroke: "#ffffff", "stroke-width": 1 }), svg("text", { y: 4, "text-anchor": "middle" }, label));
}

function diamondOf(mark) {
  const r = sizeAt(13, mark);
  return svg("path", { ...atPlace(mark), d: `M0 ${-r}L${r} 0L0 ${r}L${-r} 0Z`, fill: "none", stroke: mark.colour, "stroke-width": 2.5 }, svg("title", {}, mark.title));
}

// The numbers of a diamond's classes, but for those whose own disc it lies on: in it, or beside it, where most room is, if a disc is in the way.
function numberOf(mark, discs) {
  const room = (x, y) => Math.min(...discs.map((disc) => Math.hypot(disc.x - x, disc.y - y)));
  const isOn = ({ label }) => discs.some(({ x, y, members }) => Math.hypot(x - mark.x, y - mark.y) < TOUCHING && members.some((member) => member.label === label));
  const label = inWords(mark.members.filter((member) => !isOn(member)).map((member) => member.label));
  const around = Array.from({ length: 8 }, (_, i) => [mark.x + 19 * Math.cos((i * Math.PI) / 4), mark.y + 19 * Math.sin((i * Math.PI) / 4)]);
  const [x, y] = room(mark.x, mark.y) > 2 * TOUCHING ? [mark.x, mark.y] : around.reduce((best, at) => (room(...at) > room(...best) ? at : best));
  return svg("text", { x: x.toFixed(1), y: (y + 4).toFixed(1), "text-anchor": "middle", class: "number", fill: mark.colour, "data-row": label }, label);
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
const classColour = (k, classes) => (classes.includes(k) ? CLASS_COLOURS[classes.indexOf(k) % CLASS_COLOURS.length] : "#6a737d");
// Of the colours those on which a white letter can be read.
const CLASS_COLOURS = ["#0072b2", "#c24e00", "#00795a", "#a3487a", "#000000", "#8a6100", "#2f6d8f", "#57606a"];
