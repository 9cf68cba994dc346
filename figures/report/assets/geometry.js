// Class means and rows of W, seen in the space that up to four class means span (their simplex, if they are one).
const MOST_SPANNING = 4;

VIEWS.geometry = (values, points) => {
  const point = entryOf("geometry-source", points, values, "point", (entry) => `${entry.record}/${entry.title}`);
  const K = point.means.length;
  const asked = [...new Set((values.classes ?? "").split(",").filter((text) => text !== "").map(Number))];
  const isAllowed = asked.length >= 2 && asked.length <= MOST_SPANNING && asked.every((k) => Number.isInteger(k) && k >= 0 && k < K);
  const classes = isAllowed ? asked : point.means.map((_, k) => k).slice(0, MOST_SPANNING);
  const boxes = point.means.map((_, k) => {
    const box = element("input", { type: "checkbox", checked: classes.includes(k), id: `geometry-class-${k}` });
    const next = classes.includes(k) ? classes.filter((other) => other !== k) : [...classes, k].sort((a, b) => a - b);
    box.disabled = next.length > MOST_SPANNING || next.length < 2;
    box.onchange = () => go({ classes: next.join(",") });
    return element("label", {}, box, ` ${k}`);
  });
  byId("geometry-classes").replaceChildren(byId("geometry-classes").firstElementChild, ...boxes);
  const { scene, share } = simplexScene(point, classes);
  space("geometry-plot", scene);
  byId("geometry-note").textContent =
    `Lines join the chosen class means. Means are centred, both sets scaled to unit mean square. Seen: ${Math.round(100 * share)} % of the class ` +
    `means' squared length. Collapsed, the chosen classes form a regular simplex with the diamonds on the discs, all others in the middle. Drag to turn it, or use the arrows.`;
  byId("geometry-key").replaceChildren(...geometryKey());
};

const geometryKey = () => keyOf([{ name: "class mean", colour: CLASS_COLOURS[0], symbol: "circle" }, { name: "row of W, numbered where it is not on its class's disc", colour: CLASS_COLOURS[0], symbol: "diamond" }]);

function centred(rows) {
  const mean = rows[0].map((_, i) => rows.reduce((sum, row) => sum + row[i], 0) / rows.length);
  const moved = rows.map((row) => row.map((value, i) => value - mean[i]));
  const size = Math.sqrt(moved.reduce((sum, row) => sum + dot(row, row), 0) / rows.length);
  return size > 1e-12 ? moved.map((row) => row.map((value) => value / size)) : moved;
}

// The scene of a point, and the share of the class means' squared length that is seen.
function simplexScene(point, classes) {
  const [means, W] = [centred(point.means), centred(point.W)];
  const corners = classes.map((k) => means[k]);
  const seen = placedIn(directions(corners.slice(1).map((row) => row.map((value, i) => value - corners[0][i]))));
  const points = [[W, "diamond", "row of W of class"], [means, "circle", "mean of class"]].flatMap(([rows, symbol, words]) => rows.map((row, k) => ({
    at: seen(row), label: String(k), colour: classColour(k, classes), symbol, title: `${words} ${k}`, inFront: classes.includes(k),
  })));
  const squares = (rows) => rows.reduce((sum, row) => sum + dot(row, row), 0);
  const share = squares(means) > 0 ? squares(means.map(seen)) / squares(means) : 1;
  return { share, scene: { points, lines: pairsOf(corners.map(seen)), reach: Math.max(...points.map(({ at }) => lengthOf(at))) } };
}
