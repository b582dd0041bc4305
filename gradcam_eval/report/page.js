"use strict";
(() => {
  // Each <tbody> is sorted on its own, so that the controls stay apart from the cells.
  const valueOf = (row, column) => row.cells[column].dataset.value ?? "";

  const compare = (a, b, descending) => {
    if (a === "" || b === "") return (a === "") - (b === ""); // what is undefined stays last
    const numeric = !Number.isNaN(Number(a)) && !Number.isNaN(Number(b));
    const order = numeric ? Number(a) - Number(b) : a.localeCompare(b);
    return descending ? -order : order;
  };

  const sortBy = (header) => {
    const table = header.closest("table");
    const before = header.getAttribute("aria-sort");
    const first = header.dataset.first ?? "ascending";
    const other = first === "ascending" ? "descending" : "ascending";
    const now = before === first ? other : first;
    table.querySelectorAll("th[aria-sort]").forEach((th) => th.setAttribute("aria-sort", "none"));
    header.setAttribute("aria-sort", now);
    const column = Number(header.dataset.column);
    for (const body of table.tBodies) {
      const rows = [...body.rows].filter((row) => !row.classList.contains("band"));
      rows.sort((a, b) => compare(valueOf(a, column), valueOf(b, column), now === "descending"));
      body.append(...rows);
    }
  };

  document.querySelectorAll("th[aria-sort] button").forEach((button) => {
    button.addEventListener("click", () => sortBy(button.closest("th")));
  });

  // Paper cannot be clicked: print everything opened, then close what was closed.
  let closed = [];
  window.addEventListener("beforeprint", () => {
    closed = [...document.querySelectorAll("details:not([open])")];
    closed.forEach((details) => { details.open = true; });
  });
  window.addEventListener("afterprint", () => closed.forEach((d) => { d.open = false; }));
})();
