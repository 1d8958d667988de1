'use strict';
(() => {
// The judge: the product's own verifier, compiled to WebAssembly. It imports nothing, so it can only compute.

const RECEIPT_SIZE_MAX = 1 << 20;
const TRUST_SIZE_MAX = 1 << 18;
const BLOCKS_SIZE_MAX = 1 << 14;

/** The module: out of the page itself, or from the server that served the page. */
async function judgeModule() {
  const inside = document.getElementById('judge');
  if (inside) {
    const text = atob(inside.textContent.trim());
    return WebAssembly.compile(Uint8Array.from(text, (letter) => letter.charCodeAt(0)));
  }
  const answer = await fetch(document.documentElement.dataset.judge);
  if (!answer.ok) {
    throw new Error(`the judge was not served: ${answer.status}`);
  }
  return WebAssembly.compile(await answer.arrayBuffer());
}

/** Judges the bytes of a receipt by the bytes of a trust file and of the blocks that a person knows. Each judgement has memory of its own. */
async function judge(module, receipt, trust, blocks) {
  const { memory, tpw_input, tpw_judge, tpw_answer } = (await WebAssembly.instantiate(module, {})).exports;
  const parts = [receipt, trust, blocks];
  const length = parts.reduce((sum, part) => sum + part.length, 0);
  const place = tpw_input(length);
  if (place === 0) {
    throw new Error('the files are too large');
  }
  const input = new Uint8Array(memory.buffer, place, length);
  let at = 0;
  for (const part of parts) {
    input.set(part, at);
    at += part.length;
  }
  const told = tpw_judge(receipt.length, trust.length);
  const answer = new Uint8Array(memory.buffer, tpw_answer(), told);
  return JSON.parse(new TextDecoder('utf-8', { fatal: true }).decode(answer));
}

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

// The Merkle path as a picture: the entry at the bottom, the root at the top, each sibling on its own side.

const STEP_HEIGHT = 74;
const BOX_WIDTH = 96;
const BOX_HEIGHT = 30;
const MIDDLE = 180;
const ASIDE = { left: 60, right: 300 };

function box(x, y, hash, kind, name, nameY) {
  return drawn('g', { class: kind },
    drawn('title', {}, hash),
    drawn('rect', { x: x - BOX_WIDTH / 2, y: y - BOX_HEIGHT / 2, width: BOX_WIDTH, height: BOX_HEIGHT, rx: 5 }),
    drawn('text', { x, y: y + 4.5 }, `${hash.slice(0, 8)}…`),
    name ? drawn('text', { class: 'name', x, y: nameY }, name) : null);
}

function edge(x, from, to, kind) {
  return drawn('line', { class: kind, x1: x, y1: from - BOX_HEIGHT / 2, x2: MIDDLE, y2: to + BOX_HEIGHT / 2 });
}

/** The picture; `kind` of the topmost box says whether it is the checkpoint's root. */
function pathPicture(path) {
  const height = (path.steps.length + 1) * STEP_HEIGHT;
  const yOf = (step) => height - STEP_HEIGHT / 2 - step * STEP_HEIGHT;
  const shapes = [];
  path.steps.forEach((step, at) => {
    const [below, above] = [yOf(at), yOf(at + 1)];
    shapes.push(edge(MIDDLE, below, above, 'own'), edge(ASIDE[step.side], below, above, ''));
    shapes.push(box(ASIDE[step.side], below, step.sibling, 'sibling', '', 0));
  });
  const nodes = [path.leaf, ...path.steps.map((step) => step.node)];
  nodes.forEach((hash, at) => {
    const isTop = at === nodes.length - 1;
    const top = path.leads ? 'holds' : 'astray';
    const rootName = say(path.leads ? 'page-path-root' : 'page-path-reached');
    const entryName = say('page-path-entry', { index: path.index });
    // A tree of one entry is its own root. The names stand where no line comes by: above the root, below the entry.
    const names = [at === 0 ? entryName : '', isTop ? rootName : ''].filter((name) => name !== '');
    const nameY = isTop ? yOf(at) - BOX_HEIGHT / 2 - 6 : yOf(at) + BOX_HEIGHT / 2 + 14;
    shapes.push(box(MIDDLE, yOf(at), hash, isTop ? top : 'own', names.join(' = '), nameY));
  });
  const label = say('page-path-picture', { index: path.index, steps: String(path.steps.length) });
  return drawn('svg', { class: 'path', viewBox: `0 0 360 ${height}`, role: 'img', 'aria-label': label }, ...shapes);
}

/** Every hash in full, for those who compute it themselves or do not see the picture. */
function pathList(path) {
  const hash = (text) => element('code', {}, text);
  const rows = path.steps.map((step, at) => ['', [
    String(at + 1), say(`page-${step.side}`), hash(step.sibling), hash(step.node),
  ]]);
  const columns = ['page-path-step', 'page-path-side', 'page-path-sibling', 'page-path-node'];
  const ends = pairs([
    [say('page-path-entry', { index: path.index }), hash(path.leaf)],
    [say('page-path-root'), hash(path.root)],
  ]);
  return element('details', {}, element('summary', {}, say('page-path-list')), ends, rows.length ? table(columns, rows) : null);
}

// What the judge found, in words.

const MARKS = { proved: '✓', absent: '–', failed: '✗' };
const WORDS = { proved: 'page-proved', absent: 'page-absent', failed: 'page-failed-word' };

function reasonText(fault) {
  return say(`proof-${fault.reason}`, { detail: fault.detail });
}

function layerText(name) {
  return say(`layer-${name}`);
}

function outcomeCell(result) {
  return element('span', { class: 'outcome' }, `${MARKS[result.outcome]} ${say(WORDS[result.outcome])}`);
}

function failureText(result) {
  return say('page-fails-in', { layer: layerText(result.layer), reason: reasonText(result) });
}

/** What exactly holds, for a layer that is proved and has something to say. */
function factText(layer, facts) {
  return facts[layer] ? say(`page-holds-${layer}`, facts[layer]) : '';
}

function why(text) {
  return text ? element('span', { class: 'why' }, text) : null;
}

/** The layer whose facts say most about a level. */
const TELLING = {
  device_signature: 'statement',
  in_log: 'tlog_proof',
  witnessed: 'witness',
  time_stamped: 'timestamp',
  anchored: 'anchor',
  renewed: 'evidence',
};

function levelsPart(found) {
  const rows = found.levels.map((result) => {
    const fact = result.outcome === 'proved' ? factText(TELLING[result.name], found.facts) : '';
    const told = result.outcome === 'failed' ? failureText(result) : fact;
    return [`level ${result.outcome}`, [
      `${result.level} ${say(`level-${result.name}`)}`, outcomeCell(result), [say(`proves-${result.name}`), why(told)],
    ]];
  });
  return part('levels', 'page-levels', table(['page-column-level', 'page-column-outcome', 'page-column-proves'], rows));
}

function layersPart(found) {
  const rows = found.layers.map((result) => {
    const told = result.outcome === 'failed' ? failureText(result) : factText(result.name, found.facts);
    return [`layer ${result.outcome}`, [
      layerText(result.name), outcomeCell(result), [say(`proves-layer-${result.name}`), why(told)],
    ]];
  });
  return part('layers', 'page-layers', table(['page-column-layer', 'page-column-outcome', 'page-column-proves'], rows));
}

function paymentPart(payment) {
  if (payment === null) {
    return part('payment', 'page-payment', element('p', {}, say('page-payment-hidden')));
  }
  const mono = (text) => element('code', {}, text);
  return part('payment', 'page-payment', pairs([
    [say('field-payment'), mono(payment.id)],
    [say('field-kind'), say(`kind-${payment.kind}`)],
    [say('field-amount'), payment.money],
    [say('field-from'), mono(payment.payer)],
    [say('field-to'), mono(payment.payee)],
    [say('field-note'), payment.purpose],
    [say('page-field-device'), mono(payment.device)],
    [say('page-field-created'), payment.created],
    [say('page-field-received'), payment.received],
    [say('field-booked'), payment.booked],
    [say('field-time'), payment.time_stamped],
    [say('field-intent-hash'), mono(payment.intent_hash)],
  ]));
}

function pathPart(found) {
  const path = found.path;
  if (path === null) {
    return part('path', 'page-path', element('p', {}, say('page-path-none')));
  }
  const isProved = found.levels.some((result) => result.name === 'in_log' && result.outcome === 'proved');
  const words = say(isProved ? 'page-path-proved' : 'page-path-claimed', { index: path.index, size: path.size });
  const astray = path.leads ? null : element('p', {}, say('page-path-astray'));
  const figure = element('figure', {}, pathPicture(path), element('figcaption', {}, pathList(path)));
  return part('path', 'page-path', element('p', {}, words), astray, figure);
}

function signersPart(signers) {
  if (signers.length === 0) {
    return part('signers', 'page-signers', element('p', {}, say('page-signers-none')));
  }
  const key = (signer) => (signer.key ? element('code', {}, say('page-key', signer)) : signer.time ?? '');
  const rows = signers.map((signer) => ['', [say(`page-signer-${signer.role}`), signer.name ?? '', key(signer)]]);
  return part('signers', 'page-signers', table(['page-column-role', 'page-column-name', 'page-column-key'], rows));
}

function trustPart(trust) {
  const hint = { true: 'page-hint-same', false: 'page-hint-other' }[trust.is_hinted];
  return part('judged-by', 'page-judged-by',
    pairs([
      [say('page-operator'), trust.operator],
      [say('page-origin'), trust.origin],
      [say('page-trust-hash'), element('code', {}, trust.hash)],
    ]),
    hint ? element('p', { class: 'quiet' }, say(hint)) : null);
}

function verdictLines(found, name) {
  if (found.valid) {
    return ['good', say('page-valid', { name }), say('page-valid-note')];
  }
  if (found.failure) {
    const values = { layer: layerText(found.failure.layer), reason: reasonText(found.failure) };
    return ['bad', say('page-invalid', { name }), say('page-failed', values)];
  }
  const needed = ['device_signature', 'in_log', 'time_stamped'];
  const missing = found.levels.filter((result) => needed.includes(result.name) && result.outcome === 'absent');
  const levels = missing.map((result) => `${result.level} ${say(`level-${result.name}`)}`).join(', ');
  return ['bad', say('page-invalid', { name }), say('page-incomplete', { levels })];
}

/** All parts; a printed receipt stands first and has what the payment's part says. */
function findings(found, sheet) {
  const [first, second] = sheet ? [sheet, levelsPart(found)] : [levelsPart(found), paymentPart(found.payment)];
  return [first, second, pathPart(found), layersPart(found), signersPart(found.signers), trustPart(found.trust)];
}

// A receipt that the page itself carries: `tpw receipt print --format self-verifying` puts it into the page together with the trust
// file and its printed text. That text is for readers without scripts. Here nothing of it is shown: the receipt is drawn from what
// the judge proved, and where the text says something else, that is told.

/** What `id` holds as a data URL; null when it holds none. */
function carriedBytes(id) {
  const [, text] = document.getElementById(id)?.getAttribute('href')?.split(';base64,') ?? [];
  try {
    return text ? Uint8Array.from(atob(text), (letter) => letter.charCodeAt(0)) : null;
  } catch {
    return null;
  }
}

/** Whether this page carries a receipt. */
function isPrinted() {
  return document.getElementById('carried') !== null;
}

/** The language of the text that it carries. */
function printedLanguage() {
  const { lang } = document.getElementById('carried');
  return Object.hasOwn(TEXTS, lang) ? lang : 'en';
}

/** What exactly a level proves, as it is printed. */
function printedDetail({ name, detail }, { payment, facts, signers }, tongue) {
  if (name === 'device_signature') {
    const keys = signers.filter((signer) => signer.role === 'device');
    const [first, second] = keys.map(({ algorithm, key }) => sayIn(tongue, 'proved-device-signature', { algorithm, key: key.slice(0, 8) }));
    return second ? sayIn(tongue, 'proved-hybrid-signature', { first, second }) : first;
  }
  if (name === 'in_log') {
    return sayIn(tongue, 'proved-in-log', { index: payment.leaf_index, size: payment.tree_size });
  }
  return name === 'renewed' && facts.evidence ? sayIn(tongue, 'proved-renewed', facts.evidence) : detail;
}

/**
 * What is printed of a proved payment, in the words of `tongue`; the names are those that `tpw receipt print` gives to its texts. Of
 * approvals, postings, levels and parts there are several: a list, in its order.
 */
function printedFacts(found, tongue) {
  const { payment, trust, file_hash, levels, layers } = found;
  const outcome = (result) => sayIn(tongue, `word-${result.outcome}`);
  const level = (result) => (result.outcome === 'proved' ? `${outcome(result)} ${printedDetail(result, found, tongue)}`.trim() : outcome(result));
  const reason = ({ code, points }) => `+${points} ${sayIn(tongue, `reason-${code}`)}`;
  return {
    title: sayIn(tongue, `print-title-${payment.kind}`),
    amount: payment.money,
    words: payment.in_words[tongue],
    'field-payment': payment.id,
    'field-kind': sayIn(tongue, `kind-${payment.kind}`),
    'field-from': payment.payer,
    'field-to': payment.payee,
    'field-note': payment.purpose,
    'field-operator': payment.operator,
    'field-device': payment.device,
    'field-sequence': payment.sequence,
    'field-created': payment.created,
    'field-received': payment.received,
    'field-booked': payment.booked,
    'field-time': payment.time_stamped ?? '',
    'field-score': payment.score,
    'field-reasons': payment.reasons.map(reason).join('; '),
    'field-approval': payment.approvals.map((approval) => sayIn(tongue, `approval-${approval.kind}`, approval)),
    'field-posting': payment.postings.map(({ debit, credit, money }) => `${debit} → ${credit}: ${money}`),
    'field-log': trust.origin,
    'field-leaf': `${payment.leaf_index} / ${payment.tree_size}`,
    'field-root': payment.root,
    'field-intent-hash': payment.intent_hash,
    'field-file-hash': file_hash,
    'field-trust-hash': trust.hash,
    'print-levels': levels.map(level),
    'print-layers': layers.map(outcome),
  };
}

/** The sections as they are printed: under each heading the rows [name, fact], as many of a fact as it has texts. */
function printedSections(found, tongue) {
  const facts = printedFacts(found, tongue);
  const rows = (...keys) => keys.flatMap((key) => textsOf(facts[key]).map(() => [sayIn(tongue, key), key]));
  const postings = found.payment.postings.map(({ number }) => [`${sayIn(tongue, 'field-posting')} ${number}`, 'field-posting']);
  const levels = found.levels.map(({ level, name }) => [`${level} ${sayIn(tongue, `level-${name}`)}`, 'print-levels']);
  const layers = found.layers.map(({ name }) => [sayIn(tongue, `layer-${name}`), 'print-layers']);
  return [
    ['print-payment', rows('field-payment', 'field-kind', 'field-from', 'field-to', 'field-note', 'field-operator', 'field-device',
      'field-sequence', 'field-created', 'field-received', 'field-booked', 'field-time')],
    ['print-levels', levels],
    ['print-decision', [...rows('field-score', 'field-reasons', 'field-approval'), ...postings]],
    ['print-evidence', rows('field-log', 'field-leaf', 'field-root', 'field-intent-hash', 'field-file-hash', 'field-trust-hash')],
    ['print-layers', layers],
  ];
}

/** The printed text as it has to be, but for the QR code. */
function printedArticle(found, tongue) {
  const words = (key) => sayIn(tongue, key);
  const left = Object.fromEntries(Object.entries(printedFacts(found, tongue)).map(([key, fact]) => [key, textsOf(fact)]));
  const fact = (name, key, attributes = {}) => element(name, { ...attributes, 'data-fact': key }, left[key].shift());
  const row = ([name, key]) => element('tr', {}, element('th', {}, name), element('td', {}, fact('bdi', key)));
  const section = ([title, rows]) =>
    element('section', {}, element('h2', {}, words(title)), element('table', {}, element('tbody', {}, ...rows.map(row))));
  const file = `${found.payment.id}.tpr`;
  const commands = [`tpw verify ${file} --trust trust.json`, `tpw receipt export ${file} --trust trust.json --out loose`,
    'openssl ts -verify -data loose/checkpoint -in loose/token.tsr -CAfile loose/tsa-root.pem'];
  return element('article', {},
    fact('h2', 'title'), fact('p', 'amount', { class: 'amount' }), fact('p', 'words', { class: 'words' }),
    element('p', {}, words('print-verdict')),
    ...printedSections(found, tongue).map(section),
    element('section', {}, element('p', {}, words('print-guide')), element('pre', {}, commands.join('\n')),
      element('p', {}, element('a', { id: 'receipt-file', download: file }, words('print-download')),
        element('a', { id: 'trust-file', download: 'trust.json' }, 'trust.json'))));
}

/**
 * All that stands in a text, in its order, as [what must be the same, what is read there]: elements with their attributes, and words.
 * The words of a fact are compared with what was signed. What the two links hold is what is judged.
 */
function standing(node) {
  const isFile = ['receipt-file', 'trust-file'].includes(node.id);
  const inner = [...node.childNodes].flatMap((child) => {
    const text = child.nodeType === Node.TEXT_NODE ? child.textContent.trim() : '';
    const own = text !== '' && !node.dataset.fact ? [[text, text]] : [];
    return child.nodeType === Node.ELEMENT_NODE ? standing(child) : own;
  });
  const attributes = [...node.attributes].filter(({ name }) => !(isFile && name === 'href'));
  const form = [node.tagName, ...attributes.map(({ name, value }) => `${name}=${value}`).sort()].join(' ');
  return [[form, node.dataset.fact ? node.textContent : ''], ...inner, [`/${node.tagName}`, '']];
}

/** Where a printed text has other names, headings, rows or words beside its facts: [name, said, printed] from the first one to the last. */
function alteredRest(place, found, tongue) {
  const said = [...place.children].filter((child, at) => at > 0 || child.tagName !== 'svg').flatMap(standing);
  const loose = [...place.childNodes].filter((child) => child.nodeType === Node.TEXT_NODE).map((child) => child.textContent.trim());
  const wanted = [...printedArticle(found, tongue).children].flatMap(standing);
  said.push(...loose.filter((text) => text !== '').map((text) => [text, text]));
  const first = sharedStart(said, wanted);
  const between = (all) => all.slice(first, all.length - sharedStart(said.slice(first).reverse(), wanted.slice(first).reverse()));
  const read = (all) => between(all).map(([, text]) => text).filter((text) => text !== '').join(' | ').slice(0, REST_LENGTH_MAX);
  return between(said).length + between(wanted).length === 0 ? [] : [['rest', read(said), read(wanted)]];
}

function sharedStart(one, other) {
  const at = one.findIndex(([form], place) => form !== other[place]?.[0]);
  return at < 0 ? one.length : at;
}

const REST_LENGTH_MAX = 400;
const BY_TRUST = ['field-trust-hash', 'print-levels', 'print-layers'];

/** The texts of a fact: an empty one is not printed. */
function textsOf(fact) {
  return [fact].flat().filter((text) => text !== '');
}

/** Where the text that the page carries differs from what was signed: [name, said, signed]. Each fact must be there, once, and no more. */
function alteredFacts(found, isOwnTrust) {
  const [place, tongue] = [document.getElementById('carried'), printedLanguage()];
  const facts = Object.entries(printedFacts(found, tongue));
  const differing = [];
  for (const [name, signed] of facts) {
    const said = [...place.querySelectorAll(`[data-fact="${name}"]`)].map((text) => text.textContent);
    const wanted = textsOf(signed);
    // A trust file that somebody chose is another one than the text was printed under.
    const isFree = isOwnTrust && BY_TRUST.includes(name);
    if (!isFree && (said.length !== wanted.length || said.some((text, place) => text !== wanted[place]))) {
      differing.push([name, said.join(' | '), wanted.join(' | ')]);
    }
  }
  return [...differing, ...alteredRest(place, found, tongue)];
}

const FACT_NAMES = { title: 'page-receipt', amount: 'field-amount', words: 'page-in-words', rest: 'page-altered-rest' };

function alteredNote(differing) {
  const item = ([name, said, signed]) => element('li', {},
    say('page-altered-field', { name: say(FACT_NAMES[name] ?? name), said: said || say('page-altered-missing'), signed: signed || say('page-altered-missing') }));
  return [element('strong', {}, say('page-altered')), element('ul', {}, ...differing.map(item))];
}

/** The receipt as it is printed. Only a valid one is. */
function sheetPart(found, file) {
  if (!found.valid) {
    return part('sheet', 'page-receipt', element('p', {}, say('page-sheet-none')));
  }
  const { amount, words, ...rows } = printedFacts(found, language);
  const fields = Object.entries(rows).filter(([name]) => name.startsWith('field-'));
  const shown = fields.flatMap(([name, fact]) => textsOf(fact).map((text) => [say(name), element('bdi', {}, text)]));
  const base64 = btoa(Array.from(file.bytes, (byte) => String.fromCharCode(byte)).join(''));
  const save = { download: file.name, href: `data:application/vnd.tpw.receipt+cbor;base64,${base64}` };
  return part('sheet', `print-title-${found.payment.kind}`,
    element('p', { class: 'amount' }, amount),
    element('p', { class: 'words' }, words),
    pairs(shown),
    element('p', { class: 'save' }, element('a', save, say('print-download'))));
}

// The page: files in, verdict out. It reads nothing from its own address, so no link can hand it a file.

const shown = {
  receipt: null, // { name, bytes, carried }
  trust: null, // { name, bytes, server, carried }
  blocks: '', // what a person has written about blocks
  fault: null, // what is wrong with that: { line, reason }
  found: null, // what the judge answered, or null
  printed: null, // what it answers of a receipt that the page carries, by the trust file that it was printed under, if that holds
  notice: null, // [key, values]
};
let module = null;
// Judgements may overtake each other: only the newest is shown.
let newest = 0;
// A page that carries a receipt is that receipt, printed.
const isPrint = isPrinted();

function byId(id) {
  return document.getElementById(id);
}

function drawTexts() {
  document.documentElement.lang = language;
  document.title = say('page-title');
  for (const place of document.querySelectorAll('[data-text]')) {
    place.textContent = say(place.dataset.text);
  }
  for (const place of document.querySelectorAll('[data-label]')) {
    place.setAttribute('aria-label', say(place.dataset.label));
  }
  for (const button of document.querySelectorAll('[data-language]')) {
    button.setAttribute('aria-pressed', String(button.dataset.language === language));
  }
}

function drawFiles() {
  const { receipt, trust } = shown;
  byId('receipt-state').textContent = receipt ? receipt.name : say('page-no-receipt');
  const own = () => say('page-trust-own', { name: trust.name });
  const served = () => say('page-trust-server', { server: trust.server });
  const from = () => (trust.carried ? say('page-trust-carried') : trust.server ? served() : own());
  byId('trust-state').textContent = trust ? from() : say('page-no-trust');
  byId('trust-note').textContent = trust?.server ? say('page-trust-server-note') : '';
  byId('notice').textContent = shown.notice ? say(...shown.notice) : '';
}

/** What the text in the page says and the receipt in it does not, whatever files and blocks were chosen since. */
function drawAltered() {
  const { found, receipt, printed } = shown;
  const judgedBy = printed ?? (found?.valid ? found : null);
  const differing = receipt?.carried && judgedBy ? alteredFacts(judgedBy, printed === null) : [];
  byId('altered').replaceChildren(...(differing.length ? alteredNote(differing) : []));
}

function drawVerdict() {
  const place = byId('verdict');
  drawAltered();
  if (shown.found) {
    const [kind, head, note] = verdictLines(shown.found, shown.receipt.name);
    const isInside = shown.receipt.carried && shown.trust.carried;
    place.className = kind;
    place.replaceChildren(element('strong', {}, head), element('p', {}, note),
      isInside ? element('p', { class: 'quiet' }, say('page-carried-note')) : '');
    const sheet = isPrint ? sheetPart(shown.found, shown.receipt) : null;
    byId('findings').replaceChildren(...findings(shown.found, sheet));
    return;
  }
  place.className = '';
  byId('findings').replaceChildren();
  const waits = shown.receipt
    ? say('page-waiting-trust', { name: shown.receipt.name })
    : say('page-waiting-receipt');
  place.replaceChildren(shown.receipt && shown.trust ? '' : waits);
}

/** Which blocks the receipt's anchors are in, as long as nobody has said that these are the chain's. */
function drawAnchors() {
  const { fault, found } = shown;
  byId('blocks-fault').textContent = fault ? say(`page-blocks-${fault.reason}`, fault) : '';
  const open = (found?.anchors ?? []).filter((anchor) => anchor.standing !== 'known');
  const lines = open.map((anchor) => say(`page-anchor-${anchor.kind}-${anchor.standing}`, anchor));
  byId('anchors').replaceChildren(...lines.map((line) => element('li', {}, line)));
}

function draw() {
  drawTexts();
  drawFiles();
  drawAnchors();
  drawVerdict();
}

/** What the judge says of the files and these blocks. */
function judged(blocks) {
  if (blocks.length > BLOCKS_SIZE_MAX) {
    return Promise.resolve({ blocks_error: { line: '1', reason: 'too-many' } });
  }
  return judge(module, shown.receipt.bytes, shown.trust.bytes, blocks).catch((error) => {
    console.error(error);
    return { broken: true };
  });
}

/** Judges what is there and shows it. */
async function update() {
  newest += 1;
  const mine = newest;
  shown.found = null;
  shown.fault = null;
  if (shown.receipt && shown.trust && module) {
    const blocks = new TextEncoder().encode(shown.blocks);
    let found = await judged(blocks);
    const fault = found.blocks_error ?? null;
    if (fault) {
      // What is no block changes nothing: the files are judged without it.
      found = await judged(new Uint8Array());
    }
    if (mine !== newest) {
      return;
    }
    shown.fault = fault;
    if (found.broken) {
      shown.notice = ['page-broken'];
    } else if (found.trust_error) {
      shown.notice = ['page-trust-unread', { name: shown.trust.name, reason: reasonText(found.trust_error) }];
      shown.trust = null;
    } else {
      shown.found = found;
    }
  }
  draw();
}

/** The bytes of a chosen file; null with a notice when it is too large or cannot be read. */
async function bytesOf(file, most) {
  if (file.size > most) {
    shown.notice = ['page-too-large', { name: file.name, most: String(most) }];
    return null;
  }
  try {
    return new Uint8Array(await file.arrayBuffer());
  } catch {
    shown.notice = ['page-unread', { name: file.name }];
    return null;
  }
}

async function takeReceipt(file) {
  const bytes = await bytesOf(file, RECEIPT_SIZE_MAX);
  if (bytes) {
    shown.receipt = { name: file.name, bytes };
  }
}

async function takeTrust(file) {
  const bytes = await bytesOf(file, TRUST_SIZE_MAX);
  if (bytes) {
    shown.trust = { name: file.name, bytes, server: null };
  }
}

/** Takes dropped files: a name in `.json` is a trust file, everything else a receipt. */
async function takeAll(files) {
  shown.notice = null;
  for (const file of [...files].slice(0, 2)) {
    await (/\.json$/i.test(file.name) ? takeTrust(file) : takeReceipt(file));
  }
  await update();
}

function listen() {
  const picked = (take) => async (event) => {
    shown.notice = null;
    const [file] = event.target.files;
    if (file) {
      await take(file);
    }
    // The same file chosen again is read again: it may have changed.
    event.target.value = '';
    await update();
  };
  byId('receipt').addEventListener('change', picked(takeReceipt));
  byId('trust').addEventListener('change', picked(takeTrust));
  byId('blocks').addEventListener('input', (event) => {
    shown.blocks = event.target.value;
    update();
  });
  for (const button of document.querySelectorAll('[data-language]')) {
    button.addEventListener('click', () => {
      language = button.dataset.language;
      draw();
    });
  }
  // A file dropped beside the frame must not replace the page.
  addEventListener('dragover', (event) => {
    event.preventDefault();
    byId('files').classList.add('over');
  });
  addEventListener('dragleave', () => byId('files').classList.remove('over'));
  addEventListener('drop', (event) => {
    event.preventDefault();
    byId('files').classList.remove('over');
    takeAll(event.dataTransfer.files);
  });
}

/** Takes what the page carries; the files that somebody chooses come after it. */
function takeCarried() {
  document.body.classList.add('print');
  const [receipt, trust] = [carriedBytes('receipt-file'), carriedBytes('trust-file')];
  const name = byId('receipt-file')?.getAttribute('download') ?? '';
  language = printedLanguage();
  byId('intro').remove();
  byId('findings').after(byId('files'));
  if (receipt === null || receipt.length > RECEIPT_SIZE_MAX) {
    shown.notice = ['page-unread', { name: name || say('page-receipt') }];
    return;
  }
  shown.receipt = { name, bytes: receipt, carried: true };
  shown.trust = trust && trust.length <= TRUST_SIZE_MAX ? { name: 'trust.json', bytes: trust, server: null, carried: true } : null;
}

/** Judges what the page carries as it was printed: by its own trust file and without any block. */
async function judgePrinted({ receipt, trust }) {
  if (receipt?.carried && trust?.carried && module) {
    const found = await judge(module, receipt.bytes, trust.bytes, new Uint8Array()).catch(() => null);
    shown.printed = found?.valid ? found : null;
  }
}

/** A page that a server serves begins with that server's trust file, and says so. */
async function serverTrust() {
  const from = document.documentElement.dataset.trust;
  if (!from) {
    return;
  }
  const answer = await fetch(from).catch(() => null);
  if (answer?.ok && !shown.trust) {
    const bytes = new Uint8Array(await answer.arrayBuffer());
    shown.trust = { name: 'trust.json', bytes, server: location.origin };
  }
}

async function start() {
  if (isPrint) {
    takeCarried();
  }
  const carried = { receipt: shown.receipt, trust: shown.trust };
  listen();
  draw();
  try {
    module = await judgeModule();
    await judgePrinted(carried);
  } catch (error) {
    console.error(error);
    shown.notice = ['page-no-judge'];
  }
  await serverTrust();
  await update();
  document.documentElement.dataset.ready = 'true';
}

start();
})();
