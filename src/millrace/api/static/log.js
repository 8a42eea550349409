// The log of a run: its last lines, earlier ones on request, and new ones as they are written.

import { attempt } from "./live.js";
import { follow, get } from "./server.js";
import { button, clock, make } from "./words.js";

const FIRST = 200; // lines to begin with
const MOST = 5000; // lines kept on the page; beyond them the oldest go, and can be loaded again
const LEVELS = [["All levels", ""], ["Info and above", "info"], ["Warnings and errors", "warning"], ["Errors", "error"]];

function line(entry) {
  const node = make("div", "line " + entry.level,
    make("span", "when", clock(entry.at)),
    make("span", "who", entry.path || "run"),
    make("span", "text", (entry.level === "info" ? "" : entry.level.toUpperCase() + "  ") + entry.text));
  node.dataset.seq = entry.seq;
  if (entry.metadata) node.title = JSON.stringify(entry.metadata);
  return node;
}

function choice(name, options) {
  const node = make("select", "small");
  node.setAttribute("aria-label", name);
  for (const [label, value] of options) {
    const option = make("option", "", label);
    option.value = value;
    node.append(option);
  }
  return node;
}

export function showLog(signal, path, names) {
  const level = choice("Level", LEVELS);
  const task = choice("Task", [["All tasks", ""], ...names.map((name) => [name, name])]);
  const stick = Object.assign(make("input"), { type: "checkbox", checked: true });
  const earlier = button("Earlier lines", "more", () => attempt(loadEarlier));
  const empty = make("p", "empty", "No log lines.");
  const lines = make("div", "log");
  lines.tabIndex = 0;
  lines.setAttribute("role", "log");
  lines.setAttribute("aria-label", "Log lines");
  let reading = new AbortController();

  const query = (more) => {
    const wanted = new URLSearchParams(more);
    if (level.value) wanted.set("level", level.value);
    if (task.value) wanted.set("task", task.value);
    return path + "/logs?" + wanted;
  };

  async function loadEarlier() {
    const first = lines.firstElementChild;
    if (!first) return;
    const page = await get(query({ before: first.dataset.seq, limit: FIRST }), reading.signal);
    const height = lines.scrollHeight;
    lines.prepend(...page.items.map(line));
    lines.scrollTop += lines.scrollHeight - height;
    earlier.hidden = page.items.length < FIRST;
  }

  let waiting = [];
  function flush() {
    lines.append(...waiting.map(line));
    waiting = [];
    while (lines.childElementCount > MOST) {
      lines.firstElementChild.remove();
      earlier.hidden = false;
    }
    empty.hidden = lines.childElementCount > 0;
    if (stick.checked) lines.scrollTop = lines.scrollHeight;
  }

  async function begin() {
    reading.abort();
    const mine = new AbortController();
    reading = mine;
    const stop = () => mine.abort();
    signal.addEventListener("abort", stop, { once: true });
    waiting = [];
    lines.replaceChildren();
    earlier.hidden = true;
    let last = 0;
    await attempt(async () => {
      const page = await get(query({ tail: FIRST }), mine.signal);
      if (mine.signal.aborted) return;
      waiting = page.items;
      last = page.items.length ? page.items.at(-1).seq : 0;
      earlier.hidden = page.items.length < FIRST;
      flush();
    });
    if (mine.signal.aborted) return;
    // What comes in one go is drawn in one go.
    follow(query({ after: last }), mine.signal, {
      event: (name, entry) => {
        if (name !== "log" || mine.signal.aborted) return;
        if (!waiting.length) requestAnimationFrame(() => mine.signal.aborted || flush());
        waiting.push(entry);
      },
      state: () => {},
      refused: (error) => attempt(() => { throw error; }),
    });
  }

  lines.addEventListener("wheel", () => {
    if (lines.scrollTop + lines.clientHeight < lines.scrollHeight - 40) stick.checked = false;
  }, { passive: true });
  stick.addEventListener("change", () => { if (stick.checked) lines.scrollTop = lines.scrollHeight; });
  level.addEventListener("change", begin);
  task.addEventListener("change", begin);
  begin();
  const bar = make("div", "head", make("h2", "", "Log"), make("span", "grow"), task, level,
    make("label", "switch", stick, "Follow"));
  const card = make("section", "card", bar, earlier, lines, empty);
  card.setAttribute("aria-label", "Log");
  return card;
}
