// Elements and words. Text is only ever set as text: nothing that a user wrote is read as markup.

export function make(tag, className, ...children) {
  const node = document.createElement(tag);
  if (className) node.className = className;
  for (const child of children) {
    if (child !== null && child !== undefined && child !== false) node.append(child);
  }
  return node;
}

export function link(text, route) {
  const node = make("a", "", text);
  node.href = "#" + route;
  return node;
}

export function button(text, className, action) {
  const node = make("button", className, text);
  node.type = "button";
  node.addEventListener("click", action);
  return node;
}

export const status = (word) => make("span", "status " + word, word);

export function fact(term, ...value) {
  return [make("dt", "", term), make("dd", "", ...value)];
}

export function facts(entries) {
  const list = make("dl", "facts");
  for (const [term, ...value] of entries) {
    if (value[0] !== null && value[0] !== undefined && value[0] !== "") list.append(make("div", "", ...fact(term, ...value)));
  }
  return list;
}

const DAY = 86400000;
const clockFormat = new Intl.DateTimeFormat([], { hour: "2-digit", minute: "2-digit", second: "2-digit", hour12: false });
const dayFormat = new Intl.DateTimeFormat([], { day: "numeric", month: "short", year: "numeric" });

export const instant = (iso) => (iso ? Date.parse(iso) : null);
export const clock = (iso) => clockFormat.format(new Date(iso)) + "." + iso.slice(20, 23).padEnd(3, "0");

export function moment(iso) {
  if (!iso) return "";
  const then = new Date(iso);
  const today = new Date().toDateString() === then.toDateString();
  const node = make("time", "num", today ? clockFormat.format(then) : dayFormat.format(then) + ", " + clockFormat.format(then));
  node.dateTime = iso;
  node.title = then.toString();
  return node;
}

export function took(milliseconds) {
  if (milliseconds === null || Number.isNaN(milliseconds)) return "";
  const time = Math.max(0, milliseconds);
  if (time < 1000) return Math.round(time) + " ms";
  if (time < 60000) return (time / 1000).toFixed(1) + " s";
  if (time < 3600000) return Math.floor(time / 60000) + " min " + Math.round((time % 60000) / 1000) + " s";
  if (time < DAY) return Math.floor(time / 3600000) + " h " + Math.round((time % 3600000) / 60000) + " min";
  return (time / DAY).toFixed(1) + " days";
}

export const between = (from, to) => (from ? (to ? instant(to) : Date.now()) - instant(from) : null);
export const plain = (word) => String(word).replaceAll("_", " ");

// Who or what started a run: a person or a trigger by name, as far as it is known, with the kind of start behind it.
export function starter(run, trigger) {
  const who = run.triggered_by ? run.triggered_by.name : trigger && trigger.name;
  return who ? who + " (" + plain(run.trigger_type) + ")" : plain(run.trigger_type);
}

// What it waits for, as lines: of a task with its name before it.
export const waits = (run) => run.waiting_for.map((one) => (one.task ? one.task + ": " : "") + one.message);
export const why = (error) => (error ? error.kind + ": " + error.message : "");

export function payload(name, value) {
  const box = make("details", "", make("summary", "", name));
  box.append(make("pre", "", JSON.stringify(value, null, 2)));
  return box;
}
