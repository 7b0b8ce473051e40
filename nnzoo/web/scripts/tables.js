/**
 * Tables with the class `sort`: their headers sort them, and a field above a long one filters its rows.
 *
 * Rows of the class `reason` belong to the row above them and stay below it.
 */
nnzoo.tables = (() => {
  /** Rows from which on a table has a filter. */
  const MANY = 9;

  /** The number at the beginning of a text such as "1,234", "99.4 %", "0.93 [0.9, 0.95]"; null if there is none. */
  function toNumber(text) {
    const match = /^[−-]?[\d,]*\.?\d+(?:e[+-]?\d+)?/i.exec(text);
    return match ? Number(match[0].replace("−", "-").replaceAll(",", "")) : null;
  }

  /** The text of a cell without blanks around it. */
  const cellText = (row, column) => row.cells[column]?.textContent.trim() ?? "";

  /** The rows of a table below its header, each with the rows of reasons that follow it. */
  function groups(table) {
    const result = [];
    for (const row of [...table.rows].slice(1)) {
      if (row.classList.contains("reason") && result.length) result.at(-1).push(row);
      else result.push([row]);
    }
    return result;
  }

  /**
   * Sort groups of rows by a column. Numbers are compared as numbers if each text of the column begins with one; empty
   * cells and dashes come last in both directions.
   */
  function sorted(rows, column, direction) {
    const texts = rows.map(([row]) => cellText(row, column));
    const isEmpty = texts.map((text) => text === "" || text === "–");
    const numbers = texts.map(toNumber);
    const numeric = numbers.every((number, i) => isEmpty[i] || number !== null);
    return rows.map((row, i) => i).sort((a, b) => {
      if (isEmpty[a] !== isEmpty[b]) return isEmpty[a] - isEmpty[b];
      const order = numeric ? numbers[a] - numbers[b]
        : texts[a].localeCompare(texts[b], "en", {numeric: true});
      return direction * order || a - b;
    }).map((i) => rows[i]);
  }

  /** Make the headers of a table buttons: ascending, descending, and as it was. */
  function sortable(table) {
    const original = groups(table);
    const headers = [...table.rows[0].cells];
    headers.forEach((header, column) => {
      const button = nnzoo.element("button", {class: "sorter", type: "button"}, ...header.childNodes);
      if (!button.textContent.trim()) button.setAttribute("aria-label", "name");
      header.append(button);
      button.addEventListener("click", () => {
        const before = header.getAttribute("aria-sort");
        const now = {ascending: "descending", descending: null}[before];
        const next = now === undefined ? "ascending" : now;
        for (const other of headers) other.removeAttribute("aria-sort");
        if (next) header.setAttribute("aria-sort", next);
        const direction = next === "descending" ? -1 : 1;
        const rows = next ? sorted(original, column, direction) : original;
        original[0]?.[0].parentNode.append(...rows.flat());
      });
    });
    return original;
  }

  /** Whether a cell holds a name rather than a number of a column of numbers. */
  const isText = (cell) => !cell.classList.contains("n") || cell.cellIndex === 0;

  /** Put a field above a table that hides the rows without its text in a name. */
  function filterable(table, rows) {
    const label = table.rows[0].cells[0].textContent.trim() || "rows";
    const field = nnzoo.element("input", {
      type: "search", placeholder: "filter rows", "aria-label": `filter the table by ${label}`,
    });
    const count = nnzoo.element("span", {class: "soft", role: "status"});
    field.addEventListener("input", () => {
      const wanted = field.value.trim().toLowerCase();
      let shown = 0;
      for (const group of rows) {
        const cells = group.flatMap((row) => [...row.cells]);
        const matches = cells.some((cell) => isText(cell) && cell.textContent.toLowerCase().includes(wanted));
        for (const row of group) row.hidden = !matches;
        shown += matches;
      }
      count.textContent = wanted ? ` ${shown} of ${rows.length} rows` : "";
    });
    (table.closest(".wide") ?? table).before(nnzoo.element("div", {class: "filter tool"}, field, count));
  }

  /** Let a table be sorted, and filtered if it is long. */
  function enhance(table) {
    const rows = table.rows.length > 2 ? sortable(table) : [];
    if (rows.length >= MANY) filterable(table, rows);
  }
  document.querySelectorAll("table.sort").forEach(enhance);
  return {enhance};
})();
