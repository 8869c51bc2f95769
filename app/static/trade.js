"use strict";

// The total of an order while it is typed. All arithmetic is on whole numbers: quantities and prices in units of
// 0.00000001, money in cents. It is an estimate: the server computes again, at the price of that moment.

const UNITS = 8;
const ONE = 10n ** BigInt(UNITS);
const CENT = 10n ** BigInt(2 * UNITS - 2); // a quantity times a price has 16 decimals
const box = document.getElementById("trade");
const form = box.querySelector("form");
const {quantity, spend, price, expires_at: expiresAt} = form.elements;
const estimate = document.getElementById("estimate");
const place = document.getElementById("place");
const {dataset} = box;

// "12.5" with 8 decimals is 1250000000n; null when it is not such a number.
function parse(text, decimals) {
  const match = /^([0-9]{1,16})(?:\.([0-9]+))?$/.exec(text.trim());
  if (!match || (match[2] || "").length > decimals) {
    return null;
  }
  return BigInt(match[1] + (match[2] || "").padEnd(decimals, "0"));
}

function write(number, decimals) {
  const digits = number.toString().padStart(decimals + 1, "0");
  return `${digits.slice(0, -decimals)}.${digits.slice(-decimals)}`;
}

function writeMoney(cents) {
  return write(cents, 2).replace(/\B(?=(\d{3})+\.)/g, ",");
}

function writeQuantity(units) {
  return write(units, UNITS).replace(/\.?0+$/, "");
}

// A cost rounds up to the cent, proceeds round down.
function total(units, unitPrice, buying) {
  const exact = units * unitPrice;
  return buying ? (exact + CENT - 1n) / CENT : exact / CENT;
}

function kind() {
  const chosen = form.elements.order_type.value || "market_buy";
  return {buying: chosen.endsWith("buy"), atLimit: chosen.startsWith("limit")};
}

// The suggested worst price depends on the side; a limit is only ever the user's own.
let suggested = "";
function suggest() {
  const {buying, atLimit} = kind();
  if (price.value === suggested || price.value === "") {
    suggested = atLimit ? "" : buying ? dataset.worstBuy : dataset.worstSell;
    price.value = suggested;
  }
  const name = atLimit ? "Limit" : buying ? "Do not pay more than" : "Do not sell for less than";
  form.querySelector('label[for="price"]').textContent = name;
  document.getElementById("price-hint").textContent = atLimit
    ? `The price of one ${dataset.asset} to wait for, or better.`
    : `The price of one ${dataset.asset} that you see with ${dataset.allowance} % to spare. If the market moves beyond it, nothing is placed.`;
  form.querySelector('[data-for="buy"]').hidden = !buying;
  form.querySelector('[data-for="limit"]').hidden = !atLimit;
  if (!buying) {
    spend.value = "";
  }
  if (!atLimit) {
    expiresAt.value = "";
  }
}

// An amount becomes the largest quantity that costs no more, at the worst price or the limit.
function followAmount() {
  const amount = parse(spend.value, 2);
  const at = parse(price.value, UNITS);
  if (spend.value !== "") {
    quantity.value = amount && at ? writeQuantity(amount * CENT / at) : "";
  }
}

function words() {
  const {buying, atLimit} = kind();
  const units = parse(quantity.value, UNITS);
  const limit = parse(price.value, UNITS);
  const now = parse(dataset.price, UNITS);
  if (!units || (atLimit && !limit) || (price.value && !limit)) {
    return atLimit ? "Write a quantity and a limit to see what the order comes to." : "Write a quantity to see what the order comes to.";
  }
  const waits = atLimit && (buying ? now > limit : now < limit);
  const sum = total(units, waits ? limit : now, buying);
  const said = waits
    ? buying ? `Reserves ${writeMoney(sum)} until the price is there.` : `Brings ${writeMoney(sum)} when the price is there.`
    : `${buying ? "Costs" : "Brings"} about ${writeMoney(sum)}${edge(units, limit, buying)}.`;
  return `${said} ${rest(units, sum, waits, buying)}`;
}

function edge(units, limit, buying) {
  return limit ? `, at ${buying ? "most" : "least"} ${writeMoney(total(units, limit, buying))}` : "";
}

function rest(units, sum, waits, buying) {
  const cash = parse(dataset.cash, 2);
  const held = parse(dataset.held, UNITS);
  if (buying) {
    return sum > cash ? `That is ${writeMoney(sum - cash)} more than your cash.` : `Leaves ${writeMoney(cash - sum)} in cash.`;
  }
  return units > held ? `You hold only ${writeQuantity(held)} ${dataset.asset}.` : `Leaves ${writeQuantity(held - units)} ${dataset.asset}.`;
}

function show(event) {
  if (event && event.target === quantity) {
    spend.value = "";
  }
  suggest();
  followAmount();
  const said = words();
  if (estimate.textContent !== said) {
    estimate.textContent = said;
  }
}

// With the figures in sight no review is needed; if the market has moved too far, the server shows one.
form.querySelector("[formaction]").remove();
place.hidden = false;
form.addEventListener("input", show);
addEventListener("pageshow", () => show());
