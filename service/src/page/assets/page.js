// Draws what /events sends. Whatever comes from outside is set as text, never as markup.

import { Panel, written } from "./plot.js";

const KEPT = 15 * 60_000;
const byId = (id) => document.getElementById(id);
const page = { panels: [], points: [], paused: false, sample: undefined };

const state = (text, kind) => {
  const shown = byId("state");
  // A status is read out when it changes, so it only does then.
  if (shown.textContent !== text) shown.textContent = text;
  shown.className = kind;
};

const cell = (row, text, kind = "") => {
  const made = row.insertCell();
  made.textContent = text;
  made.className = kind;
};

const fill = (id, rows, columns, write) => {
  const body = byId(id);
  const made = document.createElement("tbody");
  for (const row of rows) write(made.insertRow(), row);
  if (!rows.length) {
    cell(made.insertRow(), "None");
    made.rows[0].cells[0].colSpan = columns;
  }
  made.id = id;
  body.replaceWith(made);
};

const draw = () => {
  if (page.paused || !page.sample) return;
  const { healthy, ready, failures, recent } = page.sample;
  if (healthy) state(`down: ${healthy}`, "bad");
  else if (ready) state(`not ready: ${ready}`, "bad");
  else state("ready", "good");
  for (const panel of page.panels) panel.draw(page.points);
  fill("failures", failures, 3, (row, [what, reason, count]) => {
    cell(row, what);
    cell(row, reason);
    cell(row, written(count, "count"), "number");
  });
  const bodies = recent.some((message) => message.body !== null);
  byId("body-title").hidden = !bodies;
  fill("recent", recent, bodies ? 7 : 6, (row, message) => {
    cell(row, new Date(message.at).toLocaleTimeString("en-GB"));
    cell(row, message.id, "id");
    cell(row, message.message_id ?? "", "id");
    cell(row, message.attempt, "number");
    cell(row, message.outcome);
    cell(row, `${message.ms} ms`, "number");
    if (bodies) cell(row, message.body ?? "", "body");
  });
};

const begin = ({ name, version, panels, points }) => {
  document.title = `${name} – Upbeat`;
  byId("name").textContent = name;
  byId("version").textContent = version;
  page.points = points;
  let first = 1;
  page.panels = panels.map((panel) => {
    const made = new Panel(panel, first);
    first += panel.series.length;
    return made;
  });
  byId("panels").replaceChildren(...page.panels.map((panel) => panel.figure));
};

const take = (sample) => {
  // Before its first sample a service has nothing to say.
  if (!sample.point) return;
  page.sample = sample;
  const last = page.points.at(-1);
  if (!last || sample.point[0] > last[0]) page.points.push(sample.point);
  while (page.points[0][0] < sample.point[0] - KEPT) page.points.shift();
  draw();
};

byId("pause").addEventListener("click", ({ currentTarget: button }) => {
  page.paused = !page.paused;
  button.setAttribute("aria-pressed", page.paused);
  draw();
});

const events = new EventSource("events");
events.addEventListener("begin", ({ data }) => begin(JSON.parse(data)));
events.addEventListener("sample", ({ data }) => take(JSON.parse(data)));
events.addEventListener("error", () => {
  state("not connected; trying again", "bad");
  // After an answer that is no stream, such as 503, a browser gives up by itself.
  if (events.readyState === EventSource.CLOSED) setTimeout(() => location.reload(), 10_000);
});
