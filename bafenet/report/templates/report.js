'use strict';
// The page is whole without this: it adds colours by choice, sorting and enlarged pictures.

function chooseTheme() {
  const button = document.getElementById('theme');
  const root = document.documentElement;
  const dark = () => root.dataset.theme ? root.dataset.theme === 'dark' : matchMedia('(prefers-color-scheme: dark)').matches;
  const show = () => { button.textContent = dark() ? 'Light colours' : 'Dark colours'; };
  try {
    const kept = localStorage.getItem('bafenet-report-theme');
    if (kept === 'dark' || kept === 'light') root.dataset.theme = kept;
  } catch { /* a browser that keeps nothing for files */ }
  button.hidden = false;
  button.addEventListener('click', () => {
    root.dataset.theme = dark() ? 'light' : 'dark';
    try { localStorage.setItem('bafenet-report-theme', root.dataset.theme); } catch { /* likewise */ }
    show();
  });
  matchMedia('(prefers-color-scheme: dark)').addEventListener('change', show);
  show();
}

function keyOf(row, column) {
  const cell = row.cells[column];
  return cell.dataset.value === undefined ? cell.textContent.trim() : Number(cell.dataset.value);
}

function compare(a, b, direction) {
  // Cells without a value stay last, whatever the direction.
  if (a === '' || b === '') return (a === '') - (b === '');
  if (typeof a === 'number' && typeof b === 'number') return direction * (a - b);
  return direction * String(a).localeCompare(String(b), 'en', { numeric: true });
}

function sortBy(table, header, column) {
  const body = table.tBodies[0];
  const rows = [...body.rows];
  const numbers = rows.some((row) => row.cells[column].dataset.value !== undefined);
  const before = header.getAttribute('aria-sort');
  // Numbers begin with the highest, names with A.
  const ascending = before ? before === 'descending' : !numbers;
  for (const other of table.tHead.rows[0].cells) other.removeAttribute('aria-sort');
  header.setAttribute('aria-sort', ascending ? 'ascending' : 'descending');
  rows.sort((one, two) => compare(keyOf(one, column), keyOf(two, column), ascending ? 1 : -1));
  body.append(...rows);
  document.getElementById('status').textContent =
    `Sorted by ${header.textContent.trim()}, ${ascending ? 'ascending' : 'descending'}.`;
}

function makeSortable(table) {
  [...table.tHead.rows[0].cells].forEach((header, column) => {
    const button = document.createElement('button');
    button.type = 'button';
    button.append(...header.childNodes);
    header.append(button);
    button.addEventListener('click', () => sortBy(table, header, column));
  });
}

function makeZoom() {
  const dialog = document.getElementById('zoom');
  const [title, text, picture, scale] = ['zoom-title', 'zoom-text', 'zoom-picture', 'zoom-scale']
    .map((id) => document.getElementById(id));
  const view = picture.parentElement;
  let opener = null;
  const fit = (actual) => {
    view.classList.toggle('actual', actual);
    scale.setAttribute('aria-pressed', String(actual));
  };
  for (const image of document.querySelectorAll('.frame')) {
    const button = document.createElement('button');
    button.type = 'button';
    image.replaceWith(button);
    button.append(image);
    button.setAttribute('aria-label', `Enlarge: ${image.alt}`);
    button.setAttribute('aria-haspopup', 'dialog');
    button.addEventListener('click', () => {
      opener = button;
      title.textContent = image.dataset.title;
      text.textContent = image.alt;
      picture.src = image.src;
      picture.alt = image.alt;
      fit(false);
      dialog.showModal();
      document.getElementById('zoom-close').focus();
    });
  }
  scale.addEventListener('click', () => fit(!view.classList.contains('actual')));
  document.getElementById('zoom-close').addEventListener('click', () => dialog.close());
  dialog.addEventListener('click', (event) => { if (event.target === dialog) dialog.close(); });
  dialog.addEventListener('close', () => {
    picture.removeAttribute('src');
    if (opener) opener.focus();
    opener = null;
  });
}

chooseTheme();
document.querySelectorAll('table.sortable').forEach(makeSortable);
makeZoom();
