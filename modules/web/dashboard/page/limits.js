// Limits: how many requests and connections passed, and which keys are limited most.

function limitsView() {
  const trend = (title, of, kind) => ({title, num: true, sort: (r) => r[of].last() || 0, draw: (cell, r) => {
    if (!cell.firstElementChild) cell.append(el("span", {class: "figured"}));
    setText(cell.querySelector("span"), rate(r[of].last()));
    spark(cell, r[of], {width: 90, height: 20, kind});
  }});
  const name = {title: "Zone", sort: (r) => r.name, draw: (cell, r) => {
    if (!cell.firstElementChild) cell.append(el("strong"));
    setText(cell.firstElementChild, r.name);
  }};
  const total = (title, of) => ({title, num: true, sort: (r) => r.z[of], text: (r) => count(r.z[of])});
  const requests = new Table([name, trend("Passed/s", "passed"), trend("Delayed/s", "delayed", "warn"), trend("Rejected/s", "rejected", "bad"),
    total("Passed", "passed"), total("Delayed", "delayed"), total("Rejected", "rejected"),
    {title: "Dry run", num: true, text: (r) => count(r.z.delayed_dry_run + r.z.rejected_dry_run)}], {caption: "Limits of requests"});
  const connections = new Table([name, trend("Passed/s", "passed"), trend("Rejected/s", "rejected", "bad"),
    total("Passed", "passed"), total("Rejected", "rejected"), {title: "Dry run", num: true, text: (r) => count(r.z.rejected_dry_run)}],
  {caption: "Limits of connections"});
  const most = new Table([
    {title: "Key", class: "mono", wide: true, text: (r) => r.label},
    {title: "Zone", text: (r) => r.zone},
    {title: "Excess", num: true, text: (r) => (r.excess / 1000).toFixed(1), tip: () => "requests above the rate, as nginx logs it"},
    {title: "Of the burst", draw: (cell, r) => {
      const share = r.burst > 0 ? r.excess / r.burst : r.excess > 0 ? 1 : 0;
      setBar(cell, [[share, share >= 1 ? "bad" : share > 0.6 ? "warn" : "fill"]], Math.round(share * 100) + " %");
    }},
  ], {none: "Nobody is limited at the moment.", caption: "Keys that are limited most"});
  const held = new Table([
    {title: "Key", class: "mono", wide: true, text: (r) => r.label},
    {title: "Zone", text: (r) => r.zone},
    {title: "In progress", num: true, text: (r) => count(r.connections), tip: () => "at all nodes that share the zone"},
    {title: "Here", num: true, text: (r) => r.here === undefined ? "" : count(r.here), tip: () => "at this node, if the zone is shared"},
  ], {none: "No request or connection is in progress.", caption: "Keys with the most connections"});
  const heldPart = section("Most connections", null, held.element);
  const requestsPart = section("Requests", null, requests.element);
  const connectionsPart = section("Connections", null, connections.element);
  const mostPart = section("Limited most", null, most.element);
  const strict = strictTables();
  const none = empty("There is no limit.", "Declare one with ", code("limit_req_zone"), " or ", code("limit_conn_zone"), ".");
  const element = el("div", {}, el("h1", {}, "Limits"), none, mostPart, requestsPart, ...strict.parts, heldPart, connectionsPart);
  return {
    id: "limits", element, needs: ["http/limit_reqs", "http/limit_conns", "stream/limit_conns", "starling/http/limit_reqs",
      "starling/http/limit_conns", "starling/stream/limit_conns"],
    update(data, at) {
      const rows = (path) => Object.entries(data[path] || {}).sort((a, b) => byName(a[0], b[0])).map(([zone, z]) => {
        const at2 = (what) => histories.rate(`${path} ${zone} ${what}`, at, z[what] || 0);
        return {key: path + zone, name: zone, z, passed: at2("passed"), delayed: at2("delayed"), rejected: at2("rejected")};
      });
      const r = rows("http/limit_reqs"), c = rows("http/limit_conns").concat(rows("stream/limit_conns"));
      requests.update(r);
      connections.update(c);
      show(requestsPart, r.length > 0);
      show(connectionsPart, c.length > 0);
      show(none, !r.length && !c.length);
      const keys = Object.entries(data["starling/http/limit_reqs"] || {}).flatMap(([zone, z]) => (z.keys || []).map((k) => ({
        key: zone + " " + k.key, label: k.key, zone, excess: k.excess, burst: z.burst,
      }))).sort((a, b) => b.excess - a.excess).slice(0, 50);
      most.update(keys);
      strict.update({...data["starling/http/limit_reqs"], ...slotsAsPieces(data["starling/http/limit_conns"]),
        ...slotsAsPieces(data["starling/stream/limit_conns"])});
      held.update(["http", "stream"].flatMap((side) => Object.entries(data[`starling/${side}/limit_conns`] || {}).flatMap(
        ([zone, z]) => (z.keys || []).map((k) => ({key: `${side} ${zone} ${k.key}`, label: k.key, zone, connections: k.connections, here: k.here})),
      )).sort((a, b) => b.connections - a.connections).slice(0, 50));
      show(heldPart, Boolean(data["starling/http/limit_conns"]) && c.length > 0);
      show(mostPart, Boolean(data["starling/http/limit_reqs"]) && r.length > 0);
    },
  };
}
