// Registers or uses a passkey for the session whose one-time link opened this page. The link's code stands in the fragment,
// which no browser sends; it leaves this page only in the bodies of the two requests below.
"use strict";

const TEXTS = {
  en: {
    title: "Passkeys",
    no_link: "Open this page by a link from your wallet: it is good for ten minutes and for one use.",
    no_support: "This browser has no passkeys. Open the link in another one.",
    register_passkey: "You are about to register a passkey: the device asks for your fingerprint, face or PIN.",
    register_security_key: "You are about to register a security key as a second factor.",
    use: "You are about to confirm with a passkey or security key that it is you.",
    pay: "You are about to confirm this payment with a passkey. Confirm only if you made it and know who is paid: what your device signs is for this payment and no other.",
    money: "Amount",
    payee: "Paid to",
    purpose: "Note",
    id: "Payment",
    asked: "Asked for by your device {device}, {time}. If you did not ask just now, close this page: whoever sent you the link may want your confirmation for themselves.",
    name: "A name for it",
    name_default: "My passkey",
    go_register: "Register",
    go_use: "Confirm",
    waiting: "Follow your browser and device…",
    registered: "“{name}” is registered. You can close this page.",
    used: "“{name}” confirmed that it is you. You can close this page.",
    paid_booked: "Confirmed with “{name}”. The payment is booked. You can close this page.",
    paid_held: "Confirmed with “{name}”. The payment waits for a review now. You can close this page.",
    paid_refused: "Confirmed with “{name}”, but the payment was refused. You can close this page.",
    cancelled: "Cancelled, or nothing fit. Nothing was changed; you can try again.",
    present: "This authenticator is registered already.",
    unreachable: "The server cannot be reached. Try again.",
  },
  "zh-CN": {
    title: "通行密钥",
    no_link: "请通过钱包中的链接打开本页面：链接十分钟内有效，仅可使用一次。",
    no_support: "此浏览器不支持通行密钥。请用其他浏览器打开链接。",
    register_passkey: "即将注册通行密钥：设备会要求验证您的指纹、面容或 PIN。",
    register_security_key: "即将注册安全密钥，作为第二因素。",
    use: "即将使用通行密钥或安全密钥确认是您本人。",
    pay: "即将使用通行密钥确认这笔付款。只有付款由您发起、且您认识收款方时才确认：设备的签名只对这一笔付款有效。",
    money: "金额",
    payee: "收款账户",
    purpose: "附言",
    id: "付款",
    asked: "由您的设备 {device} 于 {time} 请求。如果刚才并非您本人请求，请关闭本页面：把链接发给您的人可能想骗取您的确认。",
    name: "为它命名",
    name_default: "我的通行密钥",
    go_register: "注册",
    go_use: "确认",
    waiting: "请按浏览器和设备的提示操作……",
    registered: "“{name}”已注册。您可以关闭本页面。",
    used: "“{name}”已确认是您本人。您可以关闭本页面。",
    paid_booked: "已用“{name}”确认，付款已入账。您可以关闭本页面。",
    paid_held: "已用“{name}”确认，付款正在等待审核。您可以关闭本页面。",
    paid_refused: "已用“{name}”确认，但付款被拒绝。您可以关闭本页面。",
    cancelled: "已取消，或没有合适的密钥。未作任何更改，可以重试。",
    present: "该验证器已经注册。",
    unreachable: "无法连接服务器，请重试。",
  },
};

const at = (id) => document.getElementById(id);
const state = { language: "en", code: "", ceremony: null, about: "no_link", outcome: null };

const text = (key) => TEXTS[state.language][key];

const at_time = (time) => new Date(time).toLocaleString(state.language, { dateStyle: "medium", timeStyle: "short" });

function show() {
  document.documentElement.lang = state.language;
  document.title = text("title");
  at("title").textContent = text("title");
  at("about").textContent = text(state.about);
  at("name-label").textContent = text("name");
  const registers = state.about.startsWith("register");
  at("go").textContent = text(registers ? "go_register" : "go_use");
  const payment = state.ceremony?.payment;
  at("payment").hidden = !payment;
  for (const field of ["money", "payee", "purpose", "id"]) {
    at(`${field}-label`).textContent = text(field);
    at(field).textContent = payment?.[field] ?? "";
  }
  const { device, asked } = state.ceremony ?? {};
  at("asked").textContent = device ? text("asked").replace("{device}", device).replace("{time}", at_time(asked)) : "";
  at("name-row").hidden = !registers;
  at("name").disabled = !registers;
  const { kind, key, words, name } = state.outcome ?? {};
  at("outcome").dataset.outcome = kind ?? "";
  at("outcome").textContent = words ?? (key ? text(key).replace("{name}", name ?? "") : "");
}

function speak(language) {
  state.language = language;
  show();
}

function tell(outcome) {
  state.outcome = outcome;
  show();
}

// The server's own words come in the language that was asked for.
async function send(verb, body) {
  const answer = await fetch(`/v1/factors/passkeys:${verb}`, {
    method: "POST",
    headers: { "Content-Type": "application/json", "Accept-Language": state.language },
    body: JSON.stringify({ code: state.code, ...body }),
    credentials: "omit",
    cache: "no-store",
  });
  const json = await answer.json();
  if (!answer.ok) throw { refused: json.detail };
  return json;
}

function failed(error) {
  if (error?.refused) return { kind: "bad", words: error.refused };
  if (error?.name === "InvalidStateError") return { kind: "bad", key: "present" };
  if (error instanceof DOMException) return { kind: "bad", key: "cancelled" };
  return { kind: "bad", key: "unreachable" };
}

async function begin() {
  state.ceremony = await send("start", {});
  state.about = state.ceremony.payment ? "pay" : state.ceremony.for;
  at("name").value = text("name_default");
  at("form").hidden = false;
}

async function answer() {
  const { options } = state.ceremony;
  if (state.ceremony.for === "use") {
    const publicKey = PublicKeyCredential.parseRequestOptionsFromJSON(options);
    return navigator.credentials.get({ publicKey });
  }
  const publicKey = PublicKeyCredential.parseCreationOptionsFromJSON(options);
  return navigator.credentials.create({ publicKey });
}

function told(done, registers) {
  if (done.payment) return `paid_${done.payment.status}`;
  return registers ? "registered" : "used";
}

async function go(event) {
  event.preventDefault();
  at("go").disabled = true;
  tell({ key: "waiting" });
  const registers = state.ceremony.for !== "use";
  let sent = false;
  try {
    const credential = (await answer()).toJSON();
    sent = true;
    const done = await send("finish", registers ? { credential, name: at("name").value } : { credential });
    tell({ kind: done.payment?.status === "refused" ? "bad" : "good", key: told(done, registers), name: done.passkey.name });
  } catch (error) {
    tell(failed(error));
  }
  // An answer uses the link up, whatever it is worth.
  at("form").hidden = sent;
  at("go").disabled = false;
}

async function main() {
  state.language = navigator.languages?.[0]?.toLowerCase().startsWith("zh") ? "zh-CN" : "en";
  for (const button of document.querySelectorAll("[data-language]")) {
    button.addEventListener("click", () => speak(button.dataset.language));
  }
  at("form").addEventListener("submit", go);
  state.code = location.hash.slice(1);
  // Neither the address bar nor the history keeps the code.
  history.replaceState(null, "", location.pathname);
  const able = typeof PublicKeyCredential?.parseCreationOptionsFromJSON === "function";
  if (!able) state.about = "no_support";
  if (able && state.code) {
    try {
      await begin();
    } catch (error) {
      state.outcome = failed(error);
    }
  }
  show();
  document.documentElement.dataset.ready = "true";
}

main();
