// Choose and order the cases that are on the page, and step through them: the only script, asking for nothing.
"use strict";
const list = document.getElementById("case-list");
const controls = document.getElementById("case-controls");
const cases = [...list.children];
const chosen = (name) => controls.elements[name];
const orders = {
  worst: (one, other) => one.dataset.rank - other.dataset.rank,
  best: (one, other) => other.dataset.rank - one.dataset.rank,
  score: (one, other) => (one.dataset.lowest || 2) - (other.dataset.lowest || 2),
};
function show() {
  const label = chosen("label").value;
  for (const one of cases) {
    one.hidden =
      (label !== "" && !one.dataset.labels.split(" ").includes(label)) ||
      (chosen("critical").checked && !("critical" in one.dataset)) ||
      (chosen("odd").checked && !("odd" in one.dataset));
  }
  list.append(...[...cases].sort(orders[chosen("order").value]));
  const shown = cases.filter((one) => !one.hidden).length;
  document.getElementById("case-count").textContent = `${shown} of ${cases.length} shown`;
}
function step(by) {
  const shown = [...list.children].filter((one) => !one.hidden);
  const place = shown.indexOf(document.activeElement.closest(".case"));
  const next = shown[place < 0 ? (by > 0 ? 0 : shown.length - 1) : place + by];
  if (!next) return;
  next.focus({ preventScroll: true });
  next.scrollIntoView({ block: "start" });
}
controls.hidden = false;
controls.addEventListener("change", show);
document.addEventListener("keydown", (event) => {
  if (event.ctrlKey || event.metaKey || event.altKey || event.target.matches("input, select")) return;
  if (event.key === "j" || event.key === "n") step(1);
  if (event.key === "k" || event.key === "p") step(-1);
});
show();
