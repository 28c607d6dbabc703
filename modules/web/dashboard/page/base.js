// Small things that all parts use. Text from the API goes into the page as text nodes only.

const byId = (id) => document.getElementById(id);

// el makes an element: el("td", {class: "num", onclick: f}, "text", child).
function el(name, attributes, ...children) {
  const e = document.createElement(name);
  for (const [key, value] of Object.entries(attributes || {})) {
    if (value === undefined || value === null || value === false) continue;
    if (key.startsWith("on")) e.addEventListener(key.slice(2), value);
    else if (key === "value") e.value = value;
    else e.setAttribute(key, value === true ? "" : String(value));
  }
  e.append(...children.filter((c) => c !== undefined && c !== null));
  return e;
}

// svg is el for drawings.
function svg(name, attributes, ...children) {
  const e = document.createElementNS("http://www.w3.org/2000/svg", name);
  for (const [key, value] of Object.entries(attributes || {})) e.setAttribute(key, String(value));
  e.append(...children.filter(Boolean));
  return e;
}

// setText and setAttr touch the page only if something changes: hundreds of cells are looked at each second.
function setText(e, text) {
  const t = text === undefined || text === null ? "" : String(text);
  if (e.textContent !== t) e.textContent = t;
}

function setAttr(e, name, value) {
  if (value === undefined || value === null || value === false) {
    if (e.hasAttribute(name)) e.removeAttribute(name);
  } else if (e.getAttribute(name) !== String(value)) e.setAttribute(name, String(value));
}

const show = (e, visible) => { if (e.hidden === visible) e.hidden = !visible; };

// Numbers and times for people.
const group = new Intl.NumberFormat("en", {maximumFractionDigits: 0});
const count = (n) => (n === undefined || n === null ? "" : group.format(n));

function bytes(n) {
  if (n === undefined || n === null) return "";
  const units = ["B", "KB", "MB", "GB", "TB"];
  let i = 0;
  for (; n >= 1024 && i < units.length - 1; i++) n /= 1024;
  return (i === 0 || n >= 100 ? Math.round(n) : n.toFixed(1)) + "\u00a0" + units[i];
}

function rate(n) {
  if (n === undefined || n === null) return "\u2013";
  if (n >= 10000) return (n / 1000).toFixed(n >= 100000 ? 0 : 1) + "k";
  return n === 0 ? "0" : n >= 100 ? String(Math.round(n)) : n.toFixed(1);
}

const millis = (ms) => (ms === undefined ? "" : ms >= 10000 ? duration(ms) : ms + "\u00a0ms");
const signed = (ms) => (ms > 0 ? "+" : ms < 0 ? "\u2212" : "\u00b1") + millis(Math.abs(ms));

function duration(ms) {
  const s = Math.round(ms / 1000);
  if (s < 60) return s + "\u00a0s";
  if (s < 3600) return Math.floor(s / 60) + "\u00a0min";
  if (s < 86400) return Math.floor(s / 3600) + "\u00a0h " + Math.floor(s % 3600 / 60) + "\u00a0min";
  return Math.floor(s / 86400) + "\u00a0d " + Math.floor(s % 86400 / 3600) + "\u00a0h";
}

const shortID = (id) => (id || "").slice(0, 8);
const byName = (a, b) => (a < b ? -1 : a > b ? 1 : 0);
const plural = (n, one, many) => count(n) + " " + (n === 1 ? one : many);

// remember keeps a choice of the user in the browser, if that is allowed.
const remember = {
  get(name) { try { return localStorage.getItem("starling." + name); } catch { return null; } },
  set(name, value) { try { localStorage.setItem("starling." + name, value); } catch { /* not kept */ } },
};

function toast(text, kind) {
  const t = el("div", {class: "toast " + (kind || "")}, text);
  byId("toasts").append(t);
  setTimeout(() => t.remove(), kind === "bad" ? 9000 : 3500);
}

// pill is a state with its color. Colors never stand alone: the text says the same.
const kinds = {
  agree: "ok", connected: "ok", ready: "ok", up: "ok", self: "ok", alone: "idle",
  unknown: "idle", accepted: "warn", pushing: "warn", draining: "warn", checking: "warn", resolving: "warn",
  "full, not comparable": "warn", "not ready": "warn", teaching: "warn",
  differ: "bad", lost: "bad", connecting: "bad", unresolved: "bad", unavail: "bad", unhealthy: "bad", down: "idle",
};

function pill(text, kind, title) {
  return el("span", {class: "pill " + (kind || kinds[text] || "idle"), title}, text);
}

function setPill(cell, text, kind, title) {
  let p = cell.firstElementChild;
  if (!p) cell.append(p = pill("", "idle"));
  show(p, Boolean(text));
  setText(p, text);
  const c = "pill " + (kind || kinds[text] || "idle");
  if (p.className !== c) p.className = c;
  setAttr(p, "title", title);
}

const empty = (title, ...more) => el("div", {class: "empty"}, el("strong", {}, title), el("p", {}, ...more));
const code = (text) => el("code", {}, text);

function section(title, note, ...children) {
  const h = el("h2", {}, title);
  if (note) h.append(note);
  return el("section", {}, h, ...children);
}
