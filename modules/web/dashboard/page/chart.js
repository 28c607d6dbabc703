// History of figures in this page, and small drawings of it.

const keepSeconds = 300;

// Series is a figure over the last minutes.
class Series {
  constructor() { this.points = []; }

  push(at, value) {
    this.points.push([at, value]);
    while (this.points.length && this.points[0][0] < at - keepSeconds * 1000) this.points.shift();
  }

  last() { return this.points.length ? this.points[this.points.length - 1][1] : undefined; }
}

// histories has the series of rates by name, and the last count of each counter.
const histories = {
  series: new Map(),
  counters: new Map(),
  touched: new Set(),

  // level notes a figure and returns its series.
  level(name, at, value) {
    this.touched.add(name);
    let s = this.series.get(name);
    if (!s) this.series.set(name, s = new Series());
    const last = s.points[s.points.length - 1];
    if (value !== undefined && (!last || last[0] !== at)) s.push(at, value);
    return s;
  },

  // rate notes a counter and returns the series of its growth per second. A counter that shrank was reset.
  rate(name, at, total) {
    this.touched.add(name);
    if (total === undefined) return this.level(name, at, undefined);
    const last = this.counters.get(name);
    if (last && last[0] === at) return this.level(name, at, undefined);
    this.counters.set(name, [at, total]);
    if (!last || total < last[1] || at - last[0] > 60000) return this.level(name, at, undefined);
    return this.level(name, at, (total - last[1]) * 1000 / (at - last[0]));
  },

  // sweep forgets what the node has no more, now and then.
  sweep() {
    if (this.series.size > 5000) {
      for (const name of this.series.keys()) {
        if (!this.touched.has(name)) { this.series.delete(name); this.counters.delete(name); }
      }
    }
    this.touched.clear();
  },
};

// spark draws a series into an element: a line, the area below it, and a dot at its end.
function spark(host, series, options) {
  const o = Object.assign({width: 120, height: 28, kind: ""}, options);
  let s = host.querySelector("svg.spark");
  if (!s) {
    s = svg("svg", {class: "spark " + o.kind, viewBox: `0 0 ${o.width} ${o.height}`, preserveAspectRatio: "none", "aria-hidden": "true"},
      svg("path", {class: "area"}), svg("path", {class: "line"}));
    if (host.tagName === "TD") host.prepend(s);
    else host.append(s);
  }
  const points = series.points;
  if (points.length < 2) return;
  const end = points[points.length - 1][0];
  const start = Math.min(points[0][0], end - 20000);
  let top = o.least || 1;
  for (const p of points) if (p[1] > top) top = p[1];
  let line = "";
  for (let i = 0; i < points.length; i++) {
    const x = (points[i][0] - start) / (end - start) * o.width;
    const y = o.height - 2 - points[i][1] / top * (o.height - 4);
    line += (i ? "L" : "M") + x.toFixed(1) + " " + y.toFixed(1);
  }
  const first = ((points[0][0] - start) / (end - start) * o.width).toFixed(1);
  s.children[0].setAttribute("d", `${line}L${o.width} ${o.height}L${first} ${o.height}Z`);
  s.children[1].setAttribute("d", line);
}

// figure is a card with a number, its unit, and how it went.
function figure(title, unit) {
  const value = el("b", {}, "\u2013");
  const chart = el("div", {class: "chart"});
  const note = el("small");
  const card = el("div", {class: "figure"}, el("h3", {}, title), el("p", {}, value, " ", el("span", {}, unit || "")), note, chart);
  return {
    card,
    set(text, series, more, kind) {
      setText(value, text);
      setText(note, more || "");
      if (series) spark(chart, series, {width: 200, height: 36, kind: kind || ""});
    },
  };
}

// bar is a share of a whole; several parts lie side by side. Each has a share from 0 to 1 and a kind.
function setBar(host, parts, label) {
  let b = host.querySelector(".bar");
  if (!b) host.append(b = el("div", {class: "bar", role: "img"}));
  while (b.children.length < parts.length) b.append(el("i"));
  while (b.children.length > parts.length) b.lastElementChild.remove();
  parts.forEach((p, i) => {
    const width = (Math.max(0, Math.min(1, p[0])) * 100).toFixed(1) + "%";
    const e = b.children[i];
    if (e.style.width !== width) e.style.width = width;
    if (e.className !== p[1]) e.className = p[1];
  });
  setAttr(b, "aria-label", label);
  setAttr(b, "title", label);
}
