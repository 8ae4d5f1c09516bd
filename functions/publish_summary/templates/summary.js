
// The page is whole without this: it adds sorting, filtering, and pictures that enlarge.
"use strict";

function numberOf(cell) {
  const text = cell.innerText.replaceAll(",", "").trim();
  return /^[+-]?(\d|\.\d)/.test(text) ? parseFloat(text) : NaN;
}

function sortBy(table, column, descending) {
  const body = table.tBodies[0];
  const rows = Array.from(body.rows, (row) => ({ row, number: numberOf(row.cells[column]), text: row.cells[column].innerText }));
  const way = descending ? -1 : 1;
  rows.sort((one, other) => {
    if (Number.isNaN(one.number) !== Number.isNaN(other.number)) return Number.isNaN(one.number) ? 1 : -1;
    if (!Number.isNaN(one.number)) return way * (one.number - other.number);
    return way * one.text.localeCompare(other.text, undefined, { numeric: true });
  });
  body.append(...rows.map((entry) => entry.row));
}

function makeSortable(table) {
  const heads = Array.from(table.tHead.rows[0].cells);
  heads.forEach((head, column) => {
    if (head.classList.contains("plain")) return;
    const button = document.createElement("button");
    button.type = "button";
    button.append(...head.childNodes);
    head.append(button);
    button.addEventListener("click", () => {
      const descending = head.getAttribute("aria-sort") === "ascending";
      heads.forEach((other) => other.removeAttribute("aria-sort"));
      head.setAttribute("aria-sort", descending ? "descending" : "ascending");
      sortBy(table, column, descending);
    });
  });
}

function makeFilterable(table) {
  const region = table.parentElement;
  const tools = document.createElement("div");
  tools.className = "tools";
  const input = document.createElement("input");
  input.type = "search";
  input.placeholder = "Filter";
  input.setAttribute("aria-label", "Filter: " + region.getAttribute("aria-label"));
  const told = document.createElement("output");
  const rows = Array.from(table.tBodies[0].rows);
  told.textContent = rows.length + " rows";
  tools.append(input, told);
  region.before(tools);
  input.addEventListener("input", () => {
    const wanted = input.value.toLowerCase().split(/\s+/).filter(Boolean);
    let shown = 0;
    for (const row of rows) {
      const text = row.textContent.toLowerCase();
      row.hidden = !wanted.every((word) => text.includes(word));
      if (!row.hidden) shown += 1;
    }
    told.textContent = shown === rows.length ? rows.length + " rows" : shown + " of " + rows.length + " rows";
  });
}

for (const table of document.querySelectorAll("table.long")) {
  const rows = table.tBodies[0].rows.length;
  if (rows > 1) makeSortable(table);
  if (rows > 15) makeFilterable(table);
}

const pictures = Array.from(document.querySelectorAll("a.picture"));
if (pictures.length && typeof HTMLDialogElement === "function") {
  const dialog = document.createElement("dialog");
  dialog.setAttribute("aria-labelledby", "enlarged");
  const head = document.createElement("header");
  const title = document.createElement("p");
  title.id = "enlarged";
  const full = document.createElement("a");
  full.textContent = "file";
  const close = document.createElement("button");
  close.type = "button";
  close.textContent = "Close";
  const image = document.createElement("img");
  head.append(title, full, close);
  dialog.append(head, image);
  document.body.append(dialog);
  let place = 0;
  const show = (next) => {
    place = (next + pictures.length) % pictures.length;
    const small = pictures[place].querySelector("img");
    image.src = small.src;
    image.alt = small.alt;
    title.textContent = small.alt;
    full.href = pictures[place].getAttribute("href");
  };
  pictures.forEach((link, number) => {
    link.addEventListener("click", (event) => {
      if (event.ctrlKey || event.metaKey || event.shiftKey) return;
      event.preventDefault();
      show(number);
      dialog.showModal();
    });
  });
  close.addEventListener("click", () => dialog.close());
  dialog.addEventListener("click", (event) => { if (event.target === dialog) dialog.close(); });
  dialog.addEventListener("keydown", (event) => {
    if (event.key === "ArrowRight") show(place + 1);
    if (event.key === "ArrowLeft") show(place - 1);
  });
}

// On paper nothing is folded away.
addEventListener("beforeprint", () => {
  for (const folded of document.querySelectorAll("details:not([open])")) {
    folded.open = true;
    folded.dataset.wasFolded = "";
  }
});
addEventListener("afterprint", () => {
  for (const unfolded of document.querySelectorAll("details[data-was-folded]")) {
    unfolded.open = false;
    delete unfolded.dataset.wasFolded;
  }
});
