// Keeps prices up to date while the page is in sight. They come from the page of the market as one without a session
// sees it: so a page that is left open does not keep its session alive, and the server writes every figure. Nothing
// depends on this.

const EVERY = 12000; // milliseconds
const AFTER_A_FAILURE = 60000;
const line = document.getElementById("live");
const places = [...document.querySelectorAll("[data-live]")];
let askAt = Date.now() + EVERY;
let timer = null;
let said = "";

function say(text) {
  if (text !== said) {
    line.hidden = false;
    line.textContent = said = text;
  }
}

function show(page) {
  for (const place of places) {
    const now = page.querySelector(`[data-live="${place.dataset.live}"]`);
    if (now) {
      place.className = now.className;
      place.replaceChildren(...document.adoptNode(now).childNodes);
      if (place.dataset.value !== undefined) {
        place.dataset.value = now.dataset.value;
        dispatchEvent(new CustomEvent("price", {detail: now.dataset}));
      }
    }
  }
  // Once a minute: more often would be too much to listen to.
  const minute = `${new Date().toISOString().slice(11, 16)} UTC`;
  const [first, second] = places.filter((place) => place.dataset.value !== undefined);
  say(second ? `Prices of ${minute}.` : `${first.textContent.trim()} at ${minute}.`);
}

async function ask() {
  let pause = AFTER_A_FAILURE;
  askAt = Date.now() + pause;
  try {
    const answer = await fetch(line.dataset.from, {credentials: "omit", cache: "no-store"});
    if (answer.ok) {
      show(new DOMParser().parseFromString(await answer.text(), "text/html"));
      pause = EVERY;
    } else {
      pause = Math.max(1000 * Number(answer.headers.get("Retry-After")), pause);
    }
  } catch {
    // As after an answer that is none.
  }
  if (pause !== EVERY) {
    places.forEach((place) => place.classList.add("stale"));
    say("Prices are not up to date: the last answer did not come.");
  }
  askAt = Date.now() + pause;
  plan();
}

function plan() {
  clearTimeout(timer);
  if (!document.hidden && places.length) {
    timer = setTimeout(ask, Math.max(askAt - Date.now(), 0));
  }
}

addEventListener("visibilitychange", plan);
plan();
