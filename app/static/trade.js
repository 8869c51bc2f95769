"use strict";

// The order form: it suggests values, and says what the order comes to, or what the server would refuse. All
// arithmetic is on whole numbers: quantities and prices in units of 0.00000001, money in cents. It is an estimate:
// the server computes again, at the price of that moment.

const UNITS = 8;
const CENT = 10n ** BigInt(2 * UNITS - 2); // a quantity times a price has 16 decimals
const box = document.getElementById("trade");
const form = box.querySelector("form");
const {quantity: amount, price, stop_price: stop, expires_at: lastDay, at_limit: limited, at_stop: stopped} = form.elements;
const {suggested_price: suggestedPrice} = form.elements;
const units = document.getElementById("unit");
const inDollars = document.getElementById("unit-usd");
const estimate = document.getElementById("estimate");
const {dataset} = box;
const COMMA = new RegExp(dataset.comma);
let now = parse(dataset.price, UNITS); // kept up to date by prices.js
const cash = parse(dataset.cash, 2);
const held = parse(dataset.held, UNITS);
const owned = parse(dataset.owned, UNITS);
const costOfAll = parse(dataset.cost, 2); // null while it is not known
const mostMoney = parse(dataset.maxAmount, 2);


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

function grouped(digits) {
  const [whole, fraction] = digits.split(".");
  return [whole.replace(/\B(?=(\d{3})+$)/g, ","), fraction].filter(Boolean).join(".");
}

// For people, as app/domain/writing.py has it.
function writeMoney(cents) {
  return `$${grouped(write(cents, 2))}`;
}

function writePrice(units) {
  const [whole, fraction = ""] = writeUnits(units).split(".");
  return `$${grouped(`${whole}.${fraction.padEnd(2, "0")}`)}`;
}

function writeQuantity(units) {
  return grouped(writeUnits(units));
}

// For a field.
function writeUnits(units) {
  return write(units, UNITS).replace(/\.?0+$/, "");
}

// A cost rounds up to the cent, proceeds round down.
function total(number, unitPrice, buying) {
  const exact = number * unitPrice;
  return buying ? (exact + CENT - 1n) / CENT : exact / CENT;
}


// ---- Who wrote a value
//
// `typed` has what the person wrote, by field and by what it belongs to there. It comes back whenever that is chosen
// again. A price that the person has not touched is the suggestion. A hidden field beside it names the suggestion, so
// that the server and a page that is gone back to can tell the two apart.

const typed = new Map();
// What belongs to some types of order alone: `data-for` has words of their names.
const PARTS = [...form.querySelectorAll("[data-for]")];
const atOnce = document.getElementById("time_in_force-ioc");
const FIELDS = [
  {field: amount, of: ({spends}) => spends ? "spend" : "quantity"},
  {field: price, of: ({type}) => type, suggestion: suggestedPrice, suggest: worstPrice},
  {field: stop, of: ({atStop}) => atStop && "stop"},
  {field: lastDay, of: ({waits}) => waits && "limit"},
];

function kind() {
  const side = form.elements.order_type.value || "market_buy";
  const buying = side.endsWith("buy");
  const atStop = stopped.checked;
  // A stop to buy has a limit, ticked or not.
  const atLimit = limited.checked || (atStop && buying);
  const waits = atStop || atLimit;
  const words = [atStop && "stop", atLimit && "limit"].filter(Boolean).join("_");
  return {type: waits ? side.replace("market", words) : side, buying, atLimit, atStop, waits, spends: buying && inDollars.checked};
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
    const value = own ?? suggested;
    if (field.value !== value) {
      field.value = value;
    }
    if (suggestion) {
      suggestion.value = suggested;
    }
  }
}

// The worst price of a market order depends on the side; a limit is only ever the person's own.
function worstPrice({buying, waits}) {
  return waits ? "" : buying ? dataset.worstBuy : dataset.worstSell;
}

// The largest quantity that costs no more than an amount to spend, at the worst price or the limit.
function affordable(cents) {
  const at = parse(price.value, UNITS);
  return cents && at ? cents * CENT / at : 0n;
}

// What the amount comes to in the other unit, at the worst price or the limit; "" where that is not known.
function inOtherUnit() {
  if (inDollars.checked) {
    const at = parse(price.value, UNITS);
    const number = parse(amount.value, UNITS);
    return number && at ? write(total(number, at, true), 2) : "";
  }
  const number = affordable(parse(amount.value, 2));
  return number ? writeUnits(number) : "";
}

// All the cash, or all of the holding.
function fillInMost(event) {
  event.preventDefault();
  const {buying} = kind();
  inDollars.checked = buying;
  document.getElementById("unit-asset").checked = !buying;
  amount.value = buying ? write(cash < mostMoney ? cash : mostMoney, 2) : writeUnits(held);
  note(FIELDS[0], kind());
  show();
}


// ---- Words

function labelOf(field) {
  return form.querySelector(`label[for="${field.id}"]`).firstChild.textContent.trim();
}

function label({type, buying, atLimit, atStop}) {
  const name = atLimit ? "Limit" : buying ? "Do not pay more than" : "Do not sell for less than";
  form.querySelector('label[for="price"]').textContent = `${name} (USD)`;
  document.getElementById("price-hint").textContent = atLimit
    ? `The price of one ${dataset.asset} to wait for, or better${atStop ? ", once the stop is reached" : ""}.`
    : `The price of one ${dataset.asset} that you see with ${dataset.allowance} % to spare. If the market moves beyond it, nothing is placed.`;
  document.getElementById("stop_price-hint").textContent = `${buying
    ? "Nothing is bought until the price rises to it. A stop to buy has a limit too."
    : "Nothing is sold until the price falls to it."} We look at the price about every 2 seconds, and what it does in between does not count.`;
  const words = type.split("_");
  if (atStop && !atLimit) {
    words.push("stop-only");
  }
  for (const part of PARTS) {
    part.hidden = !part.dataset.for.split(" ").some((word) => words.includes(word));
  }
  // A stop order always waits.
  atOnce.closest("label").hidden = atStop;
  if (atStop && atOnce.checked) {
    document.getElementById("time_in_force-").checked = true;
  }
  // A sale has no amount to spend.
  units.hidden = units.disabled = !buying;
}

// Why the text of a field is refused, by itself; "" when it is not.
function flaw(field, decimals, least, most) {
  const number = parse(field.value, decimals);
  if (field.value.trim() === "" || (number !== null && least <= number && number <= most)) {
    return "";
  }
  if (number !== null) {
    const [from, to] = [least, most].map(decimals === 2 ? writeMoney : field === price || field === stop ? writePrice : writeQuantity);
    return `${labelOf(field)}: choose ${from} to ${to}.`;
  }
  return field.value.includes(",")
    ? `${labelOf(field)}: write a point before the decimals, and nothing between thousands.`
    : `${labelOf(field)}: write digits and at most one point, with at most ${decimals} decimals.`;
}

function flawOfDay({waits}) {
  const {rangeUnderflow, rangeOverflow, badInput} = lastDay.validity;
  return waits && (rangeUnderflow || rangeOverflow || badInput)
    ? `${labelOf(lastDay)}: choose a day from ${lastDay.min} to ${lastDay.max}.` : "";
}

function flawOfFields(chosen) {
  return (chosen.spends ? flaw(amount, 2, 1n, mostMoney) : flaw(amount, UNITS, 1n, parse(dataset.maxQuantity, UNITS)))
    || flaw(price, UNITS, 1n, parse(dataset.maxPrice, UNITS))
    || flaw(stop, UNITS, 1n, parse(dataset.maxPrice, UNITS))
    || flawOfDay(chosen);
}

// What is still to be written before the order can be reckoned; "" when nothing is.
function missing({atLimit, atStop, spends}) {
  const named = [];
  if (amount.value === "") {
    named.push("an amount");
  }
  if (atStop && stop.value === "") {
    named.push("a stop");
  }
  if (atLimit && price.value === "") {
    named.push("a limit");
  }
  if (named.length) {
    return `Write ${named.join(", ").replace(/, ([^,]*)$/, " and $1")} to see what the order comes to.`;
  }
  return spends && price.value === "" ? "An amount in USD needs a worst price: the review fills one in." : "";
}

// Why the order would be refused, in the order in which the server looks; "" when it would not be.
function refusal(chosen, {number, limit, waits, sum, at}) {
  const {buying, atStop} = chosen;
  const size = labelOf(amount);
  const trigger = atStop ? parse(stop.value, UNITS) : null;
  if (atStop && (buying ? now >= trigger : now <= trigger)) {
    return `${labelOf(stop)}: the price is ${writePrice(now)} already. Choose a stop ${buying ? "above" : "below"} it.`;
  }
  if (!chosen.waits && limit && (buying ? now > limit : now < limit)) {
    return `${labelOf(price)}: the price is ${writePrice(now)} already, so nothing would be placed.`;
  }
  if (number * at < CENT) {
    return `${size}: the order is worth less than ${writeMoney(1n)}. Choose more.`;
  }
  if (sum > mostMoney) {
    return `${size}: the order is worth ${writeMoney(sum)}, more than ${writeMoney(mostMoney)}. Split it.`;
  }
  if (!buying && number > held) {
    return `${size}: you have only ${writeQuantity(held)} ${dataset.asset} to sell.`;
  }
  return buying && sum > cash
    ? `${size}: the order ${waits ? "reserves" : "costs"} ${writeMoney(sum)}, which is ${writeMoney(sum - cash)} more than your cash.` : "";
}

// What a sale brings beyond the average cost of its units, as in app/domain/gains.py; "" while that is not known.
function gain(number, sum) {
  if (costOfAll === null) {
    return "";
  }
  const cost = number < owned ? costOfAll * number / owned : costOfAll;
  return sum === cost ? " No gain and no loss."
    : ` A ${sum > cost ? "gain" : "loss"} of ${writeMoney(sum > cost ? sum - cost : cost - sum)}.`;
}

function outcome({buying, spends, atStop, atLimit}, {number, limit, waits, sum}) {
  const what = spends ? `Buys ${writeQuantity(number)} ${dataset.asset}. ` : "";
  const rest = buying ? `Leaves ${writeMoney(cash - sum)} in cash.` : `Leaves ${writeQuantity(held - number)} ${dataset.asset} to sell.${gain(number, sum)}`;
  if (atStop && !atLimit) {
    return `Brings about ${writeMoney(sum)} when the price falls to the stop, or less where it falls fast. ${rest}`;
  }
  if (waits) {
    return `${what}${buying ? "Reserves" : "Brings"} ${writeMoney(sum)} ${buying ? "until" : "when"} the price is there. ${rest}`;
  }
  const edge = limit
    ? `, at ${buying ? "most" : "least"} ${writeMoney(total(number, limit, buying))}` : ", whatever the price is by then";
  return `${what}${buying ? "Costs" : "Brings"} about ${writeMoney(sum)}${edge}. ${rest}`;
}

function words(chosen) {
  const unpriced = now === null ? "There is no current price, so nothing can be placed. Try again in a minute." : "";
  const incomplete = flawOfFields(chosen) || unpriced || missing(chosen);
  if (incomplete) {
    return incomplete;
  }
  const number = chosen.spends ? affordable(parse(amount.value, 2)) : parse(amount.value, UNITS);
  const limit = parse(price.value, UNITS);
  const waits = chosen.atStop || (chosen.atLimit && (chosen.buying ? now > limit : now < limit));
  const at = !waits ? now : chosen.atLimit ? limit : parse(stop.value, UNITS);
  const order = {number, limit, waits, at, sum: total(number, at, chosen.buying)};
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

function change({target}) {
  if (target.name === "unit") {
    amount.value = inOtherUnit();
  }
  const part = target.name === "unit" ? FIELDS[0] : FIELDS.find(({field}) => field === target);
  if (part) {
    note(part, kind());
  }
  show();
}

function begin() {
  noteAll();
  show();
}

form.addEventListener("input", change);
addEventListener("price", ({detail}) => {
  now = parse(detail.value, UNITS);
  show();
});
form.querySelector(".max").addEventListener("click", (event) => event.target.closest("a") && fillInMost(event));
begin();
// A browser that goes back to a page writes into its form after this script has run.
addEventListener("pageshow", begin);
