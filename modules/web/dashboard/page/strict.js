// Strict limits: whether this node decides, in which view, and who holds how much of the buckets that were used last.

// strictStates say what a node does with requests: the text of the pill, its color, and more in its tooltip.
function strictState(s) {
  if (s.in_fallback) return ["alone", "warn", "no contact to the majority of the members: this node admits its share of the limit by itself"];
  const states = {
    member: ["decides", "ok", "this node decides, as a member of the view"],
    waiting: ["rejects", "bad", "no contact to the majority of the members, or no member yet: requests are rejected"],
    additive: ["adds up", "warn", "a member runs an older release: requests are only added up after the fact"],
    closed: ["rejects", "bad", "requests are rejected"],
  };
  const [text, kind, title] = states[s.state] || [s.state, "idle", ""];
  return [text, kind, s.reason ? title + ": " + s.reason : title];
}

// requestsOf shows an amount in thousandths of requests.
const requestsOf = (milli) => (milli === undefined ? "" : milli % 1000 ? (milli / 1000).toFixed(1) : count(milli / 1000));

// drawHolders shows a bucket: the part of each member, that of this node first, and the pool.
function drawHolders(cell, r) {
  const whole = r.burst + 1000;
  if (!cell.firstElementChild) cell.append(el("div"), el("small", {class: "mono"}));
  const [bar, list] = cell.children;
  if (!r.k.mode) { // only the owner knows
    setBar(bar, [[r.k.capacity / whole, "fill"]], `this node holds ${requestsOf(r.k.capacity)} of ${requestsOf(whole)}`);
    setText(list, "");
    return;
  }
  const holders = Object.entries(r.k.holders || {}).sort((a, b) => b[1] - a[1] || byName(a[0], b[0]));
  const texts = holders.map(([name, part]) => `${name} ${requestsOf(part)}`).concat(`pool ${requestsOf(r.k.pool || 0)}`);
  const parts = holders.map(([, part], i) => [part / whole, i % 2 ? "ok" : "fill"]).concat([[(r.k.pool || 0) / whole, "idle"]]);
  setBar(bar, parts, texts.join(", "));
  setText(list, texts.join(", "));
}

// slotsAsPieces shows the slots of zones of connections as pieces of buckets, in 1/1000.
function slotsAsPieces(zones) {
  const times = (n) => (n || 0) * 1000;
  return Object.fromEntries(Object.entries(zones || {}).filter(([, z]) => z.strict).map(([name, z]) => [name, {
    burst: times(z.strict.limit - 1),
    strict: {...z.strict, keys: z.strict.keys.map((k) => ({
      key: k.key, owner: k.owner, capacity: times(k.slots), level: times(k.connections), pool: times(k.free),
      mode: k.holders && "by slots", holders: k.holders && Object.fromEntries(Object.entries(k.holders).map(([who, n]) => [who, times(n)])),
    }))},
  }]));
}

// strictTables are the parts of the view of limits for strict zones.
function strictTables() {
  const zones = new Table([
    {title: "Zone", sort: (r) => r.name, draw: (cell, r) => {
      if (!cell.firstElementChild) cell.append(el("strong"));
      setText(cell.firstElementChild, r.name);
    }},
    {title: "State", draw: (cell, r) => setPill(cell, ...strictState(r.s))},
    {title: "View", num: true, text: (r) => count(r.s.view), tip: () => "number of the agreed list of members that decide"},
    {title: "Members", class: "mono soft", wide: true, text: (r) => r.s.members.join(", ") || r.s.reason || ""},
    {title: "Without a majority", text: (r) => (r.s.fallback === "share" ? "admits a share" : "rejects"), tip: () => "strict_fallback"},
    {title: "Waited", num: true, extra: true, text: (r) => count(r.s.waited), tip: () => "requests or connections that waited for the owner of their key"},
    {title: "Rejected for contact", num: true, extra: true, text: (r) => count(r.s.no_lease + r.s.fallback_rejected),
      tip: () => "because this node does not reach the majority of the members"},
    {title: "Admitted alone", num: true, extra: true, text: (r) => count(r.s.fallback_admitted), tip: () => "by this node's share, without the other members"},
    {title: "Ended", num: true, extra: true, text: (r) => (r.s.ended === undefined ? "" : count(r.s.ended)),
      tip: () => "connections that this node has ended, because it lost contact to the majority of the members"},
    {title: "Keys", num: true, text: (r) => count(r.s.keys_held), tip: (r) => `this node holds a part of ${plural(r.s.keys_held, "key", "keys")}, and owns ${count(r.s.keys_owned)}`},
  ], {caption: "Strict zones"});
  const keys = new Table([
    {title: "Key", class: "mono", wide: true, text: (r) => r.k.key},
    {title: "Zone", text: (r) => r.zone},
    {title: "Owner", class: "mono", text: (r) => r.k.owner || "", tip: (r) => (r.k.mode ? "this node: it distributes the bucket, " + r.k.mode : "it distributes the bucket")},
    {title: "Here", num: true, text: (r) => requestsOf(r.k.capacity), tip: () => "requests or connections that this node may admit at once by itself, if none is used"},
    {title: "Used here", num: true, text: (r) => requestsOf(r.k.level)},
    {title: "Who holds what", wide: true, draw: drawHolders},
  ], {none: "No key has been used lately.", caption: "Who holds what of strict limits"});
  const zonesPart = section("Strict limits", null, zones.element);
  const keysPart = section("Who holds what", null, keys.element);
  return {
    parts: [zonesPart, keysPart],
    update(limits) {
      const strict = Object.entries(limits || {}).filter(([, z]) => z.strict).sort((a, b) => byName(a[0], b[0]));
      show(zonesPart, strict.length > 0);
      show(keysPart, strict.length > 0);
      zones.update(strict.map(([name, z]) => ({key: name, name, s: z.strict})));
      keys.update(strict.flatMap(([zone, z]) => z.strict.keys.map((k) => ({key: zone + " " + k.key, zone, k, burst: z.burst}))));
    },
  };
}
