// The API of the node, at a path relative to this page.

const apiBase = new URL(root.dataset.api.replace(/\/*$/, "/"), document.baseURI);
const patience = 8000;

class APIError extends Error {
  constructor(status, code, text) {
    super(text);
    this.status = status;
    this.code = code;
  }
}

const pathOf = (...names) => names.map(encodeURIComponent).join("/");

async function request(method, path, body) {
  const response = await fetch(new URL("9/" + path, apiBase), {
    method,
    body: body === undefined ? undefined : JSON.stringify(body),
    headers: body === undefined ? {} : {"Content-Type": "application/json"},
    cache: "no-store", redirect: "error", signal: AbortSignal.timeout(patience),
  });
  const text = await response.text();
  let value;
  try { value = text ? JSON.parse(text) : undefined; } catch { value = undefined; }
  if (response.ok) return value;
  const e = value && value.error;
  if (e && e.code) throw new APIError(response.status, e.code, e.text);
  throw new APIError(response.status, "", explain(response.status));
}

function explain(status) {
  switch (status) {
  case 401: return "the API requires a user and a password";
  case 403: return "the API denies access to this browser: allow its address in the location of the API";
  case 404: return "there is no API at " + apiBase.pathname + ": name its location with \u201cdashboard api=PATH;\u201d";
  }
  return "the API answered " + status;
}

// branches are the paths that this configuration has: a request for another one is an error in the browser's console.
const branches = {
  known: null,

  async ask() {
    const known = new Set();
    const look = async (path) => {
      const names = await request("GET", path);
      const parts = names.map((name) => path + name);
      parts.forEach((p) => known.add(p));
      await Promise.all(parts.filter((p) => inner.has(p)).map((p) => look(p + "/")));
    };
    await look("");
    this.known = known;
  },

  has(path) {
    const parts = path.split("?")[0].split("/");
    return parts.some((_, i) => this.known.has(parts.slice(0, i + 1).join("/")) && !inner.has(parts.slice(0, i + 1).join("/")));
  },
};

// inner are the branches that only have others below them.
const inner = new Set(["http", "stream", "starling", "starling/http", "starling/stream"]);

// get returns undefined for what this configuration does not have.
async function get(path) {
  if (!branches.has(path)) return undefined;
  try {
    return await request("GET", path);
  } catch (e) {
    if (e instanceof APIError && e.status === 404 && e.code) return undefined;
    throw e;
  }
}

// canWrite is what the API says about itself, without trying.
async function askWrites() {
  const response = await fetch(apiBase, {method: "OPTIONS", cache: "no-store", signal: AbortSignal.timeout(patience)});
  return (response.headers.get("Allow") || "").includes("PATCH");
}

// change writes, tells the user what came of it, and asks the node again at once.
async function change(done, method, path, body) {
  try {
    const answer = await request(method, path, body);
    if (done) toast(done, "ok");
    poll.now();
    return answer === undefined ? true : answer;
  } catch (e) {
    toast(e.message, "bad");
    return false;
  }
}
