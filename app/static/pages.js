"use strict";

// A form that is on its way takes no second click. Nothing depends on this: the server applies a form once.
addEventListener("submit", (event) => {
  for (const button of event.target.querySelectorAll("button")) {
    button.disabled = true;
  }
});

// A page that one comes back to must be usable again: browsers remember which buttons were disabled.
addEventListener("pageshow", () => {
  for (const button of document.querySelectorAll("button:disabled")) {
    button.disabled = false;
  }
});
