// The phase diagram: cell x + width * y; a cell's end states, its numbers, and the curves through it.
const SAME = 1e-9; // boundaries as close as this everywhere are one

VIEWS.phase = (values, scans) => {
  const scan = entryOf("phase-record", scans, values);
  const [width, height] = [scan.x.values.length, scan.y.values.length];
  const x = index(values.x, width, Math.floor(width / 2));
  const y = index(values.y, height, Math.floor(height / 2));
  const label = (axis) => axis.values.map((value) => shown(value));
  options("phase-x", label(scan.x), x, "x");
  options("phase-y", label(scan.y), y, "y");
  byId("phase-x-name").textContent = scan.x.name;
  byId("phase-y-name").textContent = scan.y.name;
  byId("phase-y").parentElement.hidden = height === 1;
  byId("phase-map").onkeydown = (event) => {
    const step = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowDown: [0, -1], ArrowUp: [0, 1] }[event.key];
    if (!step) return;
    event.preventDefault();
    const within = (place, count) => Math.min(Math.max(place, 0), count - 1);
    go({ x: within(x + step[0], width), y: within(y + step[1], height) }, true);
  };
  drawMap(scan, x, y);
  showCell(scan, x + width * y);
  const row = scan.x.values.map((_, i) => i + width * y);
  const column = scan.y.values.map((_, j) => x + width * j);
  const at = (axis, i) => `${axis.name} = ${shown(axis.values[i])}`;
  drawShares("phase-along-x", scan, scan.x, row, x, height > 1 ? `at ${at(scan.y, y)}` : "shares of the starts");
  byId("phase-along-y").hidden = height === 1;
  if (height > 1) drawShares("phase-along-y", scan, scan.y, column, y, `at ${at(scan.x, x)}`);
};

// Shares of the states of a cell, what did not converge last; null where the cell has no result.
function sharesOf(scan, cell) {
  const found = Object.keys(scan.states).filter((state) => state !== "lost").map((state) => scan.cells[state][cell]);
  if (found.some((share) => share === null)) return null;
  return [...found, Math.max(0, 1 - found.reduce((sum, share) => sum + share, 0))];
}

function drawMap(scan, x, y) {
  const width = scan.x.values.length;
  const grid = (of) => scan.y.values.map((_, j) => scan.x.values.map((_, i) => of(i + width * j)));
  const states = Object.values(scan.states);
  const traces = [{
    type: "heatmap", x: scan.x.values, y: scan.y.values, zmin: -0.5, zmax: states.length - 0.5, showscale: false,
    z: grid((cell) => { const shares = sharesOf(scan, cell); return shares && shares.indexOf(Math.max(...shares)); }),
    text: grid((cell) => cellText(scan, cell)), hovertemplate: "%{text}<extra></extra>",
    colorscale: scan.shades.flatMap((shade, i) => [[i / states.length, shade], [(i + 1) / states.length, shade]]),
  }];
  for (const [i, state] of states.entries()) {
    if (traces[0].z.flat().includes(i)) traces.push(legendEntry(state, scan.shades[i]));
  }
  const dashes = { "--": "dash", "-": "solid", ":": "dot" };
  for (const [column, [label, style]] of Object.entries(scan.boundaries)) {
    const z = grid((cell) => ratioTo(scan, column, cell));
    const best = grid((cell) => ratioTo(scan, "c_zero_best", cell));
    const isSame = z.flat().every((value, i) => value === null || Math.abs(value - best.flat()[i]) < SAME);
    if (column !== "c_zero_best" && isSame) continue;
    if (scan.y.values.length < 2 || !z.flat().some((value) => value < 0) || !z.flat().some((value) => value > 0)) continue;
    traces.push({
      type: "contour", x: scan.x.values, y: scan.y.values, z, showscale: false, hoverinfo: "skip", name: label, showlegend: true,
      contours: { start: 0, end: 0, size: 1, coloring: "none" }, line: { color: "#000000", width: 1.5, dash: dashes[style] },
    });
  }
  traces.push({
    type: "scatter", mode: "markers", x: [scan.x.values[x]], y: [scan.y.values[y]], hoverinfo: "skip", showlegend: false,
    marker: { symbol: "square-open", size: 12, color: "#000000", line: { width: 3 } },
  });
  const layout = { title: heading(scan.title), xaxis: axis(scan.x.name, scan.x.type), yaxis: { ...axis(scan.y.name, scan.y.type), showticklabels: scan.y.values.length > 1 } };
  plot("phase-map", traces, layout, (point) => {
    const nearest = (found, values) => values.reduce((best, value, i) => (Math.abs(value - found) < Math.abs(values[best] - found) ? i : best), 0);
    go({ x: nearest(point.x, scan.x.values), y: nearest(point.y, scan.y.values) });
  });
}

const legendEntry = (name, colour) => ({
  type: "scatter", mode: "markers", x: [null], y: [null], name, marker: { symbol: "square", size: 10, color: colour },
});

// log(c / boundary), 0 on the boundary.
function ratioTo(scan, column, cell) {
  const [c, boundary] = [scan.cells.c[cell], scan.cells[column]?.[cell]];
  return c > 0 && boundary > 0 ? Math.log(c / boundary) : null;
}

function cellText(scan, cell) {
  const shares = sharesOf(scan, cell);
  if (!shares) return "no result";
  const states = Object.values(scan.states);
  return shares.map((share, i) => [share, i]).filter(([share]) => share > 1e-9)
    .map(([share, i]) => `${Math.round(1000 * share) / 10}% ${states[i]}`).join(", ");
}

function showCell(scan, cell) {
  const numbers = Object.keys(scan.cells).filter((name) => !scan.hidden.includes(name));
  const width = scan.x.values.length;
  const place = [[scan.x, cell % width], [scan.y, Math.floor(cell / width)]].filter(([axis]) => axis.name);
  byId("phase-detail").replaceChildren(
    element("h3", {}, place.map(([axis, i]) => `${axis.name} = ${shown(axis.values[i])}`).join(", ")),
    element("p", {}, `${scan.starts} starts: ${cellText(scan, cell)}`),
    table(["measure", "value"], numbers.map((name) => [name.replaceAll("_", " "), typeof scan.cells[name][cell] === "boolean" ? String(scan.cells[name][cell]) : scan.cells[name][cell]])),
  );
}

function drawShares(id, scan, along, cells, chosen, title) {
  const states = Object.values(scan.states);
  const shares = cells.map((cell) => sharesOf(scan, cell));
  const traces = states.map((name, i) => ({
    type: "scatter", mode: "lines+markers", name, x: along.values, y: shares.map((share) => share && share[i]),
    line: { color: scan.shades[i] }, marker: { size: 4 },
  })).filter((trace) => trace.y.some((share) => share > 1e-9));
  const layout = {
    title: heading(title), xaxis: axis(along.name, along.type),
    yaxis: { ...axis("share of starts"), range: [-0.03, 1.03] }, shapes: [verticalLine(along.values[chosen])],
  };
  plot(id, traces, layout, (point) => go(along === scan.x ? { x: point.pointNumber } : { y: point.pointNumber }));
}
