// Class means and rows of W, seen in the space that up to four class means span (their simplex, if they are one).
const camera = { turn: 0.8, rise: 0.5 };
const MOST_SPANNING = 4;
const DISTANCE = 2.1;

VIEWS.geometry = (values, points) => {
  const point = entryOf("geometry-source", points, values, "point", (entry) => `${entry.record}/${entry.title}`);
  const K = point.means.length;
  const asked = [...new Set((values.classes ?? "").split(",").filter((text) => text !== "").map(Number))];
  const isAllowed = asked.length >= 2 && asked.length <= MOST_SPANNING && asked.every((k) => Number.isInteger(k) && k >= 0 && k < K);
  const classes = isAllowed ? asked : firstClasses(point);
  const boxes = point.means.map((_, k) => {
    const box = element("input", { type: "checkbox", checked: classes.includes(k), id: `geometry-class-${k}` });
    const next = classes.includes(k) ? classes.filter((other) => other !== k) : [...classes, k].sort((a, b) => a - b);
    box.disabled = next.length > MOST_SPANNING || next.length < 2;
    box.onchange = () => { go({ classes: next.join(",") }); byId(`geometry-class-${k}`).focus(); };
    return element("label", {}, box, ` ${k}`);
  });
  byId("geometry-classes").replaceChildren(byId("geometry-classes").firstElementChild, ...boxes);
  const share = drawGeometry("geometry-plot", point, classes);
  byId("geometry-note").textContent =
    `Circles: centred class means; diamonds: rows of W; each set scaled to unit mean square. The projection shows ` +
    `${Math.round(100 * share)} % of the class means' squared length; collapsed, the chosen classes form a regular simplex ` +
    `with the diamonds on the circles. Drag, use the buttons, or the arrow keys while the plot has the focus.`;
  byId("geometry-plot").onkeydown = (event) => {
    const step = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowDown: [0, -1], ArrowUp: [0, 1] }[event.key];
    if (step) { event.preventDefault(); turn(...step); }
  };
  for (const button of byId("geometry-turn").children) {
    button.onclick = () => turn(...button.dataset.turn.split(",").map(Number));
  }
};

const firstClasses = (point) => point.means.map((_, k) => k).slice(0, MOST_SPANNING);

function turn(sideways, upwards) {
  camera.turn += 0.2 * sideways;
  camera.rise = Math.max(-1.4, Math.min(1.4, camera.rise + 0.2 * upwards));
  Plotly.relayout("geometry-plot", { "scene.camera": eye() });
}

const eye = () => ({ eye: {
  x: DISTANCE * Math.cos(camera.rise) * Math.cos(camera.turn), y: DISTANCE * Math.cos(camera.rise) * Math.sin(camera.turn), z: DISTANCE * Math.sin(camera.rise),
} });

const dot = (a, b) => a.reduce((sum, value, i) => sum + value * b[i], 0);

function centred(rows) {
  const mean = rows[0].map((_, i) => rows.reduce((sum, row) => sum + row[i], 0) / rows.length);
  const moved = rows.map((row) => row.map((value, i) => value - mean[i]));
  const size = Math.sqrt(moved.reduce((sum, row) => sum + dot(row, row), 0) / rows.length);
  return size > 1e-12 ? moved.map((row) => row.map((value) => value / size)) : moved;
}

// Gram-Schmidt on the differences of the chosen rows: at most three orthonormal directions.
function directions(rows) {
  const found = [];
  for (const row of rows.slice(1)) {
    let rest = row.map((value, i) => value - rows[0][i]);
    for (const e of [...found, ...found]) { const part = dot(rest, e); rest = rest.map((value, i) => value - part * e[i]); }
    const length = Math.sqrt(dot(rest, rest));
    if (length > 1e-9) found.push(rest.map((value) => value / length));
  }
  return found;
}

// Draws the point and returns the share of the class means' squared length that is seen.
function drawGeometry(id, point, classes) {
  const [means, W] = [centred(point.means), centred(point.W)];
  const basis = directions(classes.map((k) => means[k]));
  const seen = (row) => [0, 1, 2].map((i) => (basis[i] ? dot(row, basis[i]) : 0));
  const sets = [["class means", means, "circle", 6], ["rows of W", W, "diamond-open", 8]];
  const traces = sets.map(([name, rows, symbol, size]) => {
    const places = rows.map(seen);
    return {
      type: "scatter3d", mode: symbol === "circle" ? "markers+text" : "markers", name, hovertemplate: "class %{text}<extra></extra>",
      x: places.map((p) => p[0]), y: places.map((p) => p[1]), z: places.map((p) => p[2]), text: places.map((_, k) => String(k)),
      marker: { symbol, size, color: places.map((_, k) => classColour(k, classes)), line: { color: "#000000", width: 1 } },
    };
  });
  traces.push(edges(classes.map((k) => seen(means[k]))));
  const hidden = { title: { text: "" }, showticklabels: false, showspikes: false };
  plot(id, traces, {
    margin: { l: 0, r: 0, t: 0, b: 0 }, legend: { orientation: "h", x: 0, y: 1 }, dragmode: "orbit",
    scene: { xaxis: hidden, yaxis: hidden, zaxis: hidden, aspectmode: "data", camera: eye() },
  });
  const total = means.reduce((sum, row) => sum + dot(row, row), 0);
  return total > 0 ? means.map(seen).reduce((sum, p) => sum + dot(p, p), 0) / total : 1;
}

const classColour = (k, classes) => (classes.includes(k) ? DATA.colours[classes.indexOf(k)] : "#999999");

function edges(corners) {
  const [x, y, z] = [[], [], []];
  for (const [i, a] of corners.entries()) {
    for (const b of corners.slice(i + 1)) {
      for (const [list, c] of [[x, 0], [y, 1], [z, 2]]) list.push(a[c], b[c], null);
    }
  }
  return { type: "scatter3d", mode: "lines", x, y, z, hoverinfo: "skip", showlegend: false, line: { color: "#57606a", width: 2 } };
}
