// Headers of a .sortable table become buttons that sort it, 1,000 after 999; without script the table stands as it is.
document.querySelectorAll(".sortable").forEach(table => {
  const body = table.tBodies[0], heads = [...table.tHead.rows[0].cells];
  const key = (row, k) => row.cells[k].dataset.value ?? row.cells[k].textContent.replace(/(\d),(?=\d{3})/g, "$1");
  const compare = (x, y) => Number.isFinite(x - y) ? x - y : x.localeCompare(y, undefined, {numeric: true});
  const sort = (head, k) => {
    const down = head.getAttribute("aria-sort") === "ascending" ? -1 : 1;
    heads.forEach(other => other.removeAttribute("aria-sort"));
    head.setAttribute("aria-sort", down === 1 ? "ascending" : "descending");
    body.append(...[...body.rows].sort((a, b) => down * compare(key(a, k), key(b, k))));
  };
  heads.forEach((head, k) => {
    const button = document.createElement("button");
    button.append(...head.childNodes);
    button.addEventListener("click", () => sort(head, k));
    head.append(button);
  });
});
