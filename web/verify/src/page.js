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
