// Draws the charts of insights with uPlot. The same numbers stand in a table beside them.
"use strict";

(() => {
  const colour = (name) => getComputedStyle(document.documentElement).getPropertyValue(name).trim();
  const drawn = new Map();

  function draw(place) {
    drawn.get(place)?.destroy();
    const { at, lines } = JSON.parse(place.dataset.chart);
    const ink = colour("--dim");
    const grid = { stroke: colour("--edge"), width: 1 };
    const colours = [colour("--blue"), colour("--green")];
    const axis = { stroke: ink, grid, ticks: grid };
    drawn.set(place, new uPlot({
      width: place.clientWidth,
      height: 220,
      scales: { y: { range: (_, least, most) => [0, Math.max(most, 1) * 1.05] } },
      axes: [axis, { ...axis, incrs: [1, 2, 5, 10, 20, 50, 100, 200, 500, 1000, 2000, 5000, 10000, 50000, 100000] }],
      series: [{}, ...lines.map(({ label }, i) => ({
        label, stroke: colours[i], width: 2, dash: i ? [6, 4] : undefined, points: { show: at.length < 40 },
      }))],
    }, [at, ...lines.map(({ values }) => values)], place));
  }

  const drawAll = () => document.querySelectorAll("[data-chart]").forEach(draw);
  const resized = new ResizeObserver((entries) => {
    for (const { target } of entries) drawn.get(target)?.setSize({ width: target.clientWidth, height: 220 });
  });
  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", drawAll);
  drawAll();
  document.querySelectorAll("[data-chart]").forEach((place) => resized.observe(place));

  // Who names a day means the period of days.
  document.addEventListener("change", ({ target }) => {
    if (target.matches("[data-dates]")) target.form.elements.period.value = "dates";
  });
})();
