// Upstreams: the health of each server, and buttons that drain it where the API allows writes.

function upstreamsView() {
  const filter = el("input", {type: "search", class: "search", placeholder: "Filter servers", "aria-label": "Filter servers", oninput: () => last && draw()});
  const onlyTrouble = el("input", {type: "checkbox", id: "trouble", onchange: () => last && draw()});
  const host = el("div");
  const none = empty("No upstream is shown.", "Give an ", code("upstream"), " block a ", code("zone"), ".");
  const element = el("div", {}, el("h1", {}, "Upstreams"), el("div", {class: "row"}, filter,
    el("label", {class: "check", for: "trouble"}, onlyTrouble, "Only those that do not serve")), none, host);
  const groups = new Map();
  let last, turn = 0;
  const draw = () => {
    const [data, at] = last;
    const all = [];
    for (const side of ["http", "stream"]) {
      for (const [name, g] of Object.entries(data[side + "/upstreams"] || {})) all.push({key: side + "/" + name, side, name, g});
    }
    all.sort((a, b) => byName(a.name, b.name));
    show(none, all.length === 0);
    for (const [key, part] of groups) if (!all.some((u) => u.key === key)) { part.element.remove(); groups.delete(key); }
    for (const u of all) {
      let part = groups.get(u.key);
      if (!part) {
        groups.set(u.key, part = new UpstreamPart(u));
        host.append(part.element);
      }
      part.differ(data[part.healthPath]);
      part.update(u, at, filter.value.toLowerCase(), onlyTrouble.checked);
    }
  };
  // more is what the nodes make of a few of the groups, in turns: there can be thousands of groups.
  const more = () => {
    const paths = [...groups.values()].map((part) => part.healthPath);
    const few = paths.length <= groupsAtOnce ? paths : paths.concat(paths).slice(turn % paths.length).slice(0, groupsAtOnce);
    turn += groupsAtOnce;
    return few;
  };
  return {
    id: "upstreams", element, needs: ["http/upstreams", "stream/upstreams"], more, search: filter,
    update(data, at) { last = [data, at]; draw(); },
  };
}

const groupsAtOnce = 4;

class UpstreamPart {
  constructor(u) {
    this.u = u;
    this.healthPath = pathOf(u.side, "upstreams", u.name, "health");
    this.differs = el("ul", {class: "problems differs", hidden: true});
    this.bar = el("div", {class: "states"});
    this.note = el("span", {class: "note"});
    this.chart = el("div", {class: "chart wide"});
    this.table = new Table(this.columns(u.side === "http"), {mark: (r) => "server " + kindOf(r.s), none: "No server matches.", caption: "Servers of " + u.name});
    this.element = el("section", {class: "upstream"}, el("h2", {}, u.name, el("small", {}, u.side === "http" ? "" : "stream"), this.note),
      this.differs, el("div", {class: "row spread"}, this.bar, this.chart), this.table.element);
  }

  // differ names the health checks that are not the same on all nodes. seen has them for each server again.
  differ(seen) {
    const texts = [...new Set((seen || []).flatMap((one) => (one.differs || []).map((d) => {
      const node = `node ${d.node}${d.host ? ` (${d.host})` : ""}`;
      const what = d.at ? `The health check in ${one.check} is not that of ${node} in ${d.at}: ${d.terms}`
        : `${node[0].toUpperCase() + node.slice(1)} has no health check like that in ${one.check}`;
      return `${what}: ${d.remedy}.`;
    })))].sort(byName);
    show(this.differs, texts.length > 0);
    while (this.differs.children.length > texts.length) this.differs.lastElementChild.remove();
    texts.forEach((text, i) => {
      if (!this.differs.children[i]) this.differs.append(el("li"));
      setText(this.differs.children[i], text);
    });
  }

  columns(http) {
    const figure = (title, of, format) => ({title, num: true, sort: (r) => of(r) || 0, text: (r) => (format || count)(of(r))});
    const list = [
      {title: "Server", sort: (r) => r.s.name, draw: (cell, r) => {
        if (!cell.firstElementChild) cell.append(el("strong"), " ", el("small"));
        setText(cell.firstElementChild, r.s.server);
        setText(cell.lastElementChild, [r.s.name !== r.s.server ? r.s.name : "", r.s.backup ? "backup" : ""].filter(Boolean).join(", "));
      }},
      {title: "State", sort: (r) => r.s.state, draw: (cell, r) => setPill(cell, r.s.state, kindOf(r.s), r.s.downstart ? "since " + r.s.downstart : "")},
      figure("Weight", (r) => r.s.weight), figure("Active", (r) => r.s.active),
      figure(http ? "Requests/s" : "Connections/s", (r) => r.rate.last(), rate), figure(http ? "Requests" : "Connections", (r) => r.n),
    ];
    if (http) {
      list.push({title: "Responses", draw: (cell, r) => responseBar(cell, r.s.responses)});
    }
    list.push(figure("Fails", (r) => r.s.fails), {title: "Checks", num: true, sort: (r) => r.s.health_checks.fails, text: (r) => checks(r.s.health_checks)},
      figure(http ? "Response" : "First byte", (r) => (http ? r.s.response_time : r.s.first_byte_time), millis), {...figure("Sent", (r) => r.s.sent, bytes), extra: true},
      {title: "", class: "actions", draw: (cell, r) => this.actions(cell, r)});
    return list;
  }

  actions(cell, r) {
    cell.row = r;
    if (!cell.firstElementChild) {
      cell.append(
        el("button", {type: "button", class: "drain", title: "Only requests of existing sessions", onclick: () => this.set(cell.row, {drain: true}, "drains")}, "Drain"),
        el("button", {type: "button", class: "down", title: "No requests at all", onclick: () => this.set(cell.row, {down: true}, "is down")}, "Down"),
        el("button", {type: "button", class: "up", onclick: () => this.set(cell.row, {down: false}, "serves again")}, "Up"));
    }
    const out = r.s.state === "draining" || r.s.state === "down";
    show(cell.children[0], state.writes && !out && this.u.side === "http");
    show(cell.children[1], state.writes && r.s.state !== "down");
    show(cell.children[2], state.writes && out);
  }

  set(r, body, what) {
    return change(`${r.s.server} ${what} on this node`, "PATCH", pathOf(this.u.side, "upstreams", this.u.name, "servers", r.s.id), body);
  }

  update(u, at, filter, onlyTrouble) {
    const peers = u.g.peers;
    const rows = peers.map((s) => {
      const n = s.requests !== undefined ? s.requests : s.connections;
      return {key: s.id, s, n, rate: histories.rate(`${u.key} ${s.id}`, at, n)};
    });
    const by = {};
    for (const s of peers) by[s.state] = (by[s.state] || 0) + 1;
    const parts = Object.entries(by).sort((a, b) => byName(a[0], b[0]));
    setText(this.note, parts.map(([state, n]) => `${count(n)} ${state}`).join(", ") || "no servers");
    setBar(this.bar, parts.map(([state, n]) => [n / peers.length, kinds[state] || "idle"]), this.note.textContent);
    const all = histories.rate(u.key, at, rows.reduce((n, r) => n + r.n, 0));
    spark(this.chart, all, {width: 240, height: 30});
    setAttr(this.chart, "title", rate(all.last()) + " per second");
    this.table.update(rows.filter((r) => (!onlyTrouble || r.s.state !== "up") &&
      (!filter || (r.s.server + " " + r.s.name + " " + r.s.state).toLowerCase().includes(filter))));
  }
}

const kindOf = (s) => kinds[s.state] || "idle";

function checks(c) {
  if (!c || !c.checks) return "";
  return c.fails ? `${count(c.fails)} of ${count(c.checks)} failed` : count(c.checks);
}

// responseBar shows the shares of the classes of responses.
function responseBar(cell, r) {
  const total = r.total || 0;
  const part = (n) => (total ? n / total : 0);
  setBar(cell, [[part((r["1xx"] || 0) + (r["2xx"] || 0)), "ok"], [part(r["3xx"] || 0), "fill"], [part(r["4xx"] || 0), "warn"], [part(r["5xx"] || 0), "bad"]],
    ["1xx", "2xx", "3xx", "4xx", "5xx"].filter((c) => r[c]).map((c) => `${c}: ${count(r[c])}`).join(", ") || "no response yet");
}
