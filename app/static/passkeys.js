"use strict";

// Passkeys: adding one, and using one instead of typing a code. Without this script a code does the same.

const NOT_USED = "No passkey was used. Try again, or enter a code.";
const NOT_ADDED = "No passkey was added. Try again.";
const NO_ANSWER = "No answer came. Try again in a moment, or enter a code.";
const ENDED = "This took too long, or your session has ended. Log in again.";
const WRONG_PLACE = "Passkeys do not work at this address. Open the site by its name, and over https.";
const HERE_ALREADY = "This passkey is among yours already.";

// What a person is told, in place of a passkey.
class Refused extends Error {}

// Base64 for addresses, in which JSON carries what is binary.
function toBytes(text) {
  return Uint8Array.from(atob(text.replaceAll("-", "+").replaceAll("_", "/")), (letter) => letter.charCodeAt(0));
}

function toText(buffer) {
  const letters = Array.from(new Uint8Array(buffer), (byte) => String.fromCharCode(byte)).join("");
  return btoa(letters).replaceAll("+", "-").replaceAll("/", "_").replaceAll("=", "");
}

function read(options) {
  const {user, excludeCredentials, allowCredentials} = options;
  const name = (each) => ({...each, id: toBytes(each.id)});
  return {
    ...options,
    challenge: toBytes(options.challenge),
    ...(user && {user: {...user, id: toBytes(user.id)}}),
    ...(excludeCredentials && {excludeCredentials: excludeCredentials.map(name)}),
    ...(allowCredentials && {allowCredentials: allowCredentials.map(name)}),
  };
}

function write({id, rawId, type, response}) {
  const parts = ["clientDataJSON", "attestationObject", "authenticatorData", "signature"];
  const sent = parts.filter((part) => response[part]).map((part) => [part, toText(response[part])]);
  return JSON.stringify({id, rawId: toText(rawId), type, response: Object.fromEntries(sent)});
}

// What the service wants signed. Only what it says itself is JSON: what stands in front of it may send any page.
async function ask(address, form, {ticket}) {
  const sent = ticket ? {method: "POST", body: new FormData(form)} : {};
  let answer, said;
  try {
    answer = await fetch(address, {...sent, redirect: "manual", headers: {Accept: "application/problem+json"}});
    const isJson = /^application\/(problem\+)?json\b/.test(answer.headers.get("Content-Type"));
    said = isJson ? await answer.json() : {};
  } catch {
    throw new Refused(NO_ANSWER);
  }
  if (answer.type === "opaqueredirect") {
    throw new Refused(ENDED);
  }
  if (!said.public_key) {
    throw new Refused(said.detail ?? NO_ANSWER);
  }
  return read(said.public_key);
}

// Sends the form of a box, after a step that takes a while. Until then no button can be pressed.
async function sendAfter(step, box, failed) {
  const form = box.closest("form"), place = box.querySelector("[role=alert]"), focused = document.activeElement;
  const buttons = [...form.querySelectorAll("button")];
  place.hidden = true;
  for (const button of buttons) {
    button.disabled = true;
  }
  let message = "";
  try {
    await step(form);
  } catch (error) {
    message = error instanceof Refused ? error.message : {SecurityError: WRONG_PLACE, InvalidStateError: HERE_ALREADY}[error.name] ?? failed;
  }
  for (const button of buttons) {
    button.disabled = false;
  }
  if (message) {
    place.textContent = message;
    place.hidden = false;
    focused.focus();
  } else {
    form.requestSubmit();
  }
}

function use(box) {
  const form = box.closest("form");
  const {code} = form.elements;
  const empty = [...form.elements].find((each) => each.required && each !== code && !each.value);
  if (empty) {
    empty.focus();
    return;
  }
  sendAfter(async () => {
    const publicKey = await ask(box.dataset.passkey, form, form.elements);
    const signed = write(await navigator.credentials.get({publicKey}));
    code.type = "hidden";
    code.value = signed;
  }, box, NOT_USED);
}

function add(box) {
  sendAfter(async (form) => {
    const publicKey = read(JSON.parse(box.dataset.newPasskey));
    form.elements.credential.value = write(await navigator.credentials.create({publicKey}));
  }, box, NOT_ADDED);
}

if (window.PublicKeyCredential) {
  for (const box of document.querySelectorAll("[data-passkey]")) {
    box.hidden = false;
    box.querySelector("button").addEventListener("click", () => use(box));
  }
  for (const box of document.querySelectorAll("[data-new-passkey]")) {
    const form = box.closest("form");
    form.addEventListener("submit", (event) => {
      if (!form.elements.credential.value) {
        event.preventDefault();
        add(box);
      }
    });
  }
}
