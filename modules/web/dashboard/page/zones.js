// Key-value zones: browse, search, and edit where the API allows writes. Sessions are browsed in the same way.

const life = (ms) => (ms > 0 ? duration(ms) : "");

// zoneList shows the zones of one kind as buttons, of which one is chosen.
class ZoneList {
  constructor(chosen) {
    this.chosen = chosen;
    this.element = el("div", {class: "chips", role: "group", "aria-label": "Zones"});
    this.buttons = new Map();
  }

  update(zones, cluster, slabs) {
    if (!zones.some((z) => z.key === this.key)) this.pick(zones[0]);
    for (const [key, b] of this.buttons) if (!zones.some((z) => z.key === key)) { b.remove(); this.buttons.delete(key); }
    for (const z of zones) {
      let b = this.buttons.get(z.key);
      if (!b) {
        b = el("button", {type: "button", class: "chip", onclick: () => { this.pick(z); }}, el("strong", {}, z.name), el("small"));
        this.buttons.set(z.key, b);
        this.element.append(b);
      }
      setAttr(b, "aria-pressed", String(z.key === this.key));
      const shared = cluster && cluster.zones && cluster.zones[z.name], slab = slabs && slabs[z.name];
      const n = shared ? shared.records_total : slab && slab.slots && slab.slots["64"] ? slab.slots["64"].used : undefined;
      setText(b.querySelector("small"), [n === undefined ? "" : plural(n, "record", "records"), shared ? "shared" : "this node only"]
        .filter(Boolean).join(", "));
      if (slab) {
        const of = slab.pages.used + slab.pages.free;
        setBar(b, [[slab.pages.used / of, slab.pages.used / of > 0.87 ? "bad" : "fill"]], `${bytes(slab.pages.used * 4096)} of ${bytes(of * 4096)} used`);
      }
    }
  }

  pick(zone) {
    this.key = zone && zone.key;
    for (const [key, b] of this.buttons) setAttr(b, "aria-pressed", String(key === this.key));
    this.chosen(zone);
  }
}

function zonesView() {
  const edit = async (r) => {
    const v = await ask("Change the pair", [{name: "key", label: "Key", value: r.record.key, fixed: true},
      {name: "value", label: "Value", value: r.record.value, long: true}], "Save");
    if (v) await write("Saved on this node", "PATCH", {[r.record.key]: v.value});
  };
  const remove = async (r) => {
    const v = await ask(`Delete \u201c${r.record.key}\u201d?`, [], "Delete");
    if (v) await write("Deleted", "PATCH", {[r.record.key]: null});
  };
  const add = async () => {
    const v = await ask("Add a pair to " + browser.zone.name, [{name: "key", label: "Key"}, {name: "value", label: "Value", long: true},
      {name: "expire", label: "Expires after (seconds; empty: as the zone says)", type: "number"}], "Add");
    if (!v) return;
    const value = v.expire ? {value: v.value, expire: Math.round(Number(v.expire) * 1000)} : v.value;
    await write("Added on this node", "POST", {[v.key]: value});
  };
  const write = async (done, method, body) => {
    const z = browser.zone;
    await change(done, method, pathOf(z.side, "keyvals", z.name), body);
    browser.load();
  };
  const addButton = el("button", {type: "button", class: "primary", id: "add", onclick: add}, "Add a pair");
  const browser = new Browser({
    path: (z) => pathOf("starling", z.side, "keyvals", z.name), placeholder: "Search keys and values (case matters)", extra: [addButton], caption: "Pairs",
    columns: [
      {title: "Key", class: "mono", wide: true, text: (r) => r.record.key},
      {title: "Value", class: "mono", wide: true, text: (r) => r.record.value + (r.record.truncated ? "\u2026" : "")},
      {title: "Expires in", num: true, text: (r) => life(r.record.left_ms)},
      {title: "", class: "actions", draw: (cell, r) => {
        cell.row = r;
        if (!cell.firstElementChild) {
          cell.append(el("button", {type: "button", class: "edit", onclick: () => edit(cell.row)}, "Edit"),
            el("button", {type: "button", class: "delete", onclick: () => remove(cell.row)}, "Delete"));
        }
        show(cell.children[0], state.writes && !r.record.truncated);
        show(cell.children[1], state.writes);
      }},
    ],
  });
  const zones = new ZoneList((z) => browser.open(z));
  const none = empty("There is no key-value zone.", "Declare one with ", code("keyval_zone"), ".");
  const element = el("div", {}, el("h1", {}, "Key-value zones"), none, zones.element, browser.element);
  return {
    id: "zones", element, search: browser.search,
    needs: ["http/keyvals?fields=", "stream/keyvals?fields=", clusterPath, "slabs"],
    update(data) {
      const list = ["http", "stream"].flatMap((side) => (data[side + "/keyvals?fields="] || [])
        .map((name) => ({key: side + "/" + name, side, name})));
      show(none, list.length === 0);
      show(addButton, state.writes);
      zones.update(list, data[clusterPath], data.slabs);
      browser.tick();
    },
  };
}

function sessionsView() {
  const browser = new Browser({
    path: (z) => pathOf("starling", "http", "sessions", z.name), placeholder: "Search: the session, its key or its server", caption: "Sessions",
    columns: [
      {title: "Key (md5 of the session)", class: "mono", wide: true, text: (r) => r.record.key},
      {title: "Server", class: "mono", wide: true, text: (r) => r.record.server},
      {title: "Ends in", num: true, text: (r) => life(r.record.left_ms)},
    ],
  });
  const zones = new ZoneList((z) => browser.open(z));
  const none = empty("No sessions are kept here.", "Upstreams with ", code("sticky learn"), " have a zone of sessions.");
  const element = el("div", {}, el("h1", {}, "Sessions"), none, zones.element, browser.element);
  return {
    id: "sessions", element, search: browser.search, needs: ["starling/http/sessions", clusterPath, "slabs"],
    update(data) {
      const list = (data["starling/http/sessions"] || []).map((name) => ({key: name, name}));
      show(none, list.length === 0);
      zones.update(list, data[clusterPath], data.slabs);
      browser.tick();
    },
  };
}
