// The theorem table: filters narrow it, a click on a claim shows its evidence.
VIEWS.theorems = (values, claims) => {
  filter("theorems-rigour", "rigour", claims, values);
  filter("theorems-status", "status", claims, values);
  const search = byId("theorems-q");
  if (search !== document.activeElement) search.value = values.q ?? "";
  search.oninput = () => go({ q: search.value }, true);
  search.form.onsubmit = (event) => event.preventDefault();
  const words = (values.q ?? "").toLowerCase().split(/\s+/);
  const kept = claims.filter((claim) => {
    const text = `${claim.name.replaceAll("_", " ")} ${claim.sentence} ${claim.source}`.toLowerCase();
    const matches = (key) => !values[key] || claim[key] === values[key];
    return matches("rigour") && matches("status") && words.every((word) => text.includes(word));
  });
  byId("theorems-count").textContent = `${kept.length} of ${claims.length} claims; choose one to see its evidence`;
  const rows = kept.map((claim) => ({
    properties: { "aria-selected": String(claim.name === values.claim) },
    cells: [
      element("button", { type: "button", id: `theorems-claim-${claim.name}`, onclick: () => choose(claim) }, typeset(claim.sentence)),
      typeset(claim.source), claim.rigour, element("span", { title: marginWords(claim) }, claim.margin), claim.status,
    ],
  }));
  byId("theorems-table").replaceChildren(table(["claim", "source", "evidence", "margin", "verdict"], rows));
  showClaim(claims.find((claim) => claim.name === values.claim));
  const [list, chosen] = [byId("theorems-table"), byId("theorems-table").querySelector("[aria-selected=true]")];
  if (chosen) list.scrollTop = chosen.offsetTop - 40;
};

function choose(claim) {
  const place = byId("theorems-table").scrollTop;
  go({ claim: claim.name });
  byId("theorems-table").scrollTop = place;
  byId("theorems-detail").scrollIntoView({ block: "nearest" });
}

function filter(id, key, claims, values) {
  const list = byId(id);
  const found = [...new Set(claims.map((claim) => claim[key]))].sort();
  list.replaceChildren(element("option", { value: "" }, "all"), ...found.map((text) => element("option", { value: text }, text)));
  list.value = values[key] ?? "";
  list.onchange = () => go({ [key]: list.value });
}

function showClaim(claim) {
  const detail = byId("theorems-detail");
  if (!claim) return detail.replaceChildren();
  const findings = claim.findings.map((item) => element("li", {}, item.holds ? "yes: " : "NO: ", typeset(item.text)));
  const paragraphs = claim.text.split(/\n\n|\n(?=\d+\. )/).map((text) => element("p", {}, ...labelled(text.replaceAll("\n", " "))));
  const parts = [
    element("h3", {}, claim.name.replaceAll("_", " ")),
    element("p", {}, `${claim.status}; ${claim.rigour} evidence`),
    claim.margin_is && element("p", {}, element("strong", {}, "Margin: "), claim.margin, ": ", typeset(marginWords(claim))),
    claim.reason && element("p", {}, claim.reason),
    ...paragraphs,
    findings.length && element("h4", {}, "What was checked"),
    element("ul", {}, ...findings),
    claim.sizes && element("p", {}, element("strong", {}, "Covered: "), typeset(claim.sizes)),
  ];
  detail.replaceChildren(...parts.filter(Boolean));
}

// What the number of a claim's margin is, without a second "exact".
const marginWords = (claim) => claim.margin_is.replace(/^exact: /, "");

// `Theme: ...`: the word before the colon stands out.
function labelled(text) {
  const label = /^(Theme|Source|Evidence|False twin): /.exec(text);
  return label ? [element("strong", {}, label[0]), typeset(text.slice(label[0].length))] : [typeset(text)];
}
