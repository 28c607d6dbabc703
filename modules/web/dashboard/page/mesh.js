// The drawing of the cluster: a circle of nodes, and a line wherever one node pushes its changes to another.

class Mesh {
  constructor() {
    this.lines = svg("g", {class: "lines"});
    this.dots = svg("g", {class: "dots"});
    this.element = svg("svg", {class: "mesh", viewBox: "0 0 420 320", role: "img"}, this.lines, this.dots);
    this.shape = "";
  }

  update(nodes) {
    const drawn = nodes.slice(0, 40);
    const shape = JSON.stringify(drawn.map((n) => [n.key, n.name, n.state, n.agreement, n.self, links(n)]));
    if (shape === this.shape) return;
    this.shape = shape;
    this.lines.replaceChildren();
    this.dots.replaceChildren();
    const places = new Map(drawn.map((n, i) => [n.key, place(i, drawn.length)]));
    this.draw(drawn, places);
    const there = drawn.filter((n) => n.there).length;
    setAttr(this.element, "aria-label", `nodes reached: ${there} of ${drawn.length}`);
  }

  draw(nodes, places) {
    const self = nodes.find((n) => n.self);
    const done = new Set();
    const line = (from, to, kind, title) => {
      const name = from + ">" + to;
      if (done.has(name) || !places.has(from) || !places.has(to)) return;
      done.add(name);
      this.lines.append(arc(places.get(from), places.get(to), nodes.length === 2, kind, title));
    };
    for (const n of nodes) {
      if (n.self) continue;
      const kind = lineKind(n.agreement);
      line(self.key, n.key, n.pushing ? kind : "gone", `this node ${n.pushing ? "pushes to" : "does not reach"} ${n.name}`);
      line(n.key, self.key, n.accepted ? kind : "gone", `${n.name} ${n.accepted ? "pushes to" : "does not reach"} this node`);
    }
    for (const n of nodes) { // what the others tell of each other
      for (const p of n.self || !n.summary ? [] : n.summary.peers || []) {
        const other = nodes.find((m) => m.id === p.node_id);
        if (!other || other.self) continue;
        line(n.key, p.node_id, p.pushing ? lineKind(p.agreement) : "gone", `${n.name} ${p.pushing ? "pushes to" : "does not reach"} ${other.name}`);
      }
    }
    nodes.forEach((n, i) => this.dots.append(dot(n, places.get(n.key), nodes.length, i)));
  }
}

const lineKind = (agreement) => (agreement === "differ" ? "bad" : agreement === "agree" ? "ok" : "idle");

const links = (n) => [n.pushing, n.accepted, ((n.summary && n.summary.peers) || []).map((p) => [p.node_id, p.pushing, p.agreement])];

function place(i, of) {
  if (of === 1) return [210, 150];
  const angle = -Math.PI / 2 + i * 2 * Math.PI / of + (of === 2 ? Math.PI / 2 : 0);
  return [210 + 150 * Math.cos(angle), (of === 3 ? 186 : 160) + (of === 2 ? 0 : of === 3 ? 125 : 108) * Math.sin(angle)];
}

// arc bends a little, so that the two directions lie beside each other, and stops before the node.
function arc(a, b, straight, kind, title) {
  const dx = b[0] - a[0], dy = b[1] - a[1], length = Math.hypot(dx, dy) || 1;
  const gap = 30, bend = straight ? 16 : 10;
  const from = [a[0] + dx / length * gap - dy / length * 4, a[1] + dy / length * gap + dx / length * 4];
  const to = [b[0] - dx / length * gap - dy / length * 4, b[1] - dy / length * gap + dx / length * 4];
  const mid = [(a[0] + b[0]) / 2 - dy / length * bend, (a[1] + b[1]) / 2 + dx / length * bend];
  const d = `M${from.map(r1)}Q${mid.map(r1)} ${to.map(r1)}`;
  const text = svg("title");
  text.textContent = title;
  return svg("path", {class: kind, d}, text);
}

const r1 = (n) => n.toFixed(1);

function dot(n, at, many, number) {
  const kind = !n.there ? "bad" : n.agreement === "differ" ? "bad" : n.state === "not ready" || n.state === "teaching" ? "warn" : "ok";
  const radius = many > 12 ? 11 : 22;
  const text = svg("title");
  text.textContent = `${n.name}: ${n.state}`;
  const g = svg("g", {class: "node " + kind + (n.self ? " self" : ""), transform: `translate(${at.map(r1)})`},
    text, svg("circle", {r: radius}), label(n.there ? String(number + 1) : "\u00d7", 5, "number"));
  if (many <= 12) g.append(label(n.name, at[1] < 120 ? -radius - 9 : radius + 17, "name"));
  return g;
}

function label(text, y, kind) {
  const t = svg("text", {class: kind, y, "text-anchor": "middle"});
  t.textContent = text;
  return t;
}
