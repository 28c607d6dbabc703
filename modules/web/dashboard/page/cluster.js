// The first view: does the cluster hold together?

const clusterPath = "stream/zone_sync/nodes";

function clusterView() {
  const headline = el("h1", {}, "\u00a0");
  const sub = el("p", {class: "sub"});
  const list = el("ul", {class: "problems"});
  const mark = el("div", {class: "mark", "aria-hidden": "true"});
  const hero = el("section", {class: "hero"}, mark, el("div", {}, headline, sub, list));
  const mesh = new Mesh();
  const figures = {
    requests: figure("Requests", "per second"), connections: figure("Connections", "active"),
    records: figure("Records", "shared"), updates: figure("Updates", "per second"),
    traffic: figure("Sync traffic", "sent"), lag: figure("Replica lag", "at most"),
  };
  const nodes = nodesTable();
  const zones = sharedTable();
  const matrix = el("div", {class: "scroll matrix"});
  const who = section("Who sees whom", null, matrix);
  const nodesSection = section("Nodes", null, nodes.element);
  const zonesSection = section("Shared zones", null, zones.element);
  const alone = empty("This node shares nothing.", "No server has ", code("zone_sync;"),
    ". The other views show what this node does by itself.");
  const picture = el("div", {class: "picture"}, mesh.element);
  const element = el("div", {}, hero, el("div", {class: "split"}, picture,
    el("div", {class: "figures"}, ...Object.values(figures).map((f) => f.card))), nodesSection, zonesSection, who, alone);

  return {
    id: "cluster", element, needs: [clusterPath, unsavedPath, "connections", "http/requests"],
    update(data, at) {
      const s = data[clusterPath];
      for (const e of [hero, picture, nodesSection, zonesSection, who]) show(e, Boolean(s));
      show(alone, !s);
      showTraffic(figures, data, at, s);
      if (!s) return;
      const all = nodesOf(s);
      showHealth({hero, headline, sub, list, mark}, s, all, problems(s, data[unsavedPath]));
      mesh.update(all);
      nodes.update(all);
      zones.update(sharedRows(s, all, at));
      drawMatrix(matrix, all);
      show(who, all.length > 2);
    },
  };
}

function showHealth(page, s, all, wrong) {
  const there = all.filter((n) => n.there).length;
  const busy = s.agreement === "unknown" && !wrong.length;
  const kind = wrong.length ? "bad" : busy ? "busy" : "ok";
  if (page.hero.dataset.kind !== kind) page.hero.dataset.kind = kind;
  setText(page.mark, wrong.length ? "!" : "\u2713");
  let text = all.length === 1 ? "One node, alone" : `${there} nodes, all agree`;
  if (wrong.length) text = there < all.length ? `${there} of ${all.length} nodes are here` : "The cluster needs attention";
  else if (busy) text = `${plural(there, "node", "nodes")}, in touch`;
  setText(page.headline, text);
  setText(page.sub, (s.cluster ? `Cluster \u201c${s.cluster}\u201d, ` : "") + `seen by ${all[0].name}` +
    (busy ? ". Records were written since the last comparison." : ""));
  const shown = wrong.slice(0, 8);
  while (page.list.children.length > shown.length) page.list.lastElementChild.remove();
  shown.forEach((p, i) => {
    if (!page.list.children[i]) page.list.append(el("li"));
    setText(page.list.children[i], p);
  });
}

function showTraffic(figures, data, at, s) {
  const requests = data["http/requests"], connections = data.connections;
  if (requests) {
    const r = histories.rate("requests", at, requests.total);
    figures.requests.set(rate(r.last()), r, `${count(requests.current)} in progress`);
  }
  show(figures.requests.card, Boolean(requests));
  if (connections) {
    const c = histories.level("connections", at, connections.active);
    figures.connections.set(count(connections.active), c, `${count(connections.idle)} idle, ${count(connections.accepted)} in all`);
  }
  for (const f of [figures.records, figures.updates, figures.traffic, figures.lag]) show(f.card, Boolean(s));
  if (!s) return;
  const zones = Object.values(s.zones);
  const sum = (of) => zones.reduce((n, z) => n + (of(z) || 0), 0);
  const records = histories.level("records", at, sum((z) => z.records_total));
  figures.records.set(count(records.last()), records, `${plural(sum((z) => z.tombstones), "tombstone", "tombstones")}, ${bytes(sum((z) => z.record_bytes))}`);
  const updates = histories.rate("updates", at, sum(updatesOf));
  const sent = histories.rate("bytes out", at, s.status.bytes_out), got = histories.rate("bytes in", at, s.status.bytes_in);
  figures.updates.set(rate(updates.last()), updates, `${plural(sum((z) => z.conflicts_lost), "conflict", "conflicts")} lost, ${count(sum((z) => z.records_repaired))} repaired`);
  figures.traffic.set(perSecond(sent.last()), sent, `${perSecond(got.last())} received`);
  const lag = histories.level("lag", at, Math.max(0, ...s.peers.map((p) => p.lag_ms)));
  const pending = s.peers.reduce((n, p) => n + p.records_pending, 0);
  figures.lag.set(millis(lag.last()), lag, `${plural(pending, "record", "records")} on the way`, lag.last() > 1000 ? "bad" : "");
}

// updatesOf are all changes of a zone; limits count none.
const updatesOf = (z) => z.changes;

const perSecond = (n) => (n === undefined ? "\u2013" : bytes(Math.round(n)) + "/s");

function nodesTable() {
  return new Table([
    {title: "Node", sort: (n) => n.name, draw: (cell, n) => {
      if (!cell.firstElementChild) cell.append(el("strong"), " ", el("small"));
      setText(cell.firstElementChild, n.name);
      setText(cell.lastElementChild, n.self ? "this node" : shortID(n.id));
      setAttr(cell, "title", n.id);
    }},
    {title: "State", sort: (n) => n.state, draw: (cell, n) => setPill(cell, n.state)},
    {title: "Agreement", sort: (n) => n.agreement || "", draw: (cell, n) => setPill(cell, n.agreement || "", "",
      n.agreement === "unknown" ? "not compared since the last write, which is usual while records are written" : "")},
    {title: "Lag", num: true, sort: (n) => n.lag || 0, text: (n) => (n.there ? millis(n.lag) : "")},
    {title: "Pending", num: true, sort: (n) => n.pending || 0, text: (n) => count(n.pending)},
    {title: "Round trip", num: true, sort: (n) => n.rtt || 0, text: (n) => (n.there ? millis(n.rtt) : "")},
    {title: "Clock", num: true, sort: (n) => Math.abs(n.clock || 0), draw: (cell, n) => {
      setText(cell, n.clock === undefined || !n.there ? "" : signed(n.clock));
      setAttr(cell, "title", "against the time of the cluster");
      cell.classList.toggle("alarm", Boolean(n.refused));
    }},
    {title: "Lost", num: true, sort: (n) => n.losses || 0, text: (n) => count(n.losses), tip: () => "connections that were lost"},
    {title: "Records", num: true, sort: (n) => recordsOf(n) || 0, text: (n) => count(recordsOf(n)), tip: (n) => n.age ? `told ${millis(n.age)} ago` : ""},
    {title: "Last error", wide: true, class: "soft", text: (n) => n.error || ""},
  ], {mark: (n) => (n.there ? "" : "absent"), caption: "Nodes of the cluster"});
}

// recordsOf are the records of a node in all zones, as it told.
function recordsOf(n) {
  if (!n.summary) return undefined;
  return Object.values(n.summary.zones).reduce((sum, z) => sum + z.records_total, 0);
}

// sharedRows has a row for each zone, and one for each node's copy of it where the node told.
function sharedRows(s, all, at) {
  return Object.entries(s.zones).sort((a, b) => byName(a[0], b[0])).map(([name, z]) => {
    const copies = all.filter((n) => !n.self && n.summary && n.summary.zones && n.summary.zones[name])
      .map((n) => ({node: n.name, zone: n.summary.zones[name]}));
    return {key: name, name, z, copies, series: histories.rate("zone " + name, at, updatesOf(z))};
  });
}

function sharedTable() {
  return new Table([
    {title: "Zone", sort: (r) => r.name, draw: (cell, r) => {
      if (!cell.firstElementChild) cell.append(el("strong"));
      setText(cell.firstElementChild, r.name);
    }},
    {title: "Agreement", sort: (r) => r.z.agreement || "", draw: (cell, r) => setPill(cell, r.z.agreement || "adds up",
      r.z.agreement ? "" : "idle", agreementOf(r.z))},
    {title: "Records", num: true, sort: (r) => r.z.records_total, text: (r) => count(r.z.records_total)},
    {title: "Updates/s", num: true, sort: (r) => r.series.last() || 0, draw: (cell, r) => {
      if (!cell.firstElementChild) cell.append(el("span", {class: "figured"}));
      setText(cell.querySelector("span"), rate(r.series.last()));
      spark(cell, r.series, {width: 90, height: 20});
    }},
    {title: "Pending", num: true, sort: (r) => r.z.records_pending, text: (r) => count(r.z.records_pending)},
    {title: "Tombstones", num: true, sort: (r) => r.z.tombstones, text: (r) => count(r.z.tombstones)},
    {title: "Memory", num: true, sort: (r) => r.z.record_bytes, text: (r) => bytes(r.z.record_bytes + r.z.tombstone_bytes)},
    {title: "Digest", draw: (cell, r) => setDigest(cell, r.z.digest)},
    {title: "Elsewhere", wide: true, draw: drawCopies},
    {title: "Remarks", wide: true, class: "soft", text: (r) => zoneRemarks(r.z)},
  ], {caption: "Zones that the nodes share"});
}

// agreementOf says in a tooltip how the agreement of a zone is known.
function agreementOf(z) {
  if (z.strict) {
    const view = z.strict.view ? `view ${z.strict.view}: ${z.strict.members.length} of ${plural(z.strict.configured, "member", "members")} decide` : "no view yet";
    return z.strict.reason ? `${view}; ${z.strict.reason}` : view;
  }
  if (z.agreement && !z.digest) return "limits and counts have no digest: they agree if this node has all that the others have told";
  return z.agreement ? "" : "the counts of all nodes are added";
}

// strictRemark says who decides on a strict zone, and how much of it is here.
function strictRemark(s) {
  if (s.state === "additive" || s.state === "closed") return `strict: ${s.state}, ${s.reason || "reason unknown"}`;
  const who = `${s.members.length} of ${plural(s.configured, "member", "members")} decide`;
  return `strict: ${s.state === "member" ? who : "this node waits"}, holds ${plural(s.keys_held, "key", "keys")}, owns ${count(s.keys_owned)}`;
}

// drawCopies shows the digest, or the number of records, that each other node has told.
function drawCopies(cell, r) {
  while (cell.children.length > r.copies.length) cell.lastElementChild.remove();
  r.copies.forEach((c, i) => {
    if (!cell.children[i]) cell.append(el("span", {class: "copy"}));
    const own = cell.children[i];
    setDigest(own, c.zone.digest);
    if (!c.zone.digest) setText(own, count(c.zone.records_total));
    setAttr(own, "title", `${c.node}: ${plural(c.zone.records_total, "record", "records")}`);
  });
}

function zoneRemarks(z) {
  const list = z.strict ? [strictRemark(z.strict)] : [];
  if (!z.ready) list.push(`synced ${Math.floor(z.synced_shards * 100 / 256)} %`);
  if (z.full) list.push("full");
  for (const [n, what] of [[z.evicted, "evicted"], [z.refused, "rejected"], [z.refused_stamps, z.refused_stamps === 1 ? "rejected for its stamp" : "rejected for their stamps"],
    [z.tombstones_given_up, z.tombstones_given_up === 1 ? "tombstone dropped" : "tombstones dropped"], [z.records_repaired, "repaired"]]) {
    if (n > 0) list.push(count(n) + " " + what);
  }
  return list.join(", ");
}

// drawMatrix has a row for each node that tells what it sees, and a column for each node that it may see.
function drawMatrix(host, all) {
  const nodes = all.slice(0, 40);
  const cells = nodes.map((from) => nodes.map((to) => sight(from, to)));
  const shape = JSON.stringify([nodes.map((n) => n.name), cells]);
  if (host.dataset.shape === shape) return;
  host.dataset.shape = shape;
  const head = el("tr", {}, el("td"), ...nodes.map((n, i) => el("th", {scope: "col", title: n.name}, String(i + 1))));
  const rows = nodes.map((from, i) => el("tr", {}, el("th", {scope: "row"}, `${i + 1}\u2002${from.name}`),
    ...cells[i].map(([sign, kind, title]) => el("td", {class: kind, title}, sign))));
  host.replaceChildren(el("table", {}, el("caption", {}, "A row is what that node sees of the others"), head, ...rows));
}

function sight(from, to) {
  if (from === to) return ["", "same", from.name];
  let seen;
  if (from.self) seen = to.there ? to.state === "teaching" ? "connected" : to.state : "lost";
  else if (from.summary) seen = ((from.summary.peers || []).find((p) => p.node_id === to.id) || {state: "lost"}).state;
  if (!seen) return ["\u00b7", "idle", `${from.name} has not told what it sees`];
  const signs = {connected: ["\u25cf", "ok"], pushing: ["\u25d0", "warn"], accepted: ["\u25d1", "warn"]};
  const [sign, kind] = signs[seen] || ["\u00d7", "bad"];
  return [sign, kind, `${from.name} sees ${to.name}: ${seen}`];
}
