// The phase diagram: cell x + width * y. Colours say where its starts end, or what is proved there of all critical points;
// the curves are closed forms (theory.js), drawn on grids much finer than the cells.
const FINE = [141, 101]; // points along x and y at which the curves' thresholds are worked out
const PICTURE = [561, 401]; // points of the areas
const DASHES = { "-": "solid", "--": "dash", ":": "dot", "-.": "dashdot" };
const PROVED = [
  ["proved benign", "#9bd3f0"],
  ["proved not benign", "#e3a6c7"],
  ["open, beyond c_x, where a class at zero is a local minimum", "#e8c98f"],
  ["open", "#e4e4e4"],
];

VIEWS.phase = (values, scans) => {
  const scan = entryOf("phase-record", scans, values);
  const [width, height] = [scan.x.values.length, scan.y.values.length];
  const x = index(values.x, width, Math.floor(width / 2));
  const y = index(values.y, height, Math.floor(height / 2));
  const label = (axis) => axis.values.map((value) => shown(value));
  options("phase-x", label(scan.x), x, "x");
  options("phase-y", label(scan.y), y, "y");
  byId("phase-x-name").replaceChildren(typeset(scan.x.label));
  byId("phase-y-name").replaceChildren(typeset(scan.y.label));
  byId("phase-y").parentElement.hidden = height === 1;
  byId("phase-colour").value = values.colour === "proved" && isKnown(scan) ? "proved" : "";
  byId("phase-colour").onchange = () => go({ colour: byId("phase-colour").value });
  byId("phase-colour").parentElement.hidden = !isKnown(scan);
  const isProof = byId("phase-colour").value === "proved";
  byId("phase-note").textContent = (isProof
    ? "Benign: every critical point is a global minimum or a strict saddle. Dots: cells in which some start does not end as predicted."
    : "A cell has the colour of the state in which most of its starts end.") + (isKnown(scan) ? " Areas of what is proved and all curves are closed forms." : "");
  byId("phase-map").onkeydown = (event) => {
    const step = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowDown: [0, -1], ArrowUp: [0, 1] }[event.key];
    if (!step) return;
    event.preventDefault();
    const within = (place, count) => Math.min(Math.max(place, 0), count - 1);
    go({ x: within(x + step[0], width), y: within(y + step[1], height) }, true);
  };
  drawMap(scan, x, y, isProof);
  showCell(scan, x, y, values.numbers);
  const row = scan.x.values.map((_, i) => i + width * y);
  const column = scan.y.values.map((_, j) => x + width * j);
  const at = (axis, i) => `${axis.label} = ${shown(axis.values[i])}`;
  const crossings = (along, make) => (isKnown(scan) ? curvesAlong(scan, along, make) : []);
  drawShares("phase-along-x", scan, scan.x, row, x, height > 1 ? `at ${at(scan.y, y)}` : "shares of the starts",
    crossings(scan.x, (value) => problemAt(scan, value, scan.y.values[y])));
  byId("phase-along-y").hidden = height === 1;
  if (height > 1) {
    drawShares("phase-along-y", scan, scan.y, column, y, `at ${at(scan.x, x)}`,
      crossings(scan.y, (value) => problemAt(scan, scan.x.values[x], value)));
  }
};

// Whether the closed forms know the loss.
const isKnown = (scan) => scan.problem.loss in DEFAULTS;

// The problem at a place of the diagram, between the cells too.
function problemAt(scan, x, y) {
  const problem = { ...DEFAULTS[scan.problem.loss], ...scan.problem };
  for (const [axis, value] of [[scan.x, x], [scan.y, y]]) {
    if (axis.name === "decay") Object.assign(problem, { decay_W: value, decay_H: value });
    else if (axis.name) problem[{ classes: "K", dim: "d", per_class: "n" }[axis.name] ?? axis.name] = value;
  }
  return problem;
}

// Shares of the states of a cell, what did not converge last; null where the cell has no result.
function sharesOf(scan, cell) {
  const found = Object.keys(scan.states).filter((state) => state !== "lost").map((state) => scan.cells[state][cell]);
  if (found.some((share) => share === null)) return null;
  return [...found, Math.max(0, 1 - found.reduce((sum, share) => sum + share, 0))];
}

function drawMap(scan, x, y, isProof) {
  const { traces, key, images = [] } = isProof ? proofTraces(scan) : stateTraces(scan);
  if (isKnown(scan) && scan.y.values.length > 1) {
    const curves = curvesCrossing(scan);
    traces.push(...curves.map((name) => curveTrace(scan, name)));
    key.push(...curves.map((name) => ({ name: scan.curves[name][0], colour: "#000000", dash: DASHES[scan.curves[name][1]] })));
  }
  byId("phase-key").replaceChildren(...keyOf(key));
  traces.push({
    type: "scatter", mode: "markers", x: [scan.x.values[x]], y: [scan.y.values[y]], hoverinfo: "skip",
    marker: { symbol: "square-open", size: 12, color: "#000000", line: { width: 3 } },
  });
  const axisAlong = (along) => ({ ...axisOf(along.label, along.type, along.values), range: rangeOf(along), showgrid: false });
  const layout = {
    title: heading(scan.title), showlegend: false, margin: { ...LAYOUT.margin, b: 45 }, images,
    xaxis: axisAlong(scan.x), yaxis: { ...axisAlong(scan.y), visible: scan.y.values.length > 1 },
  };
  byId("phase-map").classList.toggle("strip", scan.y.values.length === 1);
  plot("phase-map", traces, layout, (point) => go({ x: nearest(scan.x, point.x), y: nearest(scan.y, point.y) }));
}

// The number of the value that is nearest on the axis's own scale.
function nearest({ values, type }, found) {
  const far = (value) => Math.abs(type === "log" ? Math.log(value / found) : value - found);
  return values.reduce((best, value, i) => (far(value) < far(values[best]) ? i : best), 0);
}

// From edge to edge, as plotly has it: powers of ten where the scale is logarithmic.
const rangeOf = (along) => edgesOf(along).map((end) => (along.type === "log" ? Math.log10(end) : end));

function stateTraces(scan) {
  const states = Object.values(scan.states);
  const z = cellsOf(scan, (cell) => mostOf(scan, cell));
  const key = states.map((name, i) => ({ name, colour: scan.shades[i] })).filter((_, i) => z.flat().includes(i));
  return { traces: [cellTrace(scan, z, (cell) => cellText(scan, cell))], key };
}

// Something of every cell, row by row.
const cellsOf = (scan, of) => scan.y.values.map((_, j) => scan.x.values.map((_, i) => of(i + scan.x.values.length * j)));

// The state in which most starts of a cell end.
function mostOf(scan, cell) {
  const shares = sharesOf(scan, cell);
  return shares && shares.indexOf(Math.max(...shares));
}

const cellTrace = (scan, z, words) => ({
  type: "heatmap", x: scan.x.values, y: scan.y.values, z, zmin: -0.5, zmax: scan.shades.length - 0.5, showscale: false,
  colorscale: scan.shades.flatMap((shade, i) => [[i / scan.shades.length, shade], [(i + 1) / scan.shades.length, shade]]),
  text: cellsOf(scan, words), hovertemplate: "%{text}<extra></extra>",
});

// Areas as an image; the cells above it are unseen, and say what they are.
function proofTraces(scan) {
  const z = provedOf(scan);
  const used = new Set(z.flat());
  const key = PROVED.map(([name, colour]) => ({ name, colour })).filter((_, i) => used.has(i));
  const words = (cell) => {
    const [x, y] = [scan.x.values[cell % scan.x.values.length], scan.y.values[Math.floor(cell / scan.x.values.length)]];
    return `${labelText(PROVED[provedHere(problemAt(scan, x, y))][0])}; starts: ${cellText(scan, cell)}`;
  };
  const cells = { ...cellTrace(scan, cellsOf(scan, () => 0), words), opacity: 0 };
  const width = scan.x.values.length;
  const missed = scan.cells.c.map((_, cell) => cell).filter((cell) => scan.cells[scan.cells.predicted_state[cell]]?.[cell] < 1 - 1e-9);
  const dots = {
    type: "scatter", mode: "markers", hoverinfo: "skip", marker: { size: 4, color: "#000000" },
    x: missed.map((cell) => scan.x.values[cell % width]), y: missed.map((cell) => scan.y.values[Math.floor(cell / width)]),
  };
  if (missed.length) key.push({ name: "some start ends elsewhere than predicted", colour: "#000000", symbol: "dot" });
  const [[left, right], [bottom, top]] = [rangeOf(scan.x), rangeOf(scan.y)];
  const image = {
    source: painted(z, PROVED.map(([, colour]) => colour)).toDataURL(), layer: "below", sizing: "stretch",
    xref: "x", yref: "y", x: left, y: top, sizex: right - left, sizey: top - bottom, xanchor: "left", yanchor: "top",
  };
  return { traces: [cells, dots], key, images: [image] };
}

// Rows of numbers, the first at the bottom, as dots of these colours.
function painted(z, colours) {
  const made = element("canvas", { width: z[0].length, height: z.length });
  const brush = made.getContext("2d");
  z.forEach((row, j) => row.forEach((value, i) => {
    if (value === null) return;
    brush.fillStyle = colours[value];
    brush.fillRect(i, z.length - 1 - j, 1, 1);
  }));
  return made;
}

// Where a scan's first and last cells end, halfway on their own scale to a next one.
function edgesOf(along) {
  if (along.values.length === 1) return [along.values[0] - 0.5, along.values[0] + 0.5];
  const [to, back] = along.type === "log" ? [Math.log, Math.exp] : [(t) => t, (t) => t];
  const t = along.values.map(to);
  const [before, after] = [(t[1] - t[0]) / 2, (t.at(-1) - t.at(-2)) / 2];
  const first = back(t[0] - before);
  return [first <= 0 && along.values[0] >= 0 ? along.values[0] / 2 : first, back(t.at(-1) + after)];
}

function finely(along, count) {
  if (along.values.length === 1) return along.values;
  const [to, back] = along.type === "log" ? [Math.log, Math.exp] : [(t) => t, (t) => t];
  const [first, last] = edgesOf(along).map(to);
  return Array.from({ length: count }, (_, i) => back(first + ((last - first) * i) / (count - 1)));
}

// log(c / threshold), 0 on the curve; null where there is none.
function ratioTo(problem, known, name) {
  const ratio = known[name] > 0 ? Math.log(strength(problem) / known[name]) : NaN;
  return Number.isFinite(ratio) ? ratio : null;
}

// The curves that differ: where zero takes over continuously three of them are one.
function distinct(scan, ratios) {
  const same = (name) => name !== "best" && ratios[name].every((value, i) => value === null || Math.abs(value - ratios.best[i]) < 1e-9);
  return Object.keys(scan.curves).filter((name) => !same(name));
}

// The thresholds over the whole diagram; worked out once a scan.
function fineOf(scan) {
  if (scan.fine) return scan.fine;
  const [x, y] = [finely(scan.x, FINE[0]), finely(scan.y, FINE[1])];
  const fine = { x, y, ratios: Object.fromEntries(Object.keys(scan.curves).map((name) => [name, []])) };
  for (const at of y) {
    const problems = x.map((value) => problemAt(scan, value, at));
    for (const name of Object.keys(scan.curves)) fine.ratios[name].push(problems.map((problem) => ratioTo(problem, remembered(problem), name)));
  }
  return (scan.fine = fine);
}

// Which of PROVED each dot of the picture has; worked out once a scan.
function provedOf(scan) {
  const x = finely(scan.x, PICTURE[0]);
  return (scan.proved ??= finely(scan.y, PICTURE[1]).map((at) => filled(x.length, (i) => provedHere(problemAt(scan, x[i], at)))));
}

function provedHere(problem) {
  const known = remembered(problem);
  const { status } = landscapeOf(problem, known);
  if (status !== "open") return status === "proved benign" ? 0 : 1;
  return known.onset && strength(problem) > known.onset ? 2 : 3;
}

const STRIDE = 4; // dots
// A row of few pieces: looked at here and there, and closely where two neighbours differ; what is narrower may be missed.
function filled(count, of) {
  const row = Array(count);
  const between = (from, to) => {
    if (row[from] === row[to]) { row.fill(row[from], from, to); return; }
    if (to - from < 2) return;
    const middle = (from + to) >> 1;
    row[middle] = of(middle);
    between(from, middle);
    between(middle, to);
  };
  row[0] = of(0);
  for (let i = 0; i < count - 1; i += STRIDE) {
    const next = Math.min(i + STRIDE, count - 1);
    row[next] = of(next);
    between(i, next);
  }
  return row;
}

// Thresholds hang on the loss, K and the kind of bias alone.
const [memory, MOST_REMEMBERED] = [new Map(), 5000];
function remembered(problem) {
  const { loss, alpha, gamma, rescale, convention, K, decay_b } = problem;
  const key = [loss, alpha, gamma, rescale, convention, K, decay_b === null ? "none" : decay_b > 0].join();
  if (memory.size > MOST_REMEMBERED) memory.clear();
  if (!memory.has(key)) memory.set(key, thresholds(problem));
  return memory.get(key);
}

// The curves that run through the diagram.
function curvesCrossing(scan) {
  const flat = Object.fromEntries(Object.entries(fineOf(scan).ratios).map(([name, rows]) => [name, rows.flat()]));
  return distinct(scan, flat).filter((name) => flat[name].some((value) => value < 0) && flat[name].some((value) => value > 0));
}

function curveTrace(scan, name) {
  const { x, y, ratios } = fineOf(scan);
  return {
    type: "contour", x, y, z: ratios[name], showscale: false, hoverinfo: "skip", contours: { start: 0, end: 0, size: 1, coloring: "none" },
    line: { color: "#000000", width: 1.5, dash: DASHES[scan.curves[name][1]], smoothing: 0 },
  };
}

// Where the curves are crossed along one axis: [place, dash].
function curvesAlong(scan, along, make) {
  const places = finely(along, 401);
  const ratio = (name) => (value) => { const problem = make(value); return ratioTo(problem, remembered(problem), name); };
  const ratios = Object.fromEntries(Object.keys(scan.curves).map((name) => [name, places.map(ratio(name))]));
  return distinct(scan, ratios).flatMap((name) => places.slice(1).flatMap((place, i) => {
    const [before, after] = ratios[name].slice(i, i + 2);
    if (before === null || after === null || before < 0 === after < 0) return [];
    return [[rootIn(ratio(name), places[i], place), DASHES[scan.curves[name][1]]]];
  }));
}

function cellText(scan, cell) {
  const shares = sharesOf(scan, cell);
  if (!shares) return "no result";
  const states = Object.values(scan.states);
  return shares.map((share, i) => [share, i]).filter(([share]) => share > 1e-9)
    .map(([share, i]) => `${Math.round(1000 * share) / 10}% ${states[i]}`).join(", ");
}

function showCell(scan, x, y, numbers) {
  const cell = x + scan.x.values.length * y;
  const names = Object.keys(scan.cells).filter((name) => !scan.hidden.includes(name));
  const value = (name) => { const found = scan.cells[name][cell]; return typeof found === "boolean" ? (found ? "yes" : "no") : scan.states[found] ?? found; };
  const row = (name) => [typeset(scan.words[name]), value(name)];
  const place = [[scan.x, x], [scan.y, y]].filter(([axis]) => axis.name);
  const isOpen = numbers ? numbers === "shown" : matchMedia("(min-width: 60rem)").matches;
  const summary = element("summary", { id: "phase-numbers", onclick: () => keep({ numbers: summary.parentElement.open ? "hidden" : "shown" }) }, "All numbers of this cell");
  const parts = [
    element("h3", {}, typeset(place.map(([axis, i]) => `${axis.label}: ${shown(axis.values[i])}`).join("; "))),
    element("p", {}, `${scan.starts} starts: ${cellText(scan, cell)}`),
    isKnown(scan) ? provedAt(problemAt(scan, scan.x.values[x], scan.y.values[y])) : null,
    element("details", { open: isOpen }, summary, table(["", "value"], names.map(row))),
  ];
  byId("phase-detail").replaceChildren(...parts.filter(Boolean));
}

// What is proved at a place, the claims it rests on, and the explorer there.
function provedAt(problem) {
  return element("div", {}, landscapeWords(problem), element("p", {}, element("a", { href: explorerLink(problem) }, "Explore this setting")));
}

function drawShares(id, scan, along, cells, chosen, title, crossed) {
  const states = Object.values(scan.states);
  const shares = cells.map((cell) => sharesOf(scan, cell));
  const traces = states.map((name, i) => ({
    type: "scatter", mode: "lines+markers", name, x: along.values, y: shares.map((share) => share && share[i]),
    line: { color: scan.shades[i] }, marker: { size: 4 },
  })).filter((trace) => trace.y.some((share) => share > 1e-9));
  const here = { ...verticalLine(along.values[chosen], "solid"), line: { color: "#999999", width: 5 }, opacity: 0.4 };
  const layout = {
    title: heading(title), xaxis: axisOf(along.label, along.type, along.values),
    yaxis: { ...axis("share of starts"), range: [-0.03, 1.03] }, showlegend: true, shapes: [here, ...crossed.map(([place, dash]) => verticalLine(place, dash))],
  };
  plot(id, traces, layout, (point) => go(along === scan.x ? { x: point.pointNumber } : { y: point.pointNumber }));
}
