{# Sorts a table by the clicked column; empty cells stay last, and Enter does what a click does. #}
for (const head of document.querySelectorAll('thead th')) {
  head.tabIndex = 0;
  const sort = () => {
    const table = head.closest('table'), place = head.cellIndex, body = table.tBodies[0];
    const up = head.getAttribute('aria-sort') === 'descending';
    for (const other of head.parentNode.cells) other.removeAttribute('aria-sort');
    head.setAttribute('aria-sort', up ? 'ascending' : 'descending');
    const key = row => { const v = row.cells[place].dataset.value; return v === undefined ? null : v === '' ? NaN : +v };
    const text = row => row.cells[place].textContent.trim();
    const order = (a, b) => {
      const x = key(a), y = key(b);
      if (x === null) return (up ? 1 : -1) * text(a).localeCompare(text(b));
      if (Number.isNaN(x) || Number.isNaN(y)) return Number.isNaN(x) - Number.isNaN(y);
      return up ? x - y : y - x;
    };
    body.append(...[...body.rows].sort(order));
  };
  head.addEventListener('click', sort);
  head.addEventListener('keydown', event => { if (event.key === 'Enter') sort() });
}
{# A table of many rows gets a field that leaves the rows which hold all of its words, in any column. #}
for (const table of document.querySelectorAll('table')) {
  if (table.tBodies[0].rows.length < 8) continue;
  const field = document.createElement('input'), count = document.createElement('output');
  field.type = 'search'; field.placeholder = 'rows that hold ...'; field.setAttribute('aria-label', 'Filter the rows');
  field.addEventListener('input', () => {
    const words = field.value.toLowerCase().split(/\s+/), rows = [...table.tBodies[0].rows];
    for (const row of rows) {
      const text = [...row.cells].map(cell => cell.textContent).join(' ').toLowerCase();
      row.hidden = !words.every(word => text.includes(word));
    }
    count.textContent = field.value.trim() ? ` ${rows.filter(row => !row.hidden).length} of ${rows.length} rows` : '';
  });
  table.before(field, count);
}
