"use strict";
const make = (tag, text, parent, className) => {
  const node = document.createElement(tag);
  if (text !== undefined && text !== null) node.textContent = text;
  if (className) node.className = className;
  if (parent) parent.append(node);
  return node;
};
const json = (value) => JSON.stringify(value, null, 2);

function typeOf(schema) {
  if (!schema) return "any";
  if (schema.$ref) return schema.$ref.split("/").pop();
  const many = schema.anyOf || schema.oneOf;
  if (many) return many.map(typeOf).join(" | ");
  if (schema.type === "array") return typeOf(schema.items) + "[]";
  return schema.const !== undefined ? json(schema.const) : schema.type || (schema.enum || ["any"]).join(" | ");
}

// What a schema looks like as a value: its example, else its fields with their types.
function sample(schema, all, depth = 0) {
  if (!schema || depth > 4) return "…";
  if (schema.$ref) return sample(all[schema.$ref.split("/").pop()], all, depth + 1);
  if (schema.example !== undefined) return schema.example;
  if (schema.examples) return schema.examples[0];
  if (schema.type === "array") return [sample(schema.items, all, depth + 1)];
  if (schema.properties) {
    return Object.fromEntries(Object.entries(schema.properties).map(([key, part]) => [key, sample(part, all, depth + 1)]));
  }
  return typeOf(schema);
}

function showParameters(operation, parent) {
  if (!operation.parameters || !operation.parameters.length) return;
  const table = make("table", null, parent);
  for (const parameter of operation.parameters) {
    const row = make("tr", null, table);
    make("td", parameter.name + (parameter.required ? " *" : ""), row);
    make("td", parameter.in, row);
    make("td", typeOf(parameter.schema), row);
    make("td", parameter.description || "", row);
  }
}

function showContent(title, content, all, parent) {
  const body = content && Object.values(content)[0];
  if (!body) return;
  const details = make("details", null, parent);
  make("summary", title, details);
  make("pre", json(body.example !== undefined ? body.example : sample(body.schema, all)), details);
}

function showOperation(path, method, operation, all, parent) {
  const section = make("section", null, parent);
  section.id = method + path;
  const heading = make("h3", null, section);
  make("span", method.toUpperCase(), heading, "method");
  make("code", path, heading);
  make("p", operation.description || operation.summary || "", section);
  showParameters(operation, section);
  if (operation.requestBody) showContent("Request", operation.requestBody.content, all, section);
  for (const [status, response] of Object.entries(operation.responses)) {
    if (status !== "default") showContent("Answer " + status, response.content, all, section);
  }
}

function show(api) {
  const content = document.getElementById("content");
  const nav = document.querySelector("nav");
  const all = (api.components && api.components.schemas) || {};
  content.replaceChildren();
  make("h1", api.info.title + " API " + api.info.version, content);
  make("p", api.info.description, content);
  const byTag = new Map();
  for (const [path, item] of Object.entries(api.paths)) {
    for (const [method, operation] of Object.entries(item)) {
      const tag = (operation.tags || ["other"])[0];
      byTag.set(tag, [...(byTag.get(tag) || []), [path, method, operation]]);
    }
  }
  for (const [tag, operations] of byTag) {
    make("h2", tag, content);
    make("h2", tag, nav);
    for (const [path, method, operation] of operations) {
      showOperation(path, method, operation, all, content);
      const link = make("a", null, nav);
      make("span", method.toUpperCase(), link, "method");
      link.append(path.replace("/api/v1", ""));
      link.href = "#" + encodeURIComponent(method + path);
    }
  }
  make("h2", "Schemas", content);
  for (const [name, schema] of Object.entries(all)) {
    const details = make("details", null, content);
    make("summary", name, details);
    make("pre", json(schema), details);
  }
}

if (location.pathname.endsWith("/redoc")) document.body.classList.add("one");
fetch("openapi.json").then((response) => response.json()).then(show).catch((error) => {
  document.getElementById("content").replaceChildren("The OpenAPI document could not be loaded: " + error);
});
