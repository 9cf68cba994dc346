// The phase diagram: cell x + width * y. Colours say where its starts end, or what is proved there of all critical points;
// the curves are closed forms (theory.js), drawn on a grid much finer than the cells.
const FINE = [141, 101]; // points of that grid along x and y
const DASHES = { "-": "solid", "--": "dash", ":": "dot", "-.": "dashdot" };
const PROVED = [
  ["proved benign", "#9bd3f0"],
  ["proved not benign", "#e3a6c7"],
  ["open, beyond c_x", "#e8c98f"],
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
  byId("phase-note").textContent = isProof
    ? "Benign: every critical point is a global minimum or a strict saddle. Dots: cells in which some start does not end as predicted."
    : "A cell has the colour of the state in which most of its starts end.";
  byId("phase-map").onkeydown = (event) => {
    const step = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowDown: [0, -1], ArrowUp: [0, 1] }[event.key];
    if (!step) return;
    event.preventDefault();
    const within = (place, count) => Math.min(Math.max(place, 0), count - 1);
    go({ x: within(x + step[0], width), y: within(y + step[1], height) }, true);
  };
  drawMap(scan, x, y, isProof);
  showCell(scan, x, y);
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
  const { traces, key } = isProof ? proofTraces(scan) : stateTraces(scan);
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
  const range = (along) => { const ends = edgesOf(along); return along.type === "log" ? ends.map(Math.log10) : ends; };
  const layout = {
    title: heading(scan.title), showlegend: false, margin: { ...LAYOUT.margin, b: 45 }, xaxis: { ...axis(scan.x.label, scan.x.type), range: range(scan.x) },
    yaxis: { ...axis(scan.y.label, scan.y.type), range: range(scan.y), showticklabels: scan.y.values.length > 1 },
  };
  plot("phase-map", traces, layout, (point) => {
    const nearest = (found, values) => values.reduce((best, value, i) => (Math.abs(value - found) < Math.abs(values[best] - found) ? i : best), 0);
    go({ x: nearest(point.x, scan.x.values), y: nearest(point.y, scan.y.values) });
  });
}

function stateTraces(scan) {
  const width = scan.x.values.length;
  const grid = (of) => scan.y.values.map((_, j) => scan.x.values.map((_, i) => of(i + width * j)));
  const states = Object.values(scan.states);
  const z = grid((cell) => { const shares = sharesOf(scan, cell); return shares && shares.indexOf(Math.max(...shares)); });
  const map = areas(scan.x.values, scan.y.values, z, scan.shades);
  const key = states.map((name, i) => ({ name, colour: scan.shades[i] })).filter((_, i) => z.flat().includes(i));
  return { traces: [{ ...map, text: grid((cell) => cellText(scan, cell)), hovertemplate: "%{text}<extra></extra>" }], key };
}

function proofTraces(scan) {
  const fine = fineOf(scan);
  const text = fine.proved.map((row) => row.map((i) => labelText(PROVED[i][0])));
  const map = { ...areas(fine.x, fine.y, fine.proved, PROVED.map(([, colour]) => colour)), text, hovertemplate: "%{text}<extra></extra>" };
  const used = new Set(fine.proved.flat());
  const key = PROVED.map(([name, colour]) => ({ name, colour })).filter((_, i) => used.has(i));
  const width = scan.x.values.length;
  const missed = scan.cells.c.map((_, cell) => cell).filter((cell) => scan.cells[scan.cells.predicted_state[cell]]?.[cell] < 1 - 1e-9);
  const dots = {
    type: "scatter", mode: "markers", hoverinfo: "skip", marker: { size: 4, color: "#000000" },
    x: missed.map((cell) => scan.x.values[cell % width]), y: missed.map((cell) => scan.y.values[Math.floor(cell / width)]),
  };
  if (missed.length) key.push({ name: "some start ends elsewhere than predicted", colour: "#000000", symbol: "dot" });
  return { traces: [map, dots], key };
}

// A heat map of classes 0, 1, ...
const areas = (x, y, z, colours) => ({
  type: "heatmap", x, y, z, zmin: -0.5, zmax: colours.length - 0.5, showscale: false,
  colorscale: colours.flatMap((shade, i) => [[i / colours.length, shade], [(i + 1) / colours.length, shade]]),
});

// Where a scan's first and last cells end, halfway on their own scale to a next one.
function edgesOf(along) {
  const [to, back] = along.type === "log" ? [Math.log, Math.exp] : [(t) => t, (t) => t];
  const t = along.values.map(to);
  const [before, after] = t.length > 1 ? [(t[1] - t[0]) / 2, (t.at(-1) - t.at(-2)) / 2] : [0.5, 0.5];
  const first = back(t[0] - before);
  return [first <= 0 && along.values[0] >= 0 ? along.values[0] / 2 : first, back(t.at(-1) + after)];
}

function finely(along, count) {
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

// What the closed forms say over the whole diagram; worked out once a scan.
function fineOf(scan) {
  if (scan.fine) return scan.fine;
  const [x, y] = [finely(scan.x, FINE[0]), finely(scan.y, scan.y.values.length > 1 ? FINE[1] : 1)];
  const fine = { x, y: scan.y.values.length > 1 ? y : scan.y.values, proved: [], ratios: {} };
  for (const name of Object.keys(scan.curves)) fine.ratios[name] = [];
  for (const at of fine.y) {
    const problems = x.map((value) => problemAt(scan, value, at));
    const known = problems.map(remembered);
    fine.proved.push(problems.map((problem, i) => {
      const { status } = landscapeOf(problem, known[i]);
      if (status !== "open") return status === "proved benign" ? 0 : 1;
      return known[i].onset && strength(problem) > known[i].onset ? 2 : 3;
    }));
    for (const name of Object.keys(scan.curves)) fine.ratios[name].push(problems.map((problem, i) => ratioTo(problem, known[i], name)));
  }
  return (scan.fine = fine);
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

function showCell(scan, x, y) {
  const cell = x + scan.x.values.length * y;
  const names = Object.keys(scan.cells).filter((name) => !scan.hidden.includes(name));
  const value = (name) => { const found = scan.cells[name][cell]; return typeof found === "boolean" ? (found ? "yes" : "no") : scan.states[found] ?? found; };
  const row = (name) => [typeset(scan.words[name]), value(name)];
  const place = [[scan.x, x], [scan.y, y]].filter(([axis]) => axis.name);
  const isOpen = byId("phase-detail").querySelector("details")?.open ?? matchMedia("(min-width: 60rem)").matches;
  const parts = [
    element("h3", {}, typeset(place.map(([axis, i]) => `${axis.label}: ${shown(axis.values[i])}`).join("; "))),
    element("p", {}, `${scan.starts} starts: ${cellText(scan, cell)}`),
    isKnown(scan) ? provedAt(problemAt(scan, scan.x.values[x], scan.y.values[y])) : null,
    element("details", { open: isOpen }, element("summary", {}, "All numbers of this cell"), table(["", "value"], names.map(row))),
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
    title: heading(title), xaxis: axis(along.label, along.type),
    yaxis: { ...axis("share of starts"), range: [-0.03, 1.03] }, shapes: [here, ...crossed.map(([place, dash]) => verticalLine(place, dash))],
  };
  plot(id, traces, layout, (point) => go(along === scan.x ? { x: point.pointNumber } : { y: point.pointNumber }));
}
