// Sliders, tooltips, legends and copy buttons. The page reads well without any of it.
"use strict";

// Before/after: the range input is the handle, so that keyboard and screen readers work by themselves.
for (const box of document.querySelectorAll(".compare")) {
  const range = box.querySelector("input");
  const move = () => box.style.setProperty("--at", range.value + "%");
  range.addEventListener("input", move);
  move();
}

// Which picture lies under the right side.
for (const radio of document.querySelectorAll(".sides input")) {
  radio.addEventListener("change", () => {
    const box = radio.closest("figure").querySelector(".compare");
    box.classList.toggle("show-truth", radio.value === "truth");
  });
}

// Tooltips: the nearest mark within reach of the pointer. Texts are set as text, never as HTML.
const tip = document.getElementById("tip");
const REACH = 26;
let marked = null;

function unmark() {
  if (marked) marked.classList.remove("hover");
  marked = null;
  tip.hidden = true;
}

function showTip(mark, x, y) {
  if (marked !== mark) {
    unmark();
    marked = mark;
    mark.classList.add("hover");
    tip.textContent = mark.dataset.tip;
    tip.hidden = false;
  }
  const box = tip.getBoundingClientRect();
  tip.style.left = Math.max(8, Math.min(x + 14, innerWidth - box.width - 8)) + "px";
  tip.style.top = (y + 18 + box.height > innerHeight ? y - box.height - 12 : y + 18) + "px";
}

function nearest(svg, x, y) {
  let best = null;
  let least = REACH * REACH;
  for (const mark of svg.querySelectorAll(".series:not(.off) [data-tip]")) {
    const box = mark.getBoundingClientRect();
    const dx = box.left + box.width / 2 - x;
    const dy = box.top + box.height / 2 - y;
    const far = dx * dx + dy * dy;
    if (far <= least) [best, least] = [mark, far];
  }
  return best;
}

for (const svg of document.querySelectorAll("svg.plot")) {
  const find = (event) => {
    const mark = nearest(svg, event.clientX, event.clientY);
    if (mark) showTip(mark, event.clientX, event.clientY);
    else unmark();
  };
  svg.addEventListener("pointermove", find);
  svg.addEventListener("pointerdown", find);
  svg.addEventListener("pointerleave", unmark);
}
for (const row of document.querySelectorAll("svg.network [data-tip]")) {
  row.addEventListener("pointermove", (event) => showTip(row, event.clientX, event.clientY));
  row.addEventListener("pointerleave", unmark);
}
addEventListener("scroll", unmark, { passive: true });

// Legends switch series on and off.
for (const button of document.querySelectorAll(".legend button")) {
  button.addEventListener("click", () => {
    const on = button.getAttribute("aria-pressed") !== "true";
    button.setAttribute("aria-pressed", String(on));
    const series = button.closest("figure").querySelectorAll(`.series[data-series="${button.dataset.series}"]`);
    for (const group of series) group.classList.toggle("off", !on);
  });
}

// Copy buttons; where the clipboard is closed to files, the text is selected instead.
for (const button of document.querySelectorAll(".copier")) {
  button.addEventListener("click", async () => {
    const code = button.closest(".copy").querySelector("code");
    try {
      await navigator.clipboard.writeText(code.textContent);
      button.textContent = "Copied";
    } catch {
      getSelection().selectAllChildren(code);
      button.textContent = "Selected";
    }
    setTimeout(() => (button.textContent = "Copy"), 1600);
  });
}

// Paper shows everything but long lists.
addEventListener("beforeprint", () => {
  for (const one of document.querySelectorAll("details:not(.figures, .long)")) one.open = true;
});
