// The state of the cluster as this node tells it.

const unsavedPath = "starling/unsaved_files";

// problems are the reasons why the cluster is not healthy, in the words of "starling status". unsaved are the files that
// this node could not write.
function problems(s, unsaved) {
  const list = ((unsaved || {}).files || []).map((f) => `${f.file} cannot be written; a restart would lose the latest changes: ${f.error}.`);
  if (!s.ready) list.push("This node is not ready: " + (s.not_ready || "reason unknown") + ".");
  if (s.warning) list.push(s.warning);
  for (const m of s.members || []) {
    if (m.state === "connecting" || m.state === "unresolved") {
      list.push(`${m.address || m.member} is not reached: ${m.last_error || "reason unknown"}.`);
    }
  }
  for (const p of s.peers || []) {
    const name = peerName(p);
    if (p.state === "pushing") list.push(`${name} does not connect to this node.`);
    if (p.state === "accepted") list.push(`${name} connects to this node, which does not connect to it: list it with "zone_sync_server".`);
    if (p.clock_refused) list.push(`The clock of ${name} is ${millis(p.clock_offset_ms)} off: run NTP there.`);
    for (const mismatch of p.mismatches || []) list.push(`A zone is not shared with ${name}: ${mismatch}`);
  }
  for (const [name, z] of Object.entries(s.zones || {}).sort((a, b) => byName(a[0], b[0]))) {
    if (z.agreement === "differ") {
      const who = (s.peers || []).filter((p) => ((p.digests || {})[name] || {}).state === "differ").map(peerName);
      const why = (s.peers || []).map((p) => ((p.digests || {})[name] || {}).rejected).find(Boolean);
      list.push(`Zone ${name} differs from that of ${who.join(", ") || "a peer"}${why ? ": " + why : ""}.`);
    }
    if (z.agreement === "full, not comparable" && !z.full) list.push(`Zone ${name} of a peer is full: increase its size there.`);
    const why = z.strict && undecided(s, z.strict);
    if (why) list.push(`Strict zone ${name} ${why}.`);
    if (z.full) list.push(`Zone ${name} rejects or has evicted records: increase its size.`);
  }
  if (!list.length && !s.nodes_agree && s.agreement !== "unknown") list.push("The nodes do not agree.");
  return list;
}

// undecided is why not all members of the list decide on a strict zone. One that is additive, for an older release, agrees
// as its counts do.
function undecided(s, z) {
  const deciding = z.members || [];
  if (z.state === "closed") return "does not decide: " + z.reason;
  if (z.state === "waiting") return "waits for the other members";
  if (z.state !== "member" || deciding.length >= z.configured) return "";
  const without = (s.members || []).filter((m) => !deciding.includes(m.address)).map((m) => m.address || m.member);
  if (!without.length) return `is decided by ${deciding.length} of ${z.configured} members: look for the reason on the others`;
  return `is decided without ${without.join(", ")}: look for the reason there`;
}

const peerName = (p) => p.address || p.from_address || shortID(p.node_id);

// nodesOf lists this node, its peers, and members that are not reached. What a node told about itself is its summary.
function nodesOf(s) {
  const own = (s.members || []).find((m) => m.state === "self");
  const list = [{
    key: s.node_id, id: s.node_id, name: own ? own.address : "this node", self: true, state: s.ready ? "ready" : "not ready",
    agreement: s.agreement, lag: undefined, pending: undefined, rtt: undefined, clock: -s.clock_offset_ms,
    losses: undefined, error: s.not_ready, there: true, summary: summaryOf(s), age: 0,
  }];
  const known = new Set();
  for (const p of s.peers || []) {
    if (p.state === "replaced") continue; // by an upgrade or a restart: nobody to look for
    if (p.address) known.add(p.address);
    const view = p.state === "lost" ? undefined : (s.views || {})[p.node_id];
    list.push({
      key: p.node_id, id: p.node_id, name: peerName(p), state: p.teaching && p.state !== "lost" ? "teaching" : p.state,
      agreement: p.state === "lost" ? "" : worstOf(p), lag: p.lag_ms, pending: p.records_pending, rtt: p.rtt_ms,
      clock: p.clock_offset_ms - s.clock_offset_ms, refused: p.clock_refused, losses: p.connections_lost,
      error: p.last_error, there: p.state !== "lost", pushing: p.pushing, accepted: p.accepted, digests: p.digests || {},
      version: p.protocol_version, summary: view, age: view && view.age_ms,
    });
  }
  for (const m of s.members || []) {
    if (m.state !== "connecting" && m.state !== "unresolved" || known.has(m.address)) continue;
    list.push({key: "member " + (m.address || m.member), name: m.address || m.member, state: m.state, error: m.last_error, there: false});
  }
  // A member that is down stays in the list of peers as lost; its error is that of dialling it.
  for (const n of list) {
    const m = (s.members || []).find((x) => x.address === n.name && x.state === "connecting");
    if (m && !n.there) n.error = m.last_error || n.error;
  }
  return [list[0], ...list.slice(1).sort((a, b) => a.name.localeCompare(b.name, "en", {numeric: true}))];
}

// summaryOf is what this node would tell about itself.
function summaryOf(s) {
  return {ready: s.ready, nodes_agree: s.nodes_agree, agreement: s.agreement, zones: s.zones, peers: s.peers};
}

function worstOf(p) {
  const states = Object.values(p.digests || {}).map((d) => d.state);
  for (const state of ["differ", "full, not comparable", "unknown", "agree"]) if (states.includes(state)) return state;
  return "";
}

// The color of a digest: nodes with the same records have the same one. It is a help for the eye; the text decides.
function digestColor(digest) {
  const n = parseInt((digest || "0").slice(0, 6), 16);
  return `hsl(${n % 360} 45% ${45 + (n >> 9) % 15}%)`;
}

function setDigest(cell, digest) {
  let chip = cell.firstElementChild;
  if (!chip) cell.append(chip = el("span", {class: "digest"}, el("i"), el("code")));
  show(chip, Boolean(digest));
  if (!digest) return;
  const color = digestColor(digest);
  if (chip.dataset.color !== color) {
    chip.dataset.color = color;
    chip.firstElementChild.style.background = color;
  }
  setText(chip.lastElementChild, digest.slice(0, 8));
  setAttr(chip, "title", "digest of all records: " + digest);
}
