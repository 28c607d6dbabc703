// Server zones, caches and TLS.

function zoneCard(title) {
  const b = el("b", {}, "\u2013"), chart = el("div", {class: "chart"}), bar = el("div"), note = el("p", {class: "note"}), ssl = el("p", {class: "note"});
  const card = el("article", {class: "zone"}, el("h3", {}, title), el("p", {}, b, " ", el("span", {}, "per second")), chart, bar, note, ssl);
  return {card, update(key, z, at) {
    const requests = z.requests !== undefined ? z.requests : z.connections;
    const r = histories.rate(key, at, requests);
    setText(b, rate(r.last()));
    spark(chart, r, {width: 260, height: 44});
    const responses = z.responses || z.sessions;
    if (responses) responseBar(bar, responses);
    const sent = histories.rate(key + " sent", at, z.sent), got = histories.rate(key + " received", at, z.received);
    setText(note, [plural(requests, "request", "requests"), z.processing ? count(z.processing) + " in progress" : "",
      `out ${perSecond(sent.last())}`, `in ${perSecond(got.last())}`, z.discarded ? count(z.discarded) + " discarded" : ""].filter(Boolean).join(", "));
    setText(ssl, z.ssl && z.ssl.handshakes ? `TLS: ${plural(z.ssl.handshakes, "handshake", "handshakes")}, ${count(z.ssl.session_reuses)} resumed, ${count(z.ssl.handshakes_failed)} failed` : "");
  }};
}

class Cards {
  constructor() {
    this.element = el("div", {class: "cards"});
    this.cards = new Map();
  }

  update(prefix, zones, at) {
    const names = Object.keys(zones || {}).sort();
    for (const [name, c] of this.cards) if (!names.includes(name)) { c.card.remove(); this.cards.delete(name); }
    for (const name of names) {
      let c = this.cards.get(name);
      if (!c) {
        this.cards.set(name, c = zoneCard(name));
        this.element.append(c.card);
      }
      c.update(prefix + name, zones[name], at);
    }
    return names.length > 0;
  }
}

function trafficView() {
  const parts = [["http/server_zones", "Servers"], ["http/location_zones", "Locations"], ["stream/server_zones", "Servers of stream"]]
    .map(([path, title]) => {
      const cards = new Cards();
      return {path, cards, element: section(title, null, cards.element)};
    });
  const none = empty("No zone is counted.", "Give servers and locations a ", code("status_zone"), ".");
  const element = el("div", {}, el("h1", {}, "Traffic"), none, ...parts.map((p) => p.element));
  return {
    id: "traffic", element, needs: parts.map((p) => p.path),
    update(data, at) {
      let any = false;
      for (const p of parts) {
        const there = p.cards.update(p.path + " ", data[p.path], at);
        show(p.element, there);
        any = any || there;
      }
      show(none, !any);
    },
  };
}

function cachesView() {
  const sum = (z, ...names) => names.reduce((n, name) => n + ((z[name] || {}).responses || 0), 0);
  const table = new Table([
    {title: "Cache", sort: (r) => r.key, draw: (cell, r) => {
      if (!cell.firstElementChild) cell.append(el("strong"), " ", el("small"));
      setText(cell.firstElementChild, r.key);
      setText(cell.lastElementChild, r.z.cold ? "cold" : "");
    }},
    {title: "Size", draw: (cell, r) => setBar(cell, [[r.z.max_size ? r.z.size / r.z.max_size : 0, "fill"]],
      bytes(r.z.size) + (r.z.max_size ? " of " + bytes(r.z.max_size) : ""))},
    {title: "Hits", num: true, text: (r) => count(r.hits)},
    {title: "Misses", num: true, text: (r) => count(r.misses)},
    {title: "Hit ratio", num: true, sort: (r) => r.ratio, text: (r) => (r.hits + r.misses ? Math.round(r.ratio * 100) + "\u00a0%" : "")},
  ], {caption: "Caches"});
  const none = empty("There is no cache.", "Responses are not cached by this configuration.");
  const element = el("div", {}, el("h1", {}, "Caches"), none, table.element);
  return {
    id: "caches", element, needs: ["http/caches"], optional: true,
    update(data) {
      const rows = Object.entries(data["http/caches"] || {}).map(([key, z]) => {
        const hits = sum(z, "hit", "stale", "updating", "revalidated"), misses = sum(z, "miss", "expired", "bypass");
        return {key, z, hits, misses, ratio: hits + misses ? hits / (hits + misses) : 0};
      });
      show(none, rows.length === 0);
      show(table.element, rows.length > 0);
      table.update(rows);
      return rows.length > 0;
    },
  };
}

function tlsView() {
  const figures = {done: figure("Handshakes", "per second"), failed: figure("Failed", "per second"), reused: figure("Resumed", "of all")};
  const reasons = el("p", {class: "note"});
  const table = new Table([
    {title: "Certificate", sort: (c) => c.file, wide: true, draw: (cell, c) => {
      if (!cell.firstElementChild) cell.append(el("strong"), el("small"));
      setText(cell.firstElementChild, (c.names || []).join(", ") || c.subject);
      setText(cell.lastElementChild, " " + c.file);
    }},
    {title: "Expires in", num: true, sort: (c) => c.days_left, draw: (cell, c) =>
      setPill(cell, c.expires_in_seconds < 0 ? "expired" : plural(c.days_left, "day", "days"), c.days_left < 1 ? "bad" : c.days_left < 14 ? "warn" : "ok", c.not_after)},
    {title: "Issuer", wide: true, class: "soft", text: (c) => c.issuer},
    {title: "Used by", wide: true, class: "soft", text: (c) => c.directive + (c.uses > 1 ? `, ${c.uses} times` : "")},
  ], {none: "No certificate is used.", caption: "Certificates", order: {column: 1, down: false}});
  const element = el("div", {}, el("h1", {}, "TLS"), el("div", {class: "figures"}, ...Object.values(figures).map((f) => f.card)), reasons,
    section("Certificates", null, table.element));
  return {
    id: "tls", element, needs: ["ssl", "ssl/certificates"],
    update(data, at) {
      const s = data.ssl || {};
      const done = histories.rate("tls", at, s.handshakes || 0), failed = histories.rate("tls failed", at, s.handshakes_failed || 0);
      figures.done.set(rate(done.last()), done, count(s.handshakes) + " in all");
      figures.failed.set(rate(failed.last()), failed, count(s.handshakes_failed) + " in all", "bad");
      const share = s.handshakes ? Math.round(100 * s.session_reuses / s.handshakes) : 0;
      figures.reused.set(share + "\u00a0%", histories.level("tls reused", at, share), plural(s.session_reuses, "session", "sessions"));
      setText(reasons, failures(s));
      const c = data["ssl/certificates"];
      const list = Array.isArray(c) ? c : (c && c.certificates) || [];
      table.update(list.map((one, i) => Object.assign({}, one, {key: one.file + " " + one.serial + " " + i})));
    },
  };
}

// failures lists the counts of failed handshakes by reason that are not zero.
function failures(s) {
  const names = {no_common_protocol: "no common protocol", no_common_cipher: "no common cipher", handshake_timeout: "timed out",
    peer_rejected_cert: "certificate rejected by the peer"};
  const list = Object.entries(names).filter(([key]) => s[key]).map(([key, text]) => `${text}: ${count(s[key])}`);
  for (const [key, n] of Object.entries(s.verify_failures || {})) if (n) list.push(`${key.replaceAll("_", " ")}: ${count(n)}`);
  return list.join(", ");
}
