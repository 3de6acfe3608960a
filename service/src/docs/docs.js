// Draws /openapi.json, with a form for each operation. Whatever comes from outside is set as text, never as markup.

const made = (name, text = "", attributes = {}) => {
  const element = document.createElement(name);
  element.textContent = text;
  for (const [key, value] of Object.entries(attributes)) element.setAttribute(key, value);
  return element;
};

const resolved = (description, schema = {}) =>
  schema.$ref ? description.components?.schemas?.[schema.$ref.split("/").at(-1)] ?? {} : schema;

const ofType = (schema) => {
  switch ([schema.type].flat()[0]) {
    case "array": return [];
    case "boolean": return false;
    case "integer":
    case "number": return schema.minimum ?? 0;
    case "string": return "";
    default: return {};
  }
};

// What would do: what the schema says so, else the fields that there have to be.
const sample = (description, schema, depth = 0) => {
  const known = resolved(description, schema);
  const said = schema?.example ?? known.example ?? known.examples?.[0] ?? known.default ?? known.const ?? known.enum?.[0];
  if (said !== undefined) return said;
  const other = known.oneOf ?? known.anyOf ?? known.allOf;
  if (other && depth < 8) return sample(description, other[0], depth + 1);
  // One that has itself in it would have no end.
  if (!known.properties || depth >= 8) return ofType(known);
  const needed = (known.required ?? []).map((name) => [name, sample(description, known.properties[name], depth + 1)]);
  return Object.fromEntries(needed);
};

const example = (description, content) => content?.example ?? sample(description, content?.schema);

// The fields that a body may have, and what they mean.
const bodyFields = (description, content) => {
  const { properties, required = [] } = resolved(description, content?.schema);
  if (!properties || !Object.keys(properties).length) return undefined;
  const details = made("details");
  const table = made("table");
  for (const [name, field] of Object.entries(properties)) {
    const known = resolved(description, field);
    const about = field.description ?? known.description ?? "";
    const words = [known.enum ? `One of ${known.enum.map((word) => `\`${word}\``).join(", ")}.` : "",
      known.default === undefined ? "" : `\`${known.default}\` without it.`].filter(Boolean);
    const row = table.insertRow();
    row.append(made("th", required.includes(name) ? `${name} (needed)` : name, { scope: "row" }),
      made("td", [about, ...words].join(" ")));
  }
  details.append(made("summary", "Fields"), table);
  return details;
};

const shown = (text) => {
  try {
    return JSON.stringify(JSON.parse(text), null, 2);
  } catch {
    return text;
  }
};

const send = async (method, path, headers, body, told, answer) => {
  told.textContent = "waiting";
  told.className = "";
  const began = performance.now();
  try {
    const response = await fetch(path, { method, headers, body });
    const text = await response.text();
    told.textContent = `${response.status} ${response.statusText} after ${Math.round(performance.now() - began)} ms`;
    told.className = response.ok ? "good" : "bad";
    answer.textContent = shown(text);
  } catch (error) {
    told.textContent = `no answer: ${error.message}`;
    told.className = "bad";
    answer.textContent = "";
  }
};

// What a path, a query or a header says of what is meant, each with a field of its own.
const fields = (parameters, number) => parameters.map(({ name, in: where, description: about, required, schema }) => {
  const hint = schema?.default === undefined ? {} : { placeholder: schema.default };
  const input = made("input", "", { id: `${name}-${number}`, spellcheck: "false", autocomplete: "off", ...hint });
  input.required = Boolean(required);
  const label = made("label", about ? `${name}: ${about}` : name, { for: input.id });
  return { name, where, input, label };
});

const target = (path, given) => {
  const query = new URLSearchParams();
  let filled = path;
  for (const { name, where, input } of given) {
    // Not as a pattern: a `$` in what was typed would be one.
    if (where === "path") filled = filled.replace(`{${name}}`, () => encodeURIComponent(input.value));
    if (where === "query" && input.value) query.set(name, input.value);
  }
  return query.size ? `${filled}?${query}` : filled;
};

const headed = (given, body, token) => {
  const headers = {};
  if (body !== undefined) headers["content-type"] = "application/json";
  if (token) headers.authorization = `Bearer ${token}`;
  for (const { name, where, input } of given) if (where === "header" && input.value) headers[name] = input.value;
  return headers;
};

// An answer that does not end can't be shown.
const streams = (responses) => Object.values(responses).some(({ content }) => content?.["text/event-stream"]);

const operation = (description, path, method, about_it, number, token) => {
  const { summary, description: about, requestBody, responses, parameters = [] } = about_it;
  const section = made("section", "", { "aria-labelledby": `operation-${number}` });
  const heading = made("h2", "", { id: `operation-${number}` });
  heading.append(made("code", `${method.toUpperCase()} ${path}`), summary ?? "");
  section.append(heading);
  if (about) section.append(made("p", about));

  const table = made("table");
  table.append(made("caption", "Answers"));
  const head = table.createTHead().insertRow();
  head.append(made("th", "Status", { scope: "col" }), made("th", "Meaning", { scope: "col" }));
  const rows = table.createTBody();
  for (const [status, { description: meaning }] of Object.entries(responses)) {
    const row = rows.insertRow();
    row.append(made("th", status, { scope: "row" }), made("td", meaning));
  }

  if (streams(responses)) {
    section.append(made("p", "A stream: ask by another program."), table);
    return section;
  }
  const form = made("form");
  const given = fields(parameters, number);
  for (const { input, label } of given) form.append(label, input);
  const input = requestBody && made("textarea", "", { id: `body-${number}`, spellcheck: "false" });
  if (input) {
    input.value = JSON.stringify(example(description, requestBody.content["application/json"]));
    form.append(made("label", "Body", { for: input.id }), input);
  }
  const told = made("p", "", { role: "status" });
  const answer = made("pre", "", { tabindex: "0", "aria-label": "The answer" });
  form.append(made("button", "Send", { type: "submit" }));
  form.addEventListener("submit", (event) => {
    event.preventDefault();
    const headers = headed(given, input?.value, token?.value.trim());
    send(method.toUpperCase(), target(path, given), headers, input?.value, told, answer);
  });
  const fieldsOfBody = input && bodyFields(description, requestBody.content["application/json"]);
  section.append(form, told, answer, fieldsOfBody ?? "", table);
  return section;
};

const operations = document.getElementById("operations");
try {
  const description = await (await fetch("openapi.json")).json();
  document.getElementById("title").textContent = `${description.info.title} ${description.info.version}`;
  document.getElementById("about").textContent = description.info.description;
  // It is kept by this page alone, and only for as long as it is open.
  const guarded = description.components?.securitySchemes;
  const token = guarded && made("input", "", { id: "token", type: "password", autocomplete: "off" });
  if (token) {
    const form = made("form");
    form.append(made("label", "Token, if one is needed", { for: "token" }), token);
    form.addEventListener("submit", (event) => event.preventDefault());
    document.querySelector("header").append(form);
  }
  const all = Object.entries(description.paths).flatMap(([path, methods]) =>
    Object.entries(methods).map(([method, about]) => [path, method, about]));
  // What it is for comes first.
  all.sort(([, one], [, other]) => (one === "post" ? 0 : 1) - (other === "post" ? 0 : 1));
  operations.replaceChildren(...all.map(([path, method, about], number) =>
    operation(description, path, method, about, number, token)));
} catch (error) {
  operations.replaceChildren(made("p", `The description could not be read: ${error.message}`, { class: "bad" }));
}
