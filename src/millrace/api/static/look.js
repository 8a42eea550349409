// The read-only page: signing in, the lists of runs and workflows, and which view is shown. A run is in run.js.

import { attempt, handlers, throttled, trouble } from "./live.js";
import { showRun } from "./run.js";
import { follow, get, key } from "./server.js";
import { between, button, link, make, moment, starter, status, took, waits } from "./words.js";

const REFRESH = 1000; // lists are read again at most so often, however much happens
const PAGES_SEARCHED = 10; // pages without a run that fits are passed over, so many at once
const GROUPS = [
  ["All", ""],
  ["Active", "pending,running,waiting,paused,cancelling"],
  ["Completed", "completed"],
  ["Failed", "failed"],
  ["Cancelled", "cancelled"],
];

const main = document.getElementById("main");
const live = document.getElementById("live");
let view = new AbortController();

function signIn(reason) {
  key.drop();
  view.abort();
  live.hidden = true;
  for (const id of ["nav", "leave"]) document.getElementById(id).hidden = true;
  trouble(null);
  document.title = "Sign in · Millrace";
  const field = make("input");
  Object.assign(field, { type: "password", id: "key", required: true, autocomplete: "off", spellcheck: false, placeholder: "mr_…" });
  const label = make("label", "", "API key");
  label.htmlFor = "key";
  const submit = make("button", "main", "Sign in");
  const hint = make("p", "soft small", "The first key is in the file ", make("code", "", "api-key"),
    " of the home folder, ", make("code", "", "~/.millrace"), " by default. It stays in this tab and is gone when you close it.");
  const form = make("form", "card login", make("h1", "", "Millrace"), hint, label, field, submit);
  if (reason) form.prepend(Object.assign(make("p", "small fault", reason), { role: "alert" }));
  form.addEventListener("submit", async (event) => {
    event.preventDefault();
    key.set(field.value.trim());
    if (!/^[\x21-\x7e]+$/.test(key.get())) return signIn("An API key has neither spaces nor special characters.");
    if (await attempt(() => get("/runs?limit=1"))) route();
  });
  main.replaceChildren(form);
  field.focus();
}

// --- runs ------------------------------------------------------------------------------------------------------------

function runRow(run) {
  const cell = (className, ...children) => make("td", className, ...children);
  const name = link(run.workflow.name, "/runs/" + run.id);
  const why = waits(run)[0];
  return make("tr", "row",
    cell("", name, why && make("div", "small soft", why)),
    cell("side", status(run.status)),
    cell("small soft", starter(run)),
    cell("small num", moment(run.created_at)),
    cell("small num side", run.started_at ? took(between(run.started_at, run.finished_at)) : ""));
}

function table(className, headings) {
  const body = make("tbody");
  const cells = headings.map((heading) => Object.assign(make("th", "", heading), { scope: "col" }));
  return [make("table", className, make("thead", "", make("tr", "", ...cells)), body), body];
}

function chips(chosen, rest) {
  const box = Object.assign(make("div", "chips"), { role: "group" });
  box.setAttribute("aria-label", "Status");
  for (const [name, value] of GROUPS) {
    const chip = button(name, "", () => {
      const query = new URLSearchParams(rest);
      if (value) query.set("status", value);
      location.hash = "/runs" + (query.size ? "?" + query : "");
    });
    chip.setAttribute("aria-pressed", String(value === chosen));
    box.append(chip);
  }
  return box;
}

async function showRuns(signal, query) {
  document.title = "Runs · Millrace";
  const workflow = query.get("workflow");
  const chosen = query.get("status") || "";
  const [list, body] = table("stack", ["Workflow", "Status", "Started by", "Created", "Took"]);
  const empty = make("p", "empty");
  const more = button("Older runs", "more", () => attempt(search));
  const head = make("div", "head", make("h1", "", "Runs"), make("span", "grow"),
    chips(chosen, workflow ? { workflow } : {}));
  if (workflow) head.append(link("× only this workflow", "/runs" + (chosen ? "?status=" + chosen : "")));
  main.replaceChildren(head, make("section", "card", list, empty, more));
  let newest = [];
  let older = [];
  let cursor = null; // where older runs begin that were not looked at
  let searched = false; // whether any were looked at behind the newest
  let searching = false;
  let barren = false; // whether the last search ended without one that fits

  function read(from) {
    const wanted = new URLSearchParams({ limit: "50" });
    if (chosen) wanted.set("status", chosen);
    if (workflow) wanted.set("workflow", workflow);
    if (from !== null) wanted.set("cursor", from);
    return get("/runs?" + wanted, signal);
  }

  function draw() {
    const shown = [...newest, ...older.filter((run) => !newest.some((other) => other.id === run.id))];
    const focused = document.activeElement && document.activeElement.getAttribute("href");
    body.replaceChildren(...shown.map(runRow));
    if (focused) [...body.querySelectorAll("a")].find((one) => one.getAttribute("href") === focused)?.focus();
    list.hidden = !shown.length;
    empty.textContent = cursor === null ? "No runs here yet." : "None among the runs that were looked at so far.";
    empty.hidden = Boolean(shown.length);
    more.hidden = cursor === null;
    more.textContent = searching ? "Searching …" : barren || !shown.length ? "Search further" : "Older runs";
  }

  // A page of the server looks at so many rows and no more: one without a run that fits is not the end of the list.
  async function search() {
    if (searching) return;
    let found = 0;
    searched = searching = true;
    draw();
    try {
      for (let pages = 0; !found && cursor !== null && pages < PAGES_SEARCHED; pages += 1) {
        const page = await read(cursor);
        cursor = page.next_cursor;
        found = page.items.length;
        older.push(...page.items);
      }
    } finally {
      searching = false;
      barren = !found;
      draw();
    }
  }

  const refresh = throttled(signal, REFRESH, async () => {
    const page = await read(null);
    newest = page.items;
    if (!searched) cursor = page.next_cursor;
    draw();
    if (!searched && !newest.length && cursor !== null) await search();
  });
  refresh();
  follow("/stream", signal, handlers((name, record) => {
    if (name === "error" || record.type.startsWith("run.")) refresh();
  }));
}

// --- workflows -------------------------------------------------------------------------------------------------------

async function showWorkflows(signal) {
  document.title = "Workflows · Millrace";
  live.hidden = true;
  const [list, body] = table("stack", ["Workflow", "Status", "Version", "Changed"]);
  const more = button("More workflows", "more", () => attempt(() => page()));
  const empty = make("p", "empty", "No workflows yet. Make one with millrace apply -f FILE.");
  main.replaceChildren(make("h1", "", "Workflows"), make("section", "card", list, empty, more));
  let cursor = "";
  async function page() {
    const found = await get("/workflows?limit=100" + (cursor ? "&cursor=" + encodeURIComponent(cursor) : ""), signal);
    cursor = found.next_cursor;
    for (const workflow of found.items) {
      const about = workflow.description ? make("div", "small soft", workflow.description) : null;
      body.append(make("tr", "row",
        make("td", "", link(workflow.name, "/runs?workflow=" + encodeURIComponent(workflow.id)), about),
        make("td", "side", make("span", "status", workflow.status)),
        make("td", "small num", "version " + workflow.version),
        make("td", "small num side", moment(workflow.updated_at))));
    }
    list.hidden = !body.children.length;
    empty.hidden = Boolean(body.children.length);
    more.hidden = !cursor;
  }
  await attempt(page);
}

// --- which view ------------------------------------------------------------------------------------------------------

function route() {
  view.abort();
  if (!key.get()) return signIn();
  view = new AbortController();
  const [path, search] = location.hash.slice(1).split("?");
  const parts = path.split("/").filter(Boolean);
  for (const id of ["nav", "leave"]) document.getElementById(id).hidden = false;
  for (const anchor of document.querySelectorAll("#nav a")) {
    const here = anchor.getAttribute("href") === "#/" + (parts[0] || "runs");
    if (here) anchor.setAttribute("aria-current", "page");
    else anchor.removeAttribute("aria-current");
  }
  trouble(null);
  window.scrollTo(0, 0);
  if (parts[0] === "workflows") return showWorkflows(view.signal);
  if (parts[0] === "runs" && parts[1]) return showRun(view.signal, main, parts[1]);
  return showRuns(view.signal, new URLSearchParams(search));
}

document.addEventListener("refused", () => signIn("This key is not valid, or not any more."));
document.getElementById("leave").addEventListener("click", () => signIn());
document.getElementById("skip").addEventListener("click", (event) => { event.preventDefault(); main.focus(); });
window.addEventListener("hashchange", route);
route();
