// Where the numbers come from, and what is missing.
VIEWS.records = () => {
  const missing = DATA.left_out.map((text) => element("li", {}, text));
  byId("records-left-out").replaceChildren(
    element("p", {}, missing.length ? "Left out of this page:" : "No view lacks a record."),
    element("ul", {}, ...missing),
  );
  const rows = DATA.records.map((record) => [record.name, element("code", {}, record.command), record.commit ?? "–", record.created.replace("T", " ").replace(/:\d\d\+00:00$/, " UTC"), record.machine]);
  byId("records-table").replaceChildren(table(["record", "command", "commit", "made", "machine"], rows));
};
