// Elements and texts. Everything that comes from a file is put in as text, never as markup.

const TEXTS = JSON.parse(document.getElementById('texts').textContent);
const SVG = 'http://www.w3.org/2000/svg';

let language = navigator.languages.some((tag) => /^zh\b/i.test(tag)) ? 'zh-CN' : 'en';

/** The text of a key with its values, in the language that is chosen. */
function say(key, values = {}) {
  return sayIn(language, key, values);
}

/** The same in another one. A key without a text is a fault of the page, and its test fails over it. */
function sayIn(tongue, key, values = {}) {
  const text = TEXTS[tongue][key];
  if (text === undefined) {
    console.error(`no text for ${key}`);
    return key;
  }
  return text.replace(/\{ \$([a-z_]+) \}/g, (_whole, name) => values[name] ?? '');
}

/** An element with attributes and children; strings become text. */
function element(name, attributes, ...children) {
  return filled(document.createElement(name), attributes, children);
}

function drawn(name, attributes, ...children) {
  return filled(document.createElementNS(SVG, name), attributes, children);
}

function filled(made, attributes, children) {
  for (const [attribute, value] of Object.entries(attributes)) {
    made.setAttribute(attribute, value);
  }
  made.append(...children.filter((child) => child !== null));
  return made;
}

/** A table with a head; each row is [class, cells], and its first cell names the row. */
function table(columns, rows) {
  const head = element('tr', {}, ...columns.map((key) => element('th', { scope: 'col' }, say(key))));
  const body = rows.map(([kind, cells]) => {
    const [first, ...rest] = cells.map((cell) => (Array.isArray(cell) ? cell : [cell]));
    return element('tr', { class: kind },
      element('th', { scope: 'row' }, ...first),
      ...rest.map((cell) => element('td', {}, ...cell)));
  });
  return element('table', {}, element('thead', {}, head), element('tbody', {}, ...body));
}

/** A list of names and values; empty values are left out. */
function pairs(list) {
  const shown = list.filter(([, value]) => value !== '' && value !== null);
  return element('dl', {}, ...shown.flatMap(([name, value]) => [element('dt', {}, name), element('dd', {}, value)]));
}

/** A part of the page under its own heading. */
function part(id, key, ...children) {
  const heading = element('h2', { id: `${id}-heading` }, say(key));
  return element('section', { id, 'aria-labelledby': `${id}-heading` }, heading, ...children);
}
