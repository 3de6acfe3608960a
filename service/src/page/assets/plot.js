// One panel: its numbers, and a plot of the last quarter of an hour.

const MINUTES = 15;
const [WIDTH, HEIGHT, LEFT, BOTTOM] = [320, 112, 44, 16];
const SVG = "http://www.w3.org/2000/svg";

const round = (value, digits = 3) => Number(value.toPrecision(digits)).toLocaleString("en", { maximumFractionDigits: 3 });

const scaled = (value, steps) => {
  const step = steps.findLast(([from]) => value >= from) ?? steps[0];
  return `${round(value / step[1])} ${step[2]}`;
};

// A figure for people.
export const written = (value, unit) => {
  if (value === null || value === undefined) return "–";
  switch (unit) {
    case "rate": return `${round(value)}/s`;
    case "bytes": return scaled(value, [[0, 1, "B"], [1024, 1024, "KiB"], [1 << 20, 1 << 20, "MiB"], [2 ** 30, 2 ** 30, "GiB"]]);
    case "seconds": return scaled(value, [[0, 1e-3, "ms"], [1, 1, "s"], [120, 60, "min"], [7200, 3600, "h"]]);
    default: return round(value, 6);
  }
};

// The least of 1, 2, 5, 10, … that the value is not above; of minutes or hours where it is written in these.
const ceiling = (value, unit) => {
  if (value <= 0) return 1;
  if (unit === "seconds" && value >= 120) return value < 7200 ? 60 * ceiling(value / 60) : 3600 * ceiling(value / 3600);
  const power = 10 ** Math.floor(Math.log10(value));
  return [1, 2, 5, 10].find((factor) => factor * power >= value * 0.999999) * power;
};

const element = (name, attributes = {}, text) => {
  const made = document.createElementNS(SVG, name);
  for (const [attribute, value] of Object.entries(attributes)) made.setAttribute(attribute, value);
  if (text !== undefined) made.textContent = text;
  return made;
};

export class Panel {
  // `first` is where its series begin in a point.
  constructor({ title, unit, series }, first) {
    Object.assign(this, { title, unit, series, first });
    this.figure = document.createElement("figure");
    const caption = this.figure.appendChild(document.createElement("figcaption"));
    caption.textContent = title;
    const list = this.figure.appendChild(document.createElement("dl"));
    this.numbers = series.map((label, index) => {
      const group = list.appendChild(document.createElement("div"));
      const term = group.appendChild(document.createElement("dt"));
      term.textContent = label;
      term.className = `s${index + 1}`;
      return group.appendChild(document.createElement("dd"));
    });
    this.svg = this.figure.appendChild(element("svg", { role: "img", viewBox: `0 0 ${WIDTH} ${HEIGHT}` }));
  }

  draw(points) {
    const last = points.at(-1);
    if (!last) return;
    this.numbers.forEach((number, index) => { number.textContent = written(last[this.first + index], this.unit); });

    const from = last[0] - MINUTES * 60_000;
    const values = this.series.map((_, index) => points.map((point) => point[this.first + index]));
    const top = ceiling(values.flat().reduce((most, value) => Math.max(most, value ?? 0), 0), this.unit);
    const x = (at) => LEFT + ((at - from) / (MINUTES * 60_000)) * (WIDTH - LEFT);
    const y = (value) => (HEIGHT - BOTTOM) * (1 - value / top) + 4;
    const drawn = [];
    for (const mark of [0, top / 2, top]) {
      drawn.push(element("line", { x1: LEFT, x2: WIDTH, y1: y(mark), y2: y(mark) }));
      drawn.push(element("text", { x: LEFT - 5, y: y(mark) + 4, "text-anchor": "end" }, written(mark, this.unit)));
    }
    for (const [minutes, anchor] of [[15, "start"], [10, "middle"], [5, "middle"], [0, "end"]]) {
      const text = minutes ? `−${minutes} min` : "now";
      drawn.push(element("text", { x: x(last[0] - minutes * 60_000), y: HEIGHT, "text-anchor": anchor }, text));
    }
    values.forEach((series, index) => {
      let path = "";
      series.forEach((value, at) => {
        if (value === null) return;
        const goesOn = at > 0 && series[at - 1] !== null;
        path += `${goesOn ? "L" : "M"}${x(points[at][0]).toFixed(1)} ${y(value).toFixed(1)}`;
        // A point that stands alone would not be seen.
        if (!goesOn && (at + 1 === series.length || series[at + 1] === null)) path += "h1";
      });
      if (path) drawn.push(element("path", { d: path, class: `s${index + 1}` }));
    });
    this.svg.replaceChildren(...drawn);
    const said = this.series.map((label, index) => {
      const known = values[index].filter((value) => value !== null);
      if (!known.length) return `${label}: nothing`;
      const [least, most] = known.reduce(([a, b], value) => [Math.min(a, value), Math.max(b, value)], [Infinity, -Infinity]);
      return `${label}: now ${written(known.at(-1), this.unit)}, between ${written(least, this.unit)} and ${written(most, this.unit)}`;
    });
    this.svg.setAttribute("aria-label", `${this.title} over the last ${MINUTES} minutes. ${said.join(". ")}`);
  }
}
