// The latest lines of the error log that are warnings or worse.

function errorsView() {
  const filter = el("input", {type: "search", class: "search", placeholder: "Filter messages", "aria-label": "Filter messages", oninput: () => draw()});
  const table = new Table([
    {title: "Time", class: "mono", text: (e) => new Date(e.time).toLocaleString("sv")},
    {title: "Level", draw: (cell, e) => setPill(cell, e.level, e.level === "warn" ? "warn" : "bad")},
    {title: "Message", wide: true, class: "mono", text: (e) => e.message},
  ], {none: "No error since the node started.", caption: "Recent errors"});
  const note = el("p", {class: "note"});
  const element = el("div", {}, el("h1", {}, "Recent errors"), el("div", {class: "row"}, filter), table.element, note);
  let last = {lines: []};
  const draw = () => {
    const words = filter.value.toLowerCase();
    table.update(last.lines.filter((e) => !words || (e.level + " " + e.message).toLowerCase().includes(words)).map((e) => Object.assign({key: e.number}, e)));
    setText(note, last.total > last.lines.length ? `${plural(last.total, "line", "lines")} since the node started. The node keeps the last ${count(last.lines.length)}, the error log has all.` : "");
  };
  return {
    id: "errors", element, search: filter, needs: ["starling/errors"],
    update(data) {
      last = data["starling/errors"] || {lines: []};
      draw();
    },
  };
}
