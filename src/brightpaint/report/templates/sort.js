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
