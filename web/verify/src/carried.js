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

/**
 * What is printed of a proved payment, in the words of `tongue`; the names are those that `tpw receipt print` gives to its texts. Of
 * approvals and postings there are several: a list, in its order.
 */
function printedFacts({ payment, trust, file_hash }, tongue) {
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
  };
}

/** The texts of a fact: an empty one is not printed. */
function textsOf(fact) {
  return [fact].flat().filter((text) => text !== '');
}

/** Where the text that the page carries differs from what was signed: [name, said, signed]. Each fact must be there, and once. */
function alteredFacts(found, isOwnTrust) {
  const place = document.getElementById('carried');
  const facts = Object.entries(printedFacts(found, printedLanguage()));
  const differing = [];
  for (const [name, signed] of facts) {
    const said = [...place.querySelectorAll(`[data-fact="${name}"]`)].map((text) => text.textContent);
    const wanted = textsOf(signed);
    // A trust file that somebody chose is another one than the text was printed under.
    const isFree = isOwnTrust && name === 'field-trust-hash';
    if (!isFree && (said.length !== wanted.length || said.some((text, place) => text !== wanted[place]))) {
      differing.push([name, said.join(' | '), wanted.join(' | ')]);
    }
  }
  return differing;
}

const FACT_NAMES = { title: 'page-receipt', amount: 'field-amount', words: 'page-in-words' };

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
