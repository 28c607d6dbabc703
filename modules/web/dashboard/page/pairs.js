// Browser shows the records of one zone that match a search, a page at a time. It asks again by itself only while the
// zone is small: searching a big one takes the node some work.

const pageRecords = 100;
const smallZone = 5000;

class Browser {
  // path(query) is the resource, columns are those of its records, extra are buttons beside the search.
  constructor(options) {
    this.options = options;
    this.search = el("input", {type: "search", placeholder: options.placeholder, "aria-label": options.placeholder,
      maxlength: 500, class: "search", oninput: () => this.restart()});
    this.from = [];
    this.table = new Table(options.columns, {none: "No record matches.", caption: options.caption});
    this.note = el("span", {class: "note"});
    this.back = el("button", {type: "button", onclick: () => { this.from.pop(); this.load(); }}, "Previous");
    this.next = el("button", {type: "button", onclick: () => { this.from.push(this.lastKey); this.load(); }}, "Next");
    this.title = el("h2", {});
    this.tools = el("div", {class: "row"}, this.search, ...(options.extra || []));
    this.element = el("section", {hidden: true}, this.title, this.tools, this.table.element,
      el("div", {class: "row pages"}, this.note, this.back, this.next));
  }

  open(zone) {
    if (this.zone && zone && this.zone.key === zone.key) return;
    this.zone = zone;
    this.search.value = "";
    this.from = [];
    this.table.update([]);
    setText(this.note, "");
    show(this.element, Boolean(zone));
    if (!zone) return;
    setText(this.title, zone.name);
    this.load();
  }

  restart() {
    clearTimeout(this.timer);
    this.timer = setTimeout(() => { this.from = []; this.load(); }, 200);
  }

  // tick asks again if that is cheap.
  tick() {
    if (this.zone && !this.loading && this.total !== undefined && this.total <= smallZone) this.load();
  }

  async load() {
    const zone = this.zone, search = this.search.value, after = this.from[this.from.length - 1];
    if (!zone) return;
    this.loading = true;
    const query = new URLSearchParams({limit: pageRecords});
    if (search) query.set("search", search);
    if (after !== undefined) query.set("after", after);
    let answer;
    try {
      answer = await get(this.options.path(zone) + "?" + String(query).replaceAll("+", "%20"));
    } catch (e) {
      setText(this.note, e.message);
      return;
    } finally {
      this.loading = false;
    }
    if (this.zone !== zone || this.search.value !== search || this.from[this.from.length - 1] !== after) return;
    if (!answer) {
      setText(this.note, "The zone is no longer there.");
      return;
    }
    this.shown(answer, search);
  }

  shown(answer, search) {
    const records = answer.records || [];
    this.total = answer.total;
    this.lastKey = records.length ? records[records.length - 1].key : undefined;
    this.table.update(records.map((r) => Object.assign({record: r}, r, {key: "k" + r.key})));
    let text = plural(answer.total, "record", "records");
    if (search) text = `found in ${count(answer.matches)} of ${text}`;
    if (answer.matches > records.length) text += `, ${count(records.length)} shown`;
    setText(this.note, text);
    show(this.back, this.from.length > 0);
    show(this.next, Boolean(answer.more));
  }
}

// ask opens a dialog with fields and resolves to their values, or to null.
function ask(title, fields, button) {
  const dialog = byId("dialog");
  return new Promise((resolve) => {
    const inputs = fields.map((f) => (f.long ? el("textarea", {id: "ask-" + f.name, rows: 5, value: f.value || ""})
      : el("input", {id: "ask-" + f.name, value: f.value || "", type: f.type || "text", placeholder: f.placeholder, readonly: f.fixed})));
    const finish = (value) => {
      dialog.onclose = null;
      dialog.close();
      resolve(value);
    };
    const values = () => Object.fromEntries(fields.map((f, i) => [f.name, inputs[i].value]));
    const press = (e) => {
      if (e.key === "Enter" && e.target.tagName !== "TEXTAREA" && e.target.tagName !== "BUTTON") { e.preventDefault(); finish(values()); }
    };
    dialog.replaceChildren(el("div", {class: "form", onkeydown: press}, el("h2", {}, title),
      ...fields.flatMap((f, i) => [el("label", {for: "ask-" + f.name}, f.label), inputs[i]]),
      el("div", {class: "row end"}, el("button", {type: "button", onclick: () => finish(null)}, "Cancel"),
        el("button", {type: "button", class: "primary", onclick: () => finish(values())}, button))));
    dialog.onclose = () => resolve(null);
    dialog.showModal();
    (inputs.find((i) => !i.readOnly) || inputs[0] || dialog).focus();
  });
}
