"use strict";

// The order form: it suggests values, and says what the order comes to, or what the server would refuse. All
// arithmetic is on whole numbers: quantities and prices in units of 0.00000001, money in cents. It is an estimate:
// the server computes again, at the price of that moment.

const UNITS = 8;
const CENT = 10n ** BigInt(2 * UNITS - 2); // a quantity times a price has 16 decimals
const box = document.getElementById("trade");
const form = box.querySelector("form");
const {quantity, spend, price, expires_at: lastDay} = form.elements;
const {suggested_quantity: suggestedQuantity, suggested_price: suggestedPrice} = form.elements;
const estimate = document.getElementById("estimate");
const place = document.getElementById("place");
const {dataset} = box;
const COMMA = new RegExp(dataset.comma);
const now = parse(dataset.price, UNITS);
const cash = parse(dataset.cash, 2);
const held = parse(dataset.held, UNITS);


// ---- Numbers

// "12.5" with 8 decimals is 1250000000n; null when it is not such a number. A comma as in app/domain/money.py.
function parse(text, decimals) {
  const match = /^([0-9]+)(?:\.([0-9]+))?$/.exec(text.trim().replace(COMMA, "$1.$2"));
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

function writeUnits(units) {
  return write(units, UNITS).replace(/\.?0+$/, "");
}

// A cost rounds up to the cent, proceeds round down.
function total(units, unitPrice, buying) {
  const exact = units * unitPrice;
  return buying ? (exact + CENT - 1n) / CENT : exact / CENT;
}


// ---- Who wrote a value
//
// `typed` has what the person wrote, by field and by what it belongs to there. It comes back whenever a type of order
// is chosen to which it belongs. A field that the person has not touched holds the suggestion. A hidden field
// beside it names the suggestion, so that the server and a page that is gone back to can tell the two apart.

const typed = new Map();
// What belongs to some types of order alone, each with a field: `data-for` is a word of their names.
const PARTS = [...form.querySelectorAll("[data-for]")];
const FIELDS = [
  ...PARTS.map((part) => ({field: part.querySelector("input"), of: ({type}) => belongs(part, type)})),
  {field: price, of: ({type}) => type, suggestion: suggestedPrice, suggest: worstPrice},
  {field: quantity, of: () => "orders", suggestion: suggestedQuantity, suggest: affordable},
];

function belongs(part, type) {
  return type.split("_").includes(part.dataset.for) && part.dataset.for;
}

function kind() {
  const type = form.elements.order_type.value || "market_buy";
  return {type, buying: type.endsWith("buy"), atLimit: type.startsWith("limit")};
}

function placeOf({field, of}, chosen) {
  return `${field.name} of ${of(chosen)}`;
}

function note(part, chosen) {
  typed.set(placeOf(part, chosen), part.field.value);
}

// What stands in the form when it is shown, and is not a suggestion of an earlier moment.
function noteAll() {
  const chosen = kind();
  for (const part of FIELDS) {
    if (part.of(chosen) && part.field.value !== (part.suggestion?.value ?? "")) {
      note(part, chosen);
    }
  }
}

function fillIn(chosen) {
  for (const part of FIELDS) {
    const {field, suggestion, suggest} = part;
    const suggested = suggest ? suggest(chosen) : "";
    const own = part.of(chosen) ? typed.get(placeOf(part, chosen)) : "";
    // An amount to spend was written after the quantity: typing a quantity drops it.
    const value = field === quantity && spend.value !== "" ? suggested : own ?? suggested;
    if (field.value !== value) {
      field.value = value;
    }
    if (suggestion) {
      suggestion.value = suggested;
    }
  }
}

// The worst price of a market order depends on the side; a limit is only ever the person's own.
function worstPrice({buying, atLimit}) {
  return atLimit ? "" : buying ? dataset.worstBuy : dataset.worstSell;
}

// The largest quantity that costs no more than the amount to spend, at the worst price or the limit.
function affordable() {
  const amount = parse(spend.value, 2);
  const at = parse(price.value, UNITS);
  const units = amount && at ? amount * CENT / at : 0n;
  return units ? writeUnits(units) : "";
}


// ---- Words

function labelOf(field) {
  return field.dataset.name || form.querySelector(`label[for="${field.id}"]`).firstChild.textContent.trim();
}

function label({type, buying, atLimit}) {
  const name = atLimit ? "Limit" : buying ? "Do not pay more than" : "Do not sell for less than";
  form.querySelector('label[for="price"]').textContent = name;
  document.getElementById("price-hint").textContent = atLimit
    ? `The price of one ${dataset.asset} to wait for, or better.`
    : `The price of one ${dataset.asset} that you see with ${dataset.allowance} % to spare. If the market moves beyond it, nothing is placed.`;
  for (const part of PARTS) {
    part.hidden = !belongs(part, type);
  }
}

// Why the text of a field is refused, by itself; "" when it is not.
function flaw(field, decimals, least, most) {
  const number = parse(field.value, decimals);
  if (field.value.trim() === "" || (number !== null && least <= number && number <= most)) {
    return "";
  }
  if (number !== null) {
    return `${labelOf(field)}: choose ${writeUnits(least * 10n ** BigInt(UNITS - decimals))} to ${writeUnits(most * 10n ** BigInt(UNITS - decimals))}.`;
  }
  return field.value.includes(",")
    ? `${labelOf(field)}: write a point before the decimals, and nothing between thousands.`
    : `${labelOf(field)}: write digits and at most one point, with at most ${decimals} decimals.`;
}

function flawOfDay({atLimit}) {
  const {rangeUnderflow, rangeOverflow, badInput} = lastDay.validity;
  return atLimit && (rangeUnderflow || rangeOverflow || badInput)
    ? `${labelOf(lastDay)}: choose a day from ${lastDay.min} to ${lastDay.max}.` : "";
}

function flawOfFields(chosen) {
  return flaw(spend, 2, 1n, parse(dataset.maxAmount, 2))
    || flaw(price, UNITS, 1n, parse(dataset.maxPrice, UNITS))
    || flaw(quantity, UNITS, 1n, parse(dataset.maxQuantity, UNITS))
    || flawOfDay(chosen);
}

// What is still to be written before the order can be reckoned; "" when nothing is.
function missing({atLimit}) {
  const named = [];
  if (quantity.value === "" && spend.value === "") {
    named.push("a quantity");
  }
  if (atLimit && price.value === "") {
    named.push("a limit");
  }
  if (named.length) {
    return `Write ${named.join(" and ")} to see what the order comes to.`;
  }
  return spend.value !== "" && price.value === ""
    ? "An amount to spend needs a worst price: you see one to accept before anything is placed." : "";
}

// Why the order would be refused, in the order in which the server looks; "" when it would not be.
function refusal(chosen, {units, limit, waits, sum, at}) {
  const {buying, atLimit} = chosen;
  const size = labelOf(spend.value === "" ? quantity : spend);
  if (!atLimit && limit && (buying ? now > limit : now < limit)) {
    return `${labelOf(price)}: the price is ${writeUnits(now)} already, so nothing would be placed.`;
  }
  if (units * at < CENT) {
    return `${size}: the order is worth less than 0.01. Choose more.`;
  }
  if (sum > parse(dataset.maxAmount, 2)) {
    return `${size}: the order is worth ${writeMoney(sum)}, more than ${writeMoney(parse(dataset.maxAmount, 2))}. Split it.`;
  }
  if (!buying && units > held) {
    return `${size}: you have only ${writeUnits(held)} ${dataset.asset} to sell.`;
  }
  return buying && sum > cash
    ? `${size}: the order ${waits ? "reserves" : "costs"} ${writeMoney(sum)}, which is ${writeMoney(sum - cash)} more than your cash.` : "";
}

function outcome({buying, atLimit}, {units, limit, waits, sum}) {
  const rest = buying ? `Leaves ${writeMoney(cash - sum)} in cash.` : `Leaves ${writeUnits(held - units)} ${dataset.asset} to sell.`;
  if (waits) {
    return `${buying ? "Reserves" : "Brings"} ${writeMoney(sum)} ${buying ? "until" : "when"} the price is there. ${rest}`;
  }
  const edge = limit
    ? `, at ${buying ? "most" : "least"} ${writeMoney(total(units, limit, buying))}` : ", whatever the price is by then";
  return `${buying ? "Costs" : "Brings"} about ${writeMoney(sum)}${edge}. ${rest}`;
}

function words(chosen) {
  const unpriced = now === null ? "There is no current price, so nothing can be placed. Try again in a minute." : "";
  const incomplete = flawOfFields(chosen) || unpriced || missing(chosen);
  if (incomplete) {
    return incomplete;
  }
  // An amount for which not even the smallest quantity can be bought leaves the quantity empty.
  const units = parse(quantity.value, UNITS) ?? 0n;
  const limit = parse(price.value, UNITS);
  const waits = chosen.atLimit && (chosen.buying ? now > limit : now < limit);
  const at = waits ? limit : now;
  const order = {units, limit, waits, at, sum: total(units, at, chosen.buying)};
  return refusal(chosen, order) || outcome(chosen, order);
}

function show() {
  const chosen = kind();
  label(chosen);
  fillIn(chosen);
  const said = words(chosen);
  if (estimate.textContent !== said) {
    estimate.textContent = said;
  }
}

function change(event) {
  const chosen = kind();
  const part = FIELDS.find(({field}) => field === event.target);
  if (part) {
    note(part, chosen);
  }
  if (part?.field === quantity) {
    typed.delete(placeOf(FIELDS.find(({field}) => field === spend), {type: "market_buy"}));
    spend.value = "";
  }
  show();
}

function begin() {
  noteAll();
  show();
}

// With the figures in sight no review is needed; if the market has moved too far, the server shows one.
form.querySelector("[formaction]").remove();
place.hidden = false;
form.addEventListener("input", change);
begin();
// A browser that goes back to a page writes into its form after this script has run.
addEventListener("pageshow", begin);
