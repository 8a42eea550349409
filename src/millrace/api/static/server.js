// How the page reaches the server. The key lives in sessionStorage and travels in a header, never in an address;
// that is why event streams are read with fetch: EventSource cannot send a header.

const SLOT = "millrace-key";
const FIRST_PAUSE = 1000;
const LONGEST_PAUSE = 15000;
const SILENCE = 45000; // the server says something every 15 seconds

export class Refused extends Error {
  constructor(status, message) {
    super(message);
    this.status = status;
  }
}

export const key = {
  get: () => sessionStorage.getItem(SLOT),
  set: (value) => sessionStorage.setItem(SLOT, value),
  drop: () => sessionStorage.removeItem(SLOT),
};

const address = (path) => new URL("api/v1" + path, document.baseURI);

async function refusal(response) {
  let words = "the server answered " + response.status;
  try {
    const problem = await response.json();
    words = [problem.detail || words, ...(problem.faults || []).map((fault) => fault.message)].join(": ");
  } catch {
    // not a problem document; the status must do
  }
  return new Refused(response.status, words);
}

export async function get(path, signal) {
  let response;
  try {
    response = await fetch(address(path), { headers: { "X-API-Key": key.get() || "" }, signal, cache: "no-store" });
  } catch (error) {
    if (error.name === "AbortError") throw error;
    throw new Refused(0, "the server does not answer; trying again");
  }
  if (!response.ok) throw await refusal(response);
  return response.json();
}

// One block of lines of an event stream.
function parsed(block) {
  const fields = {};
  for (const line of block.split("\n")) {
    const colon = line.indexOf(":");
    if (colon > 0) fields[line.slice(0, colon)] = line.slice(colon + 1).replace(/^ /, "");
  }
  return fields;
}

async function readStream(response, quiet, onBlock) {
  const reader = response.body.pipeThrough(new TextDecoderStream()).getReader();
  let rest = "";
  for (;;) {
    const { value, done } = await reader.read();
    if (done) return;
    quiet();
    const blocks = (rest + value).split("\n\n");
    rest = blocks.pop();
    for (const block of blocks) onBlock(parsed(block));
  }
}

const sleep = (time, signal) =>
  new Promise((resolve) => {
    const timer = setTimeout(resolve, time);
    signal.addEventListener("abort", () => { clearTimeout(timer); resolve(); }, { once: true });
  });

// Follow a stream until `end` or `signal`; connect again after the last event whenever it breaks off.
// handlers: event(name, data), state(connected), refused(error)
export async function follow(path, signal, handlers) {
  let last = null;
  let pause = FIRST_PAUSE;
  let over = false;
  while (!signal.aborted && !over) {
    const connection = new AbortController();
    const stop = () => connection.abort();
    signal.addEventListener("abort", stop, { once: true });
    let broken = true;
    let timer;
    const quiet = () => { clearTimeout(timer); timer = setTimeout(stop, SILENCE); };
    try {
      quiet();
      const headers = { Accept: "text/event-stream", "X-API-Key": key.get() || "" };
      if (last !== null) headers["Last-Event-ID"] = last;
      const response = await fetch(address(path), { headers, signal: connection.signal, cache: "no-store" });
      if (!response.ok) throw await refusal(response);
      handlers.state(true);
      await readStream(response, quiet, (block) => {
        pause = FIRST_PAUSE;
        if (block.id !== undefined) last = block.id;
        if (block.data === undefined) return;
        if (block.event === "end") over = true;
        if (block.event === "error") last = null; // what we wanted is no longer kept: go on from now
        handlers.event(block.event, JSON.parse(block.data));
      });
      broken = false; // the server ends each connection after a while; that is no news
    } catch (error) {
      if (error instanceof Refused) {
        if (error.status === 409) last = null;
        else if (error.status >= 400 && error.status < 500) { handlers.refused(error); over = true; }
      }
    } finally {
      clearTimeout(timer);
      signal.removeEventListener("abort", stop);
    }
    if (signal.aborted) return;
    if (broken || over) handlers.state(false, over);
    if (!over) await sleep(pause, signal);
    pause = Math.min(pause * 2, LONGEST_PAUSE);
  }
}
