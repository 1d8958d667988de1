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
