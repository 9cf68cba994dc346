// The atlas: a disc per orbit; a click shows its classes, index and certificate, and plays the way down from it.
VIEWS.atlas = (values, atlases) => {
  const atlas = entryOf("atlas-record", atlases, values);
  const chosen = index(values.row, atlas.rows.length);
  byId("atlas-note").replaceChildren(noteOn(atlas));
  drawOrbits(atlas, chosen);
  const rows = atlas.rows.map((row, i) => ({
    properties: { "aria-selected": String(i === chosen) },
    cells: [
      element("button", { type: "button", id: `atlas-row-${i}`, onclick: () => go({ row: i, frame: "" }) }, `${i + 1}: ${row.apart}`),
      row.value, row.rank, row.index, row.copies, row.certificate?.is_proved ? "interval" : "numeric",
    ],
  }));
  byId("atlas-table").replaceChildren(table(["orbit: classes", "objective", "rank", "index", "copies", "evidence"], rows));
  showOrbit(atlas.rows[chosen], chosen);
  drawWay(values, atlas, chosen);
};

function noteOn(atlas) {
  const isByLetters = atlas.rows.every((row) => /^[a-h|() *]+$/.test(row.apart));
  const names = isByLetters ? "Letters that stand together (ab) are collapsed classes, classes in brackets are at zero"
    : "Classes are told apart by the singular values of the logits (2 of 0.9: two of that size); Gr(r, m): a Grassmannian of points";
  const failing = atlas.morse.filter((entry) => !entry.holds).length;
  const relations = !atlas.morse.length ? "" : failing ? ` Morse relations fail in ${failing} of ${atlas.morse.length} dimensions: an orbit is missing.`
    : ` Morse relations, which notice a missing orbit, hold in all ${atlas.morse.length} dimensions checked.`;
  const complete = atlas.is_complete ? " It is proved that no orbit is missing." : "";
  return `A row is an orbit: a critical point and all that rotations and relabellings make of it. ${names}. Rank: dimensions that W uses. ` +
    `Index: directions downwards; 0 is a minimum. Copies: its relabelled versions (a disc's area).${relations}${complete} Click on a disc, or choose a row.`;
}

function drawOrbits(atlas, chosen) {
  const largest = Math.max(...atlas.rows.map((row) => row.copies));
  const discs = atlas.rows.map((row, number) => ({ ...row, number, size: 14 + 30 * Math.sqrt(row.copies / largest) })).sort((a, b) => b.size - a.size);
  const places = (rows) => ({ type: "scatter", x: rows.map((row) => row.value), y: rows.map((row) => row.index) });
  const ranks = [...new Set(discs.map((row) => row.rank))].sort();
  const traces = ranks.map((rank) => {
    const here = discs.filter((row) => row.rank === rank);
    return {
      ...places(here), mode: "markers", name: `rank ${rank}`, customdata: here.map(({ number }) => number),
      hovertext: here.map((row) => plain(`${row.number + 1}: ${row.apart}, ${row.copies} ${row.copies === 1 ? "copy" : "copies"}`)), hovertemplate: "%{hovertext}<extra></extra>",
      marker: { color: DATA.colours[rank % DATA.colours.length], opacity: 0.6, size: here.map(({ size }) => size) },
    };
  });
  const ring = discs.filter(({ number }) => number === chosen);
  const unheard = { hoverinfo: "skip", showlegend: false };
  traces.push({ ...places(ring), ...unheard, mode: "markers", marker: { symbol: "circle-open", size: ring[0].size, color: "#000000", line: { width: 3 } } });
  const labels = discLabels(discs);
  traces.push({ ...places(labels), ...unheard, mode: "text", text: labels.map(({ text }) => text), textfont: { size: 12, color: "#000000" } });
  const highest = Math.max(...discs.map((row) => row.index));
  const layout = { xaxis: axis("objective"), yaxis: { ...axis("Morse index"), dtick: Math.max(1, Math.ceil(highest / 6)) } };
  plot("atlas-map", traces, { ...layout, legend: { ...LAYOUT.legend, itemsizing: "constant" } }, (point) => go({ row: point.customdata, frame: "" }));
}

const LABEL = [20, 14]; // pixels that a label takes
// The numbers of the discs, one label in the middle of those that would cover each other's.
function discLabels(discs) {
  const { clientWidth, clientHeight } = byId("atlas-map");
  const pixels = (key, size) => {
    const values = discs.map((row) => row[key]);
    return size / (Math.max(...values) - Math.min(...values) || 1);
  };
  const [along, up] = [pixels("value", 0.75 * clientWidth), pixels("index", 0.65 * clientHeight)];
  const areTouching = (a, b) => along * Math.abs(a.value - b.value) < LABEL[0] && up * Math.abs(a.index - b.index) < LABEL[1];
  const mean = (members, key) => members.reduce((sum, member) => sum + member[key], 0) / members.length;
  return togetherAt(discs, areTouching).map(({ members }) => ({
    value: mean(members, "value"), index: mean(members, "index"), text: inWords(members.map(({ number }) => String(number + 1))),
  }));
}

const ORBIT_WORDS = {
  value: "objective", rank: "rank: dimensions that W uses", index: "Morse index: directions of negative curvature", nullity: "directions of zero curvature (symmetries)",
  copies: "relabelled copies", curvature: "curvature along the direction downwards", smallest_eigenvalue: "smallest eigenvalue of the Hessian",
  gradient_norm: "norm of the gradient", found: "starts that ended here",
};

function showOrbit(row, number) {
  const proof = row.certificate;
  const proved = proof?.is_proved
    ? `Proved: a critical point lies within ${shown(proof.radius)} of this one, modulo rotation, and has index ` +
      `${proof.index}${proof.is_index_exact ? " exactly" : " at least"} (interval evidence, ${proof.precision} bits).`
    : `Not proved${proof?.reason ? `: ${proof.reason}` : ""}; numeric evidence.`;
  byId("atlas-detail").replaceChildren(
    element("h3", {}, `Orbit ${number + 1}: ${row.apart}`),
    element("p", {}, proved),
    table(["measure", "value"], Object.entries(ORBIT_WORDS).filter(([name]) => name !== "curvature" || row.index > 0).map(([name, words]) => [typeset(words), row[name]])),
  );
}

// The classes of the chosen orbit in space; from a saddle, frames of the way down.
function drawWay(values, atlas, chosen) {
  const row = atlas.rows[chosen];
  const way = row.descent;
  const still = row.geometry.means.map(placedIn(directions(row.geometry.means)));
  const frames = way?.means ?? [still];
  const reach = Math.max(...frames.flat().map(lengthOf), 1e-3);
  const show = (t) => {
    space("atlas-geometry", classScene(between(frames, t), row.letters, reach));
    if (way) byId("atlas-fall").replaceChildren(fallOf(way, t));
  };
  byId("atlas-way").hidden = !way;
  byId("atlas-way-note").replaceChildren(wayWords(row, way, chosen, still));
  if (!way) return show(0);
  const piece = (way.value.length - 1) / way.passes.length;
  const stops = [way.row, ...way.passes];
  const name = (frame) => {
    const stop = frame % piece ? null : stops[frame / piece];
    return `objective ${shown(way.value[frame])}${stop === null ? "" : `, orbit ${stop + 1}`}`;
  };
  player("atlas", frames.length, index(values.frame, frames.length), show, name, (frame) => keep({ frame }));
}

function wayWords(row, way, chosen, still) {
  const isZero = still.every((at) => lengthOf(at) < 1e-6);
  const here = `Discs: means of the classes, in the directions in which they extend${isZero ? " (here all are at zero)" : ""}; the crossing lines meet at zero.`;
  if (!way) return `${here} ${row.index === 0 ? "A minimum: no way leads down from it." : "No way down is stored; the option --descents true of ufm atlas records it."}`;
  const orbits = way.passes.map((number) => (number === null ? "a point outside the table" : `orbit ${number + 1}`));
  const end = orbits.pop();
  return `${here} Play: the step along the direction of negative curvature, then steepest descent, ${orbits.length ? `past ${orbits.join(" and ")}, ` : ""}to ${end} (numeric).`;
}

// Classes that have met share a disc and its letters, as in the table: `ab`; those too close to be drawn apart, `a|b`.
const [MET, CLOSE] = [1e-3, 0.03];
function classScene(means, letters, reach) {
  const near = (a, b, share) => lengthOf(a.map((value, i) => value - b[i])) < share * reach;
  const grouped = (classes, share) => classes.reduce((groups, k) => {
    const home = groups.find(([first]) => near(means[first], means[k], share));
    return home ? (home.push(k), groups) : [...groups, [k]];
  }, []);
  const inOrder = letters.split("").map((_, k) => k).sort((a, b) => (letters[a] < letters[b] ? -1 : 1));
  const points = grouped(inOrder, CLOSE).map((group) => {
    const label = grouped(group, MET).map((met) => met.map((k) => letters[k]).join("")).join("|");
    return { at: means[group[0]], label, colour: CLASS_COLOURS[letters.charCodeAt(group[0]) - 97], symbol: "circle", title: `class ${label}` };
  });
  return { points, lines: pairsOf(points.map(({ at }) => at)), reach };
}

function fallOf(way, t) {
  const line = { x: way.value.map((_, i) => i), y: way.value, colour: CLASS_COLOURS[0] };
  return chart({ lines: [line], points: [{ x: [t], y: [between(way.value, t)], colour: "#d55e00" }], log: "", x: "distance along the way, in frames", y: "objective" });
}
