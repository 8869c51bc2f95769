"use strict";

// Shows the time and value under the pointer above a chart. The picture is the page's own SVG; uPlot lies over it,
// draws only the pointer, and is fetched when the pointer first enters a chart. Nothing depends on this: there is a
// table too.

const {script, style} = document.currentScript.dataset;
const MARGIN = 1 / 18; // of the range of values, above and below, as app/views/pages/charts.py draws it

function written(value) {
  const [whole, decimals] = value.split(".");
  const grouped = whole.replace("-", "").replace(/\B(?=(\d{3})+$)/g, ",");
  return `${whole.startsWith("-") ? "\u2212" : ""}$${grouped}.${(decimals ?? "").padEnd(2, "0")}`;
}

function writtenTime(seconds) {
  // "Sat, 05 Sep 2026 12:01:00 GMT": the months as the server writes them, which no locale of a browser does.
  const [, day, month, year, time] = new Date(seconds * 1000).toUTCString().split(/[ ,]+/);
  return `${Number(day)} ${month} ${year}, ${time.slice(0, 5)} UTC`;
}

function range(chart, low, high) {
  const margin = (high - low) * MARGIN || 1;
  return [low - margin, high + margin];
}

let fetched = null;
function fetchPlot() {
  fetched ||= new Promise((resolve, reject) => {
    const link = Object.assign(document.createElement("link"), {rel: "stylesheet", href: style});
    document.head.append(link, Object.assign(document.createElement("script"), {src: script, onload: resolve, onerror: reject}));
  });
  return fetched;
}

function watch(figure) {
  figure.querySelector(".plot").addEventListener("pointerenter", (event) => {
    const {offsetX: left, offsetY: top} = event;
    fetchPlot().then(() => enhance(figure).setCursor({left, top}), () => {});
  }, {once: true});
}

function enhance(figure) {
  const {times, values} = JSON.parse(figure.querySelector("script").textContent);
  const plot = figure.querySelector(".plot");
  const reading = figure.querySelector(".reading");
  const names = Array.from(figure.querySelectorAll(".key"), (key) => key.textContent.toLowerCase());
  const options = {
    width: plot.clientWidth, height: plot.clientHeight, padding: [0, 0, 0, 0],
    legend: {show: false}, axes: [{show: false}, {show: false}],
    cursor: {y: false, drag: {x: false, y: false}},
    scales: {x: {range: (chart, low, high) => [low, high]}, y: {range}},
    series: [{}, ...values.map(() => ({width: 0, points: {show: false}}))],
    hooks: {setCursor: [(chart) => {
      const place = chart.cursor.idx;
      reading.textContent = place == null ? "" : [
        writtenTime(times[place]), ...values.map((line, number) => `${number ? names[number] + " " : ""}${written(line[place])}`),
      ].join(" · ");
    }]},
  };
  const chart = new uPlot(options, [times, ...values.map((line) => line.map(Number))], plot);
  chart.root.setAttribute("aria-hidden", "true");
  new ResizeObserver(() => chart.setSize({width: plot.clientWidth, height: plot.clientHeight})).observe(plot);
  return chart;
}

// Loads a chart from another page once this one is shown; the link in its place stays if that fails.
async function load(place) {
  place.classList.add("loading");
  const answer = await fetch(place.dataset.load);
  const page = new DOMParser().parseFromString(await answer.text(), "text/html");
  const part = answer.ok && page.getElementById(place.dataset.part);
  place.classList.remove("loading");
  if (part) {
    place.prepend(document.adoptNode(part));
    place.querySelectorAll("figure.chart").forEach(watch);
  }
}

document.querySelectorAll("figure.chart").forEach(watch);
document.querySelectorAll("[data-load]").forEach((place) => load(place).catch(() => place.classList.remove("loading")));
