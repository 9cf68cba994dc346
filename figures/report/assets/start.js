// The start view: a card a finding, with its rank of evidence, a small picture and the way to what stands behind it.
const MODEL = "f(W, H, b) = (1/N) sum_i loss(W h_i + b, y_i) + decay_W/2 |W|^2 + decay_H/2 |H|^2 + decay_b/2 |b|^2";
const LEADS = { theorems: "see the check", phase: "see the diagram", training: "see the curves", atlas: "see the atlas", explorer: "explore settings", records: "see the record", cards: "see the card" };

VIEWS.start = (values, cards) => {
  byId("start-model").replaceChildren(typeset(MODEL));
  byId("start-cards").replaceChildren(...cards.map((card, i) => cardOf(card, i)));
  byId("start-empty").hidden = cards.length > 0;
};

function cardOf(card, number) {
  const picture = PICTURES[card.picture.kind]?.(card.picture);
  const sentences = card.sentences.map((item) => element("p", {},
    item.rank ? element("span", { className: `rank ${item.rank}` }, item.rank) : null,
    item.holds ? null : element("strong", {}, "fails: "), typeset(item.text), " ",
    element("a", { href: `#${item.link}` }, LEADS[item.link.split("?")[0]]),
  ));
  const lead = card.meaning && element("p", { className: "lead" }, card.meaning);
  const parts = [element("h3", { id: `start-card-${number}` }, card.title), picture, element("div", {}, ...[lead, ...sentences].filter(Boolean))];
  return element("article", { className: "card", "aria-labelledby": `start-card-${number}` }, ...parts);
}

const PICTURES = {
  chart: (picture) => figureOf(chart(picture), [...(picture.lines ?? []), ...(picture.points ?? [])], `${picture.y} against ${picture.x}`),
  bars: ({ bars }) => figureOf(bar(bars), bars.map((entry) => ({ ...entry, name: `${entry.name}: ${entry.value}` })), ""),
  proved: (picture) => areaPicture(picture.record, (scan) => ({ z: provedOf(scan), names: PROVED.map(([name]) => name), colours: PROVED.map(([, colour]) => colour) })),
  ends: (picture) => areaPicture(picture.record, (scan) => ({ z: endsOf(scan), names: Object.values(scan.states), colours: scan.shades })),
  pairs: () => figureOf(pairs(), [], "six classes in opposite pairs, lower than a simplex of the same margin"),
  frame: () => PICTURES.chart(framePicture()),
};

// A picture with its colours in words; entries of one name need no legend.
function figureOf(picture, entries, caption) {
  const legend = entries.length > 1 ? keyOf(entries.map(({ name, colour }) => ({ name, colour }))) : [];
  return element("figure", {}, picture, element("figcaption", { className: "key" }, ...legend, caption ? element("span", {}, typeset(caption)) : null));
}

// Lines and points on one pair of axes, with the ends of the axes as numbers.
function chart({ lines = [], points = [], diagonal = false, log, x, y }) {
  const [width, height, left, bottom] = [280, 150, 44, 22];
  const scale = (key, from, to) => {
    const to10 = log.includes(key) ? Math.log10 : (value) => value;
    const values = [...lines, ...points].flatMap((entry) => (diagonal ? [...entry.x, ...entry.y] : entry[key])).map(to10).filter(Number.isFinite);
    const [low, high] = [Math.min(...values), Math.max(...values)];
    const span = high - low || 1;
    return { at: (value) => from + ((to10(value) - low) / span) * (to - from), ends: [low, high].map((value) => (log.includes(key) ? 10 ** value : value)) };
  };
  const [along, up] = [scale("x", left + 6, width - 8), scale("y", height - bottom - 6, 8)];
  const number = (value) => (value === 0 ? "0" : Math.abs(value) >= 1e-3 && Math.abs(value) < 1e4 ? String(Number(value.toPrecision(3))) : value.toExponential(0));
  const text = (words, at, where, anchor) => svg("text", { x: at, y: where, "text-anchor": anchor }, words);
  const kind = (key) => `${log.includes(key) ? "log" : "linear"} scale`;
  const made = svg("svg", { viewBox: `0 0 ${width} ${height}`, role: "img", "aria-label": `${y} against ${x}` },
    svg("path", { d: `M${left} 4V${height - bottom}H${width - 2}`, class: "frame" }),
    text(number(up.ends[1]), left - 3, 14, "end"), text(number(up.ends[0]), left - 3, height - bottom - 2, "end"),
    text(number(along.ends[0]), left + 4, height - 8, "start"), text(number(along.ends[1]), width - 4, height - 8, "end"),
    text(kind("x"), (left + width) / 2, height - 8, "middle"), svg("g", { transform: `translate(14 ${(height - bottom) / 2}) rotate(-90)` }, text(kind("y"), 0, 0, "middle")),
  );
  if (diagonal) made.append(svg("path", { d: `M${along.at(along.ends[0])} ${up.at(along.ends[0])}L${along.at(along.ends[1])} ${up.at(along.ends[1])}`, class: "frame" }));
  for (const line of lines) {
    const path = line.x.map((value, i) => `${i ? "L" : "M"}${along.at(value).toFixed(1)} ${up.at(line.y[i]).toFixed(1)}`).join("");
    made.append(svg("path", { d: path, stroke: line.colour, class: "line" }));
  }
  for (const group of points) {
    group.x.forEach((value, i) => made.append(svg("circle", { cx: along.at(value).toFixed(1), cy: up.at(group.y[i]).toFixed(1), r: 3.2, fill: group.colour, "fill-opacity": 0.7 })));
  }
  return made;
}

// One bar, divided.
function bar(entries) {
  const total = entries.reduce((sum, entry) => sum + entry.value, 0);
  const made = svg("svg", { viewBox: "0 0 280 40", role: "img", "aria-label": entries.map((entry) => `${entry.name}: ${entry.value}`).join(", ") });
  let from = 0;
  for (const entry of entries) {
    const width = (280 * entry.value) / total;
    made.append(svg("rect", { x: from, y: 6, width, height: 28, fill: entry.colour }));
    from += width;
  }
  return made;
}

// The diagram of a scan, small; nothing where the page lacks it.
function areaPicture(record, of) {
  const scan = DATA.views.phase.find((entry) => entry.record === record);
  if (!scan || !isKnown(scan)) return null;
  const { z, names, colours } = of(scan);
  const canvas = painted(z, colours);
  canvas.setAttribute("role", "img");
  canvas.setAttribute("aria-label", `${scan.title}: areas`);
  const used = names.map((name, i) => ({ name, colour: colours[i], i })).filter(({ i }) => z.flat().includes(i));
  const up = scan.y.values.length > 1 ? `${extentOf(scan.y)}, up, against ` : "";
  return figureOf(canvas, used, `${up}${extentOf(scan.x)}; ${scan.title.split(", ").slice(1, 3).join(", ")}`);
}

const extentOf = ({ label, type, values }) => `${label} from ${shown(values[0])} to ${shown(values.at(-1))} (${type === "log" ? "log" : "linear"} scale)`;

// Where most starts of the cell about each dot of the picture end.
function endsOf(scan) {
  const [x, y] = [[scan.x, PICTURE[0]], [scan.y, PICTURE[1]]].map(([along, count]) => finely(along, count).map((value) => nearest(along, value)));
  return y.map((j) => x.map((i) => mostOf(scan, i + scan.x.values.length * j)));
}

// Six classes in three opposite pairs, seen from the side.
function pairs() {
  const ends = [[88, 14], [52, -34], [16, 58]];
  const made = svg("svg", { viewBox: "-140 -66 280 132", role: "img", "aria-label": "three lines through one point, a class at each end" });
  ends.forEach(([x, y], i) => {
    made.append(svg("path", { d: `M${-x} ${-y}L${x} ${y}`, stroke: DATA.colours[i], class: "line" }));
    for (const sign of [1, -1]) made.append(svg("circle", { cx: sign * x, cy: sign * y, r: 6, fill: DATA.colours[i] }));
  });
  return made;
}

// Squared error between simplex and frame: both parts of the logits over the decay of the bias, by the closed form.
function framePicture() {
  const decays = Array.from({ length: 120 }, (_, i) => 10 ** (-3 + (6 * i) / 119));
  const [K, decay] = [10, 0.02];
  const found = decays.map((decay_b) => predictionOf({ loss: "mse", K, d: K, n: 1, decay_W: decay, decay_H: decay, decay_b }));
  const line = (name, key, i) => ({ name, colour: DATA.colours[i], x: decays, y: found.map((each) => each[key]) });
  return { lines: [line("on the simplex", "margin", 0), line("common to all classes", "common", 1)], log: "x", x: `the decay of the bias (K = ${K}, c = ${decay})`, y: "size of the logits" };
}
