"use strict";

const AGAIN_AFTER = 5000; // milliseconds

// Ignores a second click on a form that is being sent. Nothing depends on this: the server applies a form once.
// No event tells that the person has stopped the load, so the form can be sent again after some seconds.
addEventListener("submit", (event) => {
  // Another script holds it back.
  if (event.defaultPrevented) {
    return;
  }
  for (const button of event.target.querySelectorAll("button")) {
    button.disabled = true;
    setTimeout(() => { button.disabled = false; }, AGAIN_AFTER);
  }
});

// Going back to a page must make it usable again: browsers remember which buttons were disabled.
addEventListener("pageshow", () => {
  for (const button of document.querySelectorAll("button:disabled")) {
    button.disabled = false;
  }
});
