// Table keeps one row for each key and changes only the cells whose contents change.
//
// A column has a title and either text(row), which may return a string, or draw(cell, row). sort(row) makes it sortable.
// num aligns to the right; wide lets a cell break on a phone; extra leaves the column out where there is little room.
class Table {
  constructor(columns, options) {
    this.columns = columns;
    this.options = options || {};
    this.rows = new Map();
    this.order = this.options.order || null; // {column, down}
    this.body = el("tbody");
    this.heads = columns.map((c, i) => this.head(c, i));
    const caption = this.options.caption && el("caption", {}, this.options.caption);
    this.none = el("p", {class: "none", hidden: true}, this.options.none || "Nothing here.");
    this.element = el("div", {class: "scroll"},
      el("table", {class: this.options.class}, caption, el("thead", {}, el("tr", {}, ...this.heads)), this.body), this.none);
  }

  head(c, i) {
    const classes = [c.num ? "num" : "", c.extra ? "extra" : ""].join(" ").trim() || null;
    if (!c.sort) return el("th", {scope: "col", class: classes}, c.title || "");
    const press = () => {
      const down = this.order && this.order.column === i ? !this.order.down : Boolean(c.num);
      this.order = {column: i, down};
      this.update(this.last || []);
    };
    return el("th", {scope: "col", class: classes}, el("button", {type: "button", onclick: press}, c.title));
  }

  // update shows these rows; each has a unique key.
  update(list) {
    this.last = list;
    const sorted = this.sorted(list);
    const gone = new Set(this.rows.keys());
    let before = this.body.firstElementChild;
    for (const row of sorted) {
      gone.delete(row.key);
      let tr = this.rows.get(row.key);
      if (!tr) this.rows.set(row.key, tr = this.make(row));
      this.fill(tr, row);
      if (tr === before) before = before.nextElementSibling;
      else this.body.insertBefore(tr, before);
    }
    for (const key of gone) {
      this.rows.get(key).remove();
      this.rows.delete(key);
    }
    show(this.none, sorted.length === 0);
    show(this.element.firstElementChild, sorted.length > 0);
    this.heads.forEach((th, i) => {
      const mine = this.order && this.order.column === i;
      setAttr(th, "aria-sort", mine ? (this.order.down ? "descending" : "ascending") : null);
    });
  }

  sorted(list) {
    const by = this.order && this.columns[this.order.column].sort;
    if (!by) return list;
    const sign = this.order.down ? -1 : 1;
    return list.map((row) => [by(row), row]).sort((a, b) =>
      sign * (typeof a[0] === "number" ? a[0] - b[0] : byName(a[0], b[0])) || byName(String(a[1].key), String(b[1].key)))
      .map((pair) => pair[1]);
  }

  make() {
    return el("tr", {}, ...this.columns.map((c) =>
      el("td", {class: [c.num ? "num" : "", c.wide ? "wide" : "", c.extra ? "extra" : "", c.class || ""].join(" ").trim() || null, "data-label": c.title})));
  }

  fill(tr, row) {
    setAttr(tr, "class", this.options.mark ? this.options.mark(row) || null : null);
    this.columns.forEach((c, i) => {
      const cell = tr.children[i];
      if (c.draw) c.draw(cell, row);
      else setText(cell, c.text(row));
      if (c.tip) setAttr(cell, "title", c.tip(row) || null);
    });
  }
}
