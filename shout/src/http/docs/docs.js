// Draws /openapi.json, with a form for each operation. Whatever comes from outside is set as text, never as markup.

const made = (name, text = "", attributes = {}) => {
  const element = document.createElement(name);
  element.textContent = text;
  for (const [key, value] of Object.entries(attributes)) element.setAttribute(key, value);
  return element;
};

// What is between the first line, which is the summary, and the end.
const example = (description, content) => {
  const schema = content?.schema ?? {};
  const name = schema.$ref?.split("/").at(-1);
  const known = description.components?.schemas?.[name] ?? schema;
  return content?.example ?? known.example ?? known.examples?.[0] ?? {};
};

const shown = (text) => {
  try {
    return JSON.stringify(JSON.parse(text), null, 2);
  } catch {
    return text;
  }
};

const send = async (method, path, body, told, answer) => {
  told.textContent = "waiting";
  told.className = "";
  const began = performance.now();
  try {
    const headers = body === undefined ? {} : { "content-type": "application/json" };
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

const operation = (description, path, method, { summary, description: about, requestBody, responses }, number) => {
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

  const form = made("form");
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
    send(method.toUpperCase(), path, input?.value, told, answer);
  });
  section.append(form, told, answer, table);
  return section;
};

const operations = document.getElementById("operations");
try {
  const description = await (await fetch("openapi.json")).json();
  document.getElementById("title").textContent = `${description.info.title} ${description.info.version}`;
  document.getElementById("about").textContent = description.info.description;
  const all = Object.entries(description.paths).flatMap(([path, methods]) =>
    Object.entries(methods).map(([method, about]) => [path, method, about]));
  // What it is for comes first.
  all.sort(([, one], [, other]) => (one === "post" ? 0 : 1) - (other === "post" ? 0 : 1));
  operations.replaceChildren(...all.map(([path, method, about], number) =>
    operation(description, path, method, about, number)));
} catch (error) {
  operations.replaceChildren(made("p", `The description could not be read: ${error.message}`, { class: "bad" }));
}
