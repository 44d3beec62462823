"""What makes the page interactive. Without it, everything is there, unsorted and unfiltered."""

from __future__ import annotations

SCRIPT = """
"use strict";
(() => {
  const all = (selector, root = document) => [...root.querySelectorAll(selector)];

  // Filters: a mark or row goes when one of its properties is not the chosen one.
  const filters = all("select[data-filter]");
  const redrawFront = (figure) => {
    const line = figure.querySelector(".front");
    if (!line) return;
    const places = all(".mark[data-x]:not(.off)", figure)
      .map((mark) => [Number(mark.dataset.x), Number(mark.dataset.y)])
      .sort((a, b) => a[0] - b[0] || a[1] - b[1]);
    let path = "";
    let best = Infinity;
    for (const [x, y] of places) {
      if (y >= best) continue;
      path += path ? `H${x}V${y}` : `M${x} ${y}`;
      best = y;
    }
    line.setAttribute("d", path || "M0 0");
  };
  const filter = () => {
    const wanted = filters.filter((select) => select.value).map((select) => [select.dataset.filter, select.value]);
    const fits = ({ dataset }) => wanted.every(([name, value]) => [undefined, value].includes(dataset[name]));
    for (const node of all(".mark, tr[data-runtime]")) {
      node.classList.toggle("off", !fits(node));
    }
    for (const section of all("section[data-device]")) section.hidden = !fits(section);
    document.body.classList.toggle("filtered", wanted.length > 0);
    all("figure").forEach(redrawFront);
  };
  for (const select of filters) select.addEventListener("change", filter);
  for (const bar of all(".filters")) bar.hidden = false;

  // Sorting: a click on a head sorts by it, another one turns the order round; cells without a value stay last.
  for (const head of all("table.sortable th")) {
    // No button element: browsers do not repeat those in the head of each printed page.
    const button = document.createElement("span");
    button.className = "sort";
    button.tabIndex = 0;
    button.setAttribute("role", "button");
    button.append(...head.childNodes);
    head.append(button);
    const sort = () => {
      const table = head.closest("table");
      const column = [...head.parentNode.children].indexOf(head);
      const sense = head.getAttribute("aria-sort") === "ascending" ? -1 : 1;
      for (const other of all("th", table)) other.removeAttribute("aria-sort");
      head.setAttribute("aria-sort", sense === 1 ? "ascending" : "descending");
      const key = (row) => row.children[column].dataset.value;
      const rows = all("tbody tr", table).sort((a, b) => {
        const [left, right] = [key(a), key(b)];
        if (left === undefined || right === undefined) return (left === undefined) - (right === undefined);
        const [x, y] = [Number(left), Number(right)];
        const order = Number.isNaN(x) || Number.isNaN(y) ? left.localeCompare(right) : x - y;
        return sense * order;
      });
      table.tBodies[0].append(...rows);
    };
    button.addEventListener("click", sort);
    button.addEventListener("keydown", (event) => {
      if (event.key !== "Enter" && event.key !== " ") return;
      event.preventDefault();
      sort();
    });
  }

  // Values: the title of a mark, shown at once and on touch screens too.
  const tip = document.createElement("div");
  tip.className = "tip";
  tip.hidden = true;
  document.body.append(tip);
  const hide = () => { tip.hidden = true; };
  const show = (event) => {
    const mark = event.target.closest ? event.target.closest("[data-tip]") : null;
    if (!mark || mark.classList.contains("off")) return hide();
    tip.textContent = mark.dataset.tip;
    tip.hidden = false;
    const room = 12;
    const left = Math.min(event.clientX + room, innerWidth - tip.offsetWidth - room);
    const above = event.clientY - tip.offsetHeight - room;
    tip.style.left = `${Math.max(room, left)}px`;
    tip.style.top = `${above > 0 ? above : event.clientY + room}px`;
    return undefined;
  };
  for (const title of all("svg g > title")) {
    title.parentNode.dataset.tip = title.textContent;
    title.remove();
  }
  addEventListener("pointermove", show);
  addEventListener("pointerdown", show);
  addEventListener("scroll", hide, { passive: true });
})();
"""
