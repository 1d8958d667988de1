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
