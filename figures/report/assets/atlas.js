// The atlas: a disc per orbit; a click shows its classes, index and certificate.
VIEWS.atlas = (values, atlases) => {
  const atlas = entryOf("atlas-record", atlases, values);
  const chosen = index(values.row, atlas.rows.length);
  const failing = atlas.morse.filter((entry) => !entry.holds).length;
  byId("atlas-note").textContent =
    `${atlas.rows.length} orbits under rotations and relabellings; area: labelled copies; colour: rank. Morse relations ` +
    `${failing ? `fail in ${failing} of` : "hold in"} ${atlas.morse.length} dimensions. Click on a disc, or choose a row.`;
  drawOrbits(atlas, chosen);
  const rows = atlas.rows.map((row, i) => ({
    properties: { "aria-selected": String(i === chosen) },
    cells: [
      element("button", { type: "button", onclick: () => go({ row: i }) }, `${i + 1}: ${row.apart}`),
      row.value, row.rank, row.index, row.copies,
    ],
  }));
  byId("atlas-table").replaceChildren(table(["classes", "objective", "rank", "index", "copies"], rows));
  showOrbit(atlas.rows[chosen]);
  drawGeometry("atlas-geometry", atlas.rows[chosen].geometry, firstClasses(atlas.rows[chosen].geometry));
};

function drawOrbits(atlas, chosen) {
  const largest = Math.max(...atlas.rows.map((row) => row.copies));
  const size = (row) => 10 + 34 * Math.sqrt(row.copies / largest);
  const ranks = [...new Set(atlas.rows.map((row) => row.rank))].sort();
  const traces = ranks.map((rank) => {
    const here = atlas.rows.map((row, number) => ({ row, number })).filter(({ row }) => row.rank === rank);
    return {
      type: "scatter", mode: "markers", name: `rank ${rank}`,
      x: here.map(({ row }) => row.value), y: here.map(({ row }) => row.index), customdata: here.map(({ number }) => number),
      text: here.map(({ row, number }) => plain(`${number + 1}: ${row.apart}, ${row.copies} copies`)),
      hovertemplate: "%{text}<extra></extra>",
      marker: {
        color: DATA.colours[rank % DATA.colours.length], opacity: 0.75, size: here.map(({ row }) => size(row)),
        line: { color: "#000000", width: here.map(({ number }) => (number === chosen ? 3 : 0)) },
      },
    };
  });
  const layout = { title: heading(atlas.title), xaxis: axis("objective"), yaxis: axis("Morse index") };
  plot("atlas-map", traces, { ...layout, legend: { ...LAYOUT.legend, itemsizing: "constant" } }, (point) => go({ row: point.customdata }));
}

function showOrbit(row) {
  const proof = row.certificate;
  const proved = proof?.is_proved
    ? `A critical point lies within ${shown(proof.radius)} of this one, modulo rotation, and has index ` +
      `${proof.index}${proof.is_index_exact ? " exactly" : " at least"} (interval evidence, ${proof.precision} bits).`
    : `Not proved${proof?.reason ? `: ${proof.reason}` : ""}; numeric evidence.`;
  const names = ["value", "rank", "index", "nullity", "copies", "curvature", "smallest_eigenvalue", "gradient_norm", "found"];
  byId("atlas-detail").replaceChildren(
    element("h3", {}, `classes ${row.apart}`),
    element("p", {}, proved),
    element("p", { className: "note" }, "Letters that stand together are collapsed classes, classes in brackets are at zero; Gr(r, m) is a Grassmannian of points."),
    table(["measure", "value"], names.map((name) => [name.replaceAll("_", " "), row[name]])),
  );
}
