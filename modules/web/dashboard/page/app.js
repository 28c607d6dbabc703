// The page as a whole: views, polling, keys and theme.

const state = {writes: false, paused: false, offline: false, since: 0};
const everyMS = 1000;
const views = [clusterView(), zonesView(), limitsView(), sessionsView(), upstreamsView(), trafficView(), tlsView(), errorsView(), cachesView()];
let current = null;

// tabs are in the document, so that they are painted before this script runs.
const tabs = new Map(views.map((v) => [v.id, byId("tabs").querySelector(`a[href="#${v.id}"]`)]));
const titleOf = (view) => tabs.get(view.id).querySelector("span").textContent;

function open(id) {
  const view = views.find((v) => v.id === id) || views[0];
  if (view === current) return;
  current = view;
  for (const [other, link] of tabs) setAttr(link, "aria-current", other === view.id ? "page" : null);
  tabs.get(view.id).scrollIntoView({block: "nearest", inline: "center"});
  document.title = titleOf(view) + " \u00b7 Starling";
  const told = poll.data && view.needs.every((path) => path in poll.data);
  if (told) view.update(poll.data, poll.at);
  // Without answers, a view would say that the node has nothing of its kind.
  byId("main").replaceChildren(told ? view.element : el("p", {class: "hint"}, "Asking the node\u2026"));
  poll.now();
}

// poll asks for what the view needs, once a second, and for what all views need now and then.
const poll = {
  data: null, at: 0, round: 0, timer: 0, running: false, again: false,

  now() {
    if (this.running) { this.again = true; return; }
    clearTimeout(this.timer);
    this.run();
  },

  async run() {
    this.running = true;
    const started = performance.now();
    try {
      await this.look();
      online();
    } catch (e) {
      offline(e);
    }
    this.running = false;
    const wait = this.again ? 0 : Math.max(200, everyMS - (performance.now() - started));
    this.again = false;
    clearTimeout(this.timer);
    if (!state.paused && !document.hidden) this.timer = setTimeout(() => this.run(), wait);
  },

  async look() {
    const view = current;
    const needs = new Set(view.needs);
    const rare = this.round % 15 === 0 || state.offline;
    if (rare) [state.writes] = await Promise.all([askWrites(), branches.ask()]);
    if (rare) for (const path of ["nginx", clusterPath, unsavedPath, "http/caches"]) needs.add(path);
    const paths = [...needs, ...(view.more ? view.more() : [])];
    const answers = await Promise.all(paths.map(get));
    this.round++;
    this.at = performance.now();
    this.data = Object.assign(this.data || {}, Object.fromEntries(paths.map((p, i) => [p, answers[i]])));
    if (current === view) {
      if (!view.element.isConnected) byId("main").replaceChildren(view.element);
      view.update(this.data, this.at);
    }
    identify(this.data);
    if (this.round % 60 === 0) histories.sweep();
  },
};

function identify(data) {
  const n = data.nginx, s = data[clusterPath];
  if (n) {
    const own = s && (s.members || []).find((m) => m.state === "self");
    setText(byId("node"), own ? own.address : n.address);
    setText(byId("build"), `${n.build}, loaded ${duration(Date.parse(n.timestamp) - Date.parse(n.load_timestamp))} ago`);
    setAttr(byId("node"), "title", s ? s.node_id : "");
  }
  show(tabs.get("caches"), Object.keys(data["http/caches"] || {}).length > 0 || current.id === "caches");
  const wrong = s ? problems(s, data[unsavedPath]).length : 0;
  const badge = tabs.get("cluster").lastElementChild;
  show(badge, wrong > 0);
  setText(badge, wrong);
}

function online() {
  if (state.offline) toast("The node answers again.", "ok");
  state.offline = false;
  root.classList.remove("offline");
  const live = byId("live");
  live.className = "live " + (state.paused ? "" : "on");
  setText(live.lastElementChild, state.paused ? "paused" : state.writes ? "live" : "live, read-only");
}

function offline(e) {
  if (!state.offline) state.since = Date.now();
  state.offline = true;
  root.classList.add("offline");
  const live = byId("live");
  live.className = "live off";
  const why = e instanceof APIError ? e.message : "the node does not answer";
  setText(live.lastElementChild, `${why}, for ${duration(Date.now() - state.since)}`);
  if (!current.element.isConnected) byId("main").replaceChildren(empty("No answer from the API.", why + ". The page keeps trying."));
}

function pause(yes) {
  state.paused = yes;
  setAttr(byId("pause"), "aria-pressed", String(yes));
  setText(byId("pause"), yes ? "Continue" : "Pause");
  if (yes) clearTimeout(poll.timer);
  if (!state.offline) online();
  if (!yes) poll.now();
}

const themes = ["system", "light", "dark"];

function setTheme(name) {
  if (name === "system") delete root.dataset.theme;
  else root.dataset.theme = name;
  setText(byId("theme"), "Theme: " + name);
  byId("theme").dataset.name = name;
  remember.set("theme", name);
}

const nextTheme = () => setTheme(themes[(themes.indexOf(byId("theme").dataset.name) + 1) % themes.length]);

function help() {
  const keys = [["1\u2013" + views.length, "views"], ["/", "search"], ["P", "pause, continue"], ["T", "theme"], ["?", "this help"], ["Esc", "close, leave the search"]];
  const dialog = byId("dialog");
  dialog.replaceChildren(el("div", {class: "form"}, el("h2", {}, "Keys"), el("dl", {}, ...keys.flatMap(([k, what]) => [el("dt", {}, el("kbd", {}, k)), el("dd", {}, what)])),
    el("div", {class: "row end"}, el("button", {type: "button", class: "primary", onclick: () => dialog.close()}, "Close"))));
  dialog.onclose = null;
  dialog.showModal();
}

function press(e) {
  if (e.ctrlKey || e.metaKey || e.altKey || byId("dialog").open) return;
  const typing = ["INPUT", "TEXTAREA", "SELECT"].includes(e.target.tagName);
  if (typing) {
    if (e.key === "Escape") e.target.blur();
    return;
  }
  const number = Number(e.key);
  if (number >= 1 && number <= views.length) location.hash = views[number - 1].id;
  else if (e.key === "/" && current.search && current.search.offsetParent) current.search.focus();
  else if (e.key === "p" || e.key === "P") pause(!state.paused);
  else if (e.key === "t" || e.key === "T") nextTheme();
  else if (e.key === "?") help();
  else return;
  e.preventDefault();
}

setTheme(themes.includes(root.dataset.theme) ? root.dataset.theme : "system");
byId("pause").addEventListener("click", () => pause(!state.paused));
byId("theme").addEventListener("click", nextTheme);
document.addEventListener("keydown", press);
document.addEventListener("visibilitychange", () => { if (!document.hidden && !state.paused) poll.now(); });
window.addEventListener("hashchange", () => open(location.hash.slice(1)));
open(location.hash.slice(1));
