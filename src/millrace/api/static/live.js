// What every live view needs: saying whether it is connected and what went wrong, and not reading too often.

import { key, Refused } from "./server.js";

const live = document.getElementById("live");
const box = document.getElementById("trouble");

export function trouble(error) {
  box.hidden = !error;
  box.textContent = error ? error.message : "";
}

export function connected(on, over) {
  live.hidden = false;
  live.classList.toggle("on", on && !over);
  live.textContent = over ? "finished" : on ? "live" : "connecting …";
}

// Do something that reads from the server; say in words what went wrong. True if it went well.
// A key that is refused is told to whoever listens for `refused` on the document.
export async function attempt(action) {
  try {
    await action();
    trouble(null);
    return true;
  } catch (error) {
    if (error.name === "AbortError") return false;
    if (error instanceof Refused && error.status === 401) document.dispatchEvent(new Event("refused"));
    else trouble(error);
    return false;
  }
}

export const handlers = (onEvent) => ({
  event: onEvent,
  state: connected,
  refused: (error) => attempt(() => { throw error; }),
});

// Run `action` now, and once more after the last call of those that came meanwhile. What failed is tried again.
export function throttled(signal, pause, action) {
  let busy = false;
  let again = false;
  return async function run() {
    again = true;
    if (busy) return;
    busy = true;
    while (again && !signal.aborted) {
      again = false;
      const well = await attempt(action);
      await new Promise((resolve) => setTimeout(resolve, well ? pause : 3 * pause));
      if (!well && key.get()) again = true;
    }
    busy = false;
  };
}
