// One run: what it is, its tasks along a timeline, and its log, all of it live while the run goes on.

import { attempt, connected, handlers, throttled } from "./live.js";
import { showLog } from "./log.js";
import { follow, get } from "./server.js";
import { between, button, facts, instant, link, make, moment, payload, plain, starter, status, took, waits, why } from "./words.js";

const REFRESH = 500;
const TICK = 1000;
const WAIT_TICKS = 5; // while a run waits, what for is asked again: it changes without a record of this run
const TASKS = 200;
const FINISHED = new Set(["completed", "failed", "cancelled"]);

const REASONS = {
  queued: "waiting for a free worker",
  task_limit: "waiting for a free worker and a place under its limit",
  concurrency: "waiting for a place under its limit",
  rate_limit: "waiting for its turn under the rate limit",
  retry_delay: "waiting to be tried again",
  run_paused: "the run is paused",
  not_admitted: "waiting for a place under its limits",
  start_delayed: "waiting for its time to start",
};
const reason = (wait) => REASONS[wait.reason] || plain(wait.reason);

function head(run) {
  const back = link("All runs", "/runs");
  const title = make("h1", "", run.workflow.name);
  const box = make("div", "head", title, status(run.status), make("span", "grow"), make("span", "small", back));
  document.title = run.workflow.name + " · " + run.status + " · Millrace";
  return box;
}

// Why it was to be cancelled and by whom: told by its records, which know it also while it is still being ended.
function cancelled(run, story) {
  const asked = story.notes.filter((note) => note.type === "run.cancel_requested").map((note) => note.data);
  const told = asked.length || !run.cancelled_at ? asked : [{ by: run.cancelled_by, reason: run.cancel_reason }];
  return told.map(({ by, reason }) => "Cancelled" + (by ? " by " + by.name : "") + (reason ? ": " + reason : ""));
}

async function starting(run, signal) {
  if (run.triggered_by || !run.trigger_id) return null;
  return get("/triggers/" + encodeURIComponent(run.trigger_id), signal).catch(() => null);
}

function overview(run, story, trigger) {
  const card = make("section", "card");
  card.setAttribute("aria-label", "About this run");
  if (run.error) card.append(make("p", "fault", why(run.error)));
  for (const words of waits(run)) card.append(make("p", "notice", "Waits: " + words));
  for (const words of cancelled(run, story)) card.append(make("p", "notice", words));
  card.append(facts([
    ["Created", moment(run.created_at)],
    ["Started", moment(run.started_at)],
    ["Finished", moment(run.finished_at)],
    ["Took", run.started_at ? took(between(run.started_at, run.finished_at)) : null],
    ["Version", run.workflow.version],
    ["Started by", starter(run, trigger)],
    ["Correlation", run.correlation_id],
    ["Retry of", run.retry_of && link("another run", "/runs/" + run.retry_of)],
    ["Parent", run.parent && link("another run", "/runs/" + run.parent)],
    ["Run", make("span", "mono", run.id)],
  ]));
  const given = Object.keys(run.input || {}).length ? payload("Input", run.input) : null;
  const made = run.output === null ? null : payload("Output", run.output);
  if (made) made.open = true;
  if (given || made) card.append(make("div", "payloads", given, made));
  return card;
}

// --- tasks and their timeline ------------------------------------------------------------------------------------------

function axis(story) {
  const first = instant(story.started_at || story.created_at);
  const last = story.finished_at ? instant(story.finished_at) : Date.now();
  return { first, length: Math.max(last - first, 1) };
}

function piece(className, from, to, scale, title) {
  const begin = instant(from);
  const end = to ? instant(to) : Date.now();
  const node = make("div", className);
  const left = Math.max(0, Math.min(99.5, (100 * (begin - scale.first)) / scale.length));
  node.style.left = left + "%";
  node.style.width = Math.max(0, Math.min(100 - left, (100 * (end - begin)) / scale.length)) + "%";
  node.title = title;
  return node;
}

function lane(told, scale) {
  const box = make("div", "lane");
  if (!told) return box;
  for (const wait of told.waits) {
    box.append(piece("pause", wait.from, wait.until, scale, reason(wait) + ", " + took(between(wait.from, wait.until))));
  }
  for (const one of told.attempts) {
    if (!one.started_at) continue;
    const outcome = one.outcome || "running";
    const words = "attempt " + one.number + " " + outcome + ", " + took(between(one.started_at, one.finished_at));
    box.append(piece("span " + outcome, one.started_at, one.finished_at, scale, words));
  }
  box.setAttribute("role", "img");
  box.setAttribute("aria-label", [...box.children].map((part) => part.title).join("; ") || "nothing yet");
  return box;
}

function tale(told) {
  const lines = [];
  for (const wait of told.waits) lines.push([wait.from, reason(wait) + ": " + took(between(wait.from, wait.until))]);
  for (const one of told.attempts) {
    const length = one.started_at ? " after " + took(between(one.started_at, one.finished_at)) : "";
    const words = "attempt " + one.number + (one.outcome ? " " + one.outcome + length : " goes on");
    lines.push([one.started_at || one.scheduled_at || "", words + (one.error ? " — " + why(one.error) : "")]);
  }
  for (const note of told.notes) {
    const data = Object.keys(note.data).length ? " " + JSON.stringify(note.data) : "";
    lines.push([note.at, plain(note.type.replace(/^task\./, "")) + data]);
  }
  lines.sort(([one], [other]) => (one < other ? -1 : one > other ? 1 : 0));
  return make("ul", "small", ...lines.map(([, words]) => make("li", "", words)));
}

class Tasks {
  constructor(signal, runId) {
    this.signal = signal;
    this.runId = runId;
    this.open = new Map(); // path -> what is shown under it
    this.tasks = [];
    this.cursor = null;
    this.body = make("tbody");
    this.begin = make("span");
    this.end = make("span");
    const scale = make("div", "axis", this.begin, this.end);
    const cells = [make("th", "", "Task"), make("th", "", "Status"), make("th", "", "Took"), make("th", "", scale)];
    for (const cell of cells) cell.scope = "col";
    this.more = button("More tasks", "more", () => attempt(() => this.read(true)));
    this.node = make("section", "card", make("table", "tasks stack", make("thead", "", make("tr", "", ...cells)), this.body), this.more);
    this.node.setAttribute("aria-label", "Tasks");
  }

  async read(next) {
    const query = "/runs/" + encodeURIComponent(this.runId) + "/tasks?limit=" + TASKS;
    const wanted = next ? this.pages + 1 : this.pages || 1;
    let cursor = null;
    const tasks = [];
    for (let page = 0; page < wanted; page += 1) {
      const found = await get(query + (cursor ? "&cursor=" + encodeURIComponent(cursor) : ""), this.signal);
      tasks.push(...found.items);
      cursor = found.next_cursor;
      if (!cursor) break;
    }
    this.pages = wanted;
    this.tasks = tasks;
    this.more.hidden = cursor === null;
    if (this.story) this.draw(this.story);
  }

  draw(story) {
    this.story = story;
    const scale = axis(story);
    const told = new Map(story.tasks.map((task) => [task.path, task]));
    const focused = document.activeElement && document.activeElement.dataset.path;
    this.begin.textContent = "0";
    this.end.textContent = took(scale.length);
    this.body.replaceChildren(...this.tasks.flatMap((task) => this.rows(task, told.get(task.path), scale)));
    if (focused) [...this.body.querySelectorAll("button")].find((one) => one.dataset.path === focused)?.focus();
  }

  rows(task, told, scale) {
    const name = button(task.path, "name", () => this.toggle(task.path));
    name.dataset.path = task.path;
    name.setAttribute("aria-expanded", String(this.open.has(task.path)));
    const tries = task.adopted_from ? ", taken over" : task.attempt > 1 ? ", attempt " + task.attempt : "";
    const length = task.started_at ? took(between(task.started_at, task.finished_at)) : "";
    const row = make("tr", "row",
      make("td", "", name, make("div", "type", task.type + tries)),
      make("td", "side", status(task.status)),
      make("td", "small num" + (length ? "" : " none"), length),
      make("td", "wide", lane(told, scale)));
    if (!this.open.has(task.path)) return [row];
    const cell = make("td", "", this.story_of(task, told));
    cell.colSpan = 4;
    return [row, make("tr", "more-of", cell)];
  }

  story_of(task, told) {
    const box = make("div", "story");
    if (task.error) box.append(make("p", "fault small", why(task.error)));
    if (task.adopted_from) {
      box.append(make("p", "small", "Taken over from ", link("another run", "/runs/" + task.adopted_from)));
    }
    if (task.skip_reason) box.append(make("p", "small", "Skipped: " + plain(task.skip_reason)));
    if (told && told.attempts.length + told.waits.length + told.notes.length) box.append(tale(told));
    box.append(this.open.get(task.path));
    return box;
  }

  toggle(path) {
    if (this.open.has(path)) this.open.delete(path);
    else {
      const place = make("div", "", make("span", "small soft", "Loading …"));
      this.open.set(path, place);
      attempt(async () => {
        const route = path.split("/").map(encodeURIComponent).join("/");
        const task = await get("/runs/" + encodeURIComponent(this.runId) + "/tasks/" + route, this.signal);
        place.replaceChildren(
          ...(task.input === null ? [] : [payload("Input", task.input)]),
          ...(task.output === null ? [] : [payload("Output", task.output)]));
      });
    }
    this.draw(this.story);
  }
}

// --- the view ------------------------------------------------------------------------------------------------------------

export async function showRun(signal, main, runId) {
  document.title = "Run · Millrace";
  const path = "/runs/" + encodeURIComponent(runId);
  const tasks = new Tasks(signal, runId);
  let shown = null;
  let trigger; // what started it, unless it is gone or a person did
  let top = make("div");
  let about = make("div");

  async function refresh() {
    const [run, story] = await Promise.all([get(path, signal), get(path + "/timeline", signal), tasks.read(false)]);
    if (trigger === undefined) trigger = await starting(run, signal);
    const newTop = head(run);
    top.replaceWith(newTop);
    [top, shown] = [newTop, run];
    tasks.story = story;
    draw();
  }

  // What was opened or closed by hand stays so.
  function draw() {
    const open = new Map([...about.querySelectorAll("details")].map((one) => [one.textContent, one.open]));
    const fresh = overview(shown, tasks.story, trigger);
    for (const box of fresh.querySelectorAll("details")) box.open = open.get(box.textContent) ?? box.open;
    about.replaceWith(fresh);
    about = fresh;
    tasks.draw(tasks.story);
  }

  main.replaceChildren(top, about);
  if (!(await attempt(refresh))) return;
  main.append(tasks.node, showLog(signal, path, tasks.tasks.map((task) => task.path)));
  if (FINISHED.has(shown.status)) return connected(true, true);
  const again = throttled(signal, REFRESH, refresh);
  follow(path + "/events?after=" + tasks.story.last_seq, signal, handlers(again));
  let ticks = 0;
  const timer = setInterval(() => {
    ticks += 1;
    if (FINISHED.has(shown.status)) clearInterval(timer);
    else if (shown.waiting_for.length && ticks % WAIT_TICKS === 0) again();
    else draw();
  }, TICK);
  signal.addEventListener("abort", () => clearInterval(timer), { once: true });
}
