// Runs a JavaScript script of the task type `script`.
//
//     node run_node.cjs INPUT_FILE SOURCE_FD RESULT_FD
//
// The script is the body of an async function with the arguments `input` and `require`. What it returns is written to
// RESULT_FD as {"result": …}, or {"fault": …} if it is not JSON. Integers beyond 2^53 are BigInt on both ways.
"use strict";

const fs = require("node:fs");
const path = require("node:path");
const vm = require("node:vm");
const { createRequire } = require("node:module");
const { randomUUID } = require("node:crypto");

const NAME = "script.js";
const [inputFile, sourceFd, resultFd] = [process.argv[2], Number(process.argv[3]), Number(process.argv[4])];
const mark = `bigint:${randomUUID()}:`;

// Strings, so that digits in them are left alone, and numbers.
const TOKENS = /"(?:[^"\\]|\\.)*"|-?\d+(?:\.\d+)?(?:[eE][+-]?\d+)?/g;
const INTEGER = /^-?\d{16,}$/;

function readInput() {
  const text = fs.readFileSync(inputFile, "utf8");
  const marked = text.replace(TOKENS, (token) =>
    INTEGER.test(token) && !Number.isSafeInteger(Number(token)) ? `"${mark}${token}"` : token,
  );
  if (marked === text) return JSON.parse(text);
  return JSON.parse(marked, (_key, value) =>
    typeof value === "string" && value.startsWith(mark) ? BigInt(value.slice(mark.length)) : value,
  );
}

// What JSON.stringify would leave out or make null or {} of without a word.
function strange(value) {
  if (typeof value === "number" && !Number.isFinite(value)) return String(value);
  if (typeof value === "function" || typeof value === "symbol") return `a ${typeof value}`;
  if (value instanceof Map || value instanceof Set) return `a ${value.constructor.name}`;
  return undefined;
}

function written(result) {
  let big = false;
  const whole = { result };
  const text = JSON.stringify(whole, function (key, value) {
    const kind = strange(value);
    if (kind !== undefined) {
      const where = this === whole ? "the result" : `${JSON.stringify(key)} in the result`;
      throw new TypeError(`${where} is ${kind}, which is not JSON`);
    }
    big ||= typeof value === "bigint";
    return typeof value === "bigint" ? mark + value : value;
  });
  return big ? text.replaceAll(new RegExp(`"${mark}(-?\\d+)"`, "g"), "$1") : text;
}

function handOver(result) {
  let text;
  try {
    text = written(result);
  } catch (error) {
    text = JSON.stringify({ fault: String(error.message) });
  }
  fs.writeFileSync(resultFd, text);
}

// What the script throws, without the frames of this file.
function tell(error) {
  if (!(error instanceof Error) || typeof error.stack !== "string") {
    console.error("Uncaught", error);
    return;
  }
  const ours = (line) => line.includes(__filename) || /^ {4}at .*\(?node:(internal|vm)/.test(line);
  console.error(error.stack.split("\n").filter((line) => !ours(line)).join("\n"));
  if (error.cause !== undefined) console.error("[cause]:", error.cause);
}

async function main() {
  const source = fs.readFileSync(sourceFd, "utf8");
  const input = readInput();
  // On the same line, so that line numbers are the script's own.
  const opening = "(async (input, require) => {";
  const options = { filename: NAME, columnOffset: -opening.length };
  if (vm.constants) options.importModuleDynamically = vm.constants.USE_MAIN_CONTEXT_DEFAULT_LOADER;
  const script = vm.runInThisContext(`${opening}${source}\n})`, options);
  const result = await script(input, createRequire(path.join(process.cwd(), NAME)));
  if (result !== undefined) handOver(result);
}

process.on("uncaughtException", (error) => {
  tell(error);
  process.exit(1);
});
main().catch((error) => {
  tell(error);
  process.exitCode = 1;
});
