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
