"use strict";

// Ignores a second click on a form that is being sent. Nothing depends on this: the server applies a form once.
addEventListener("submit", (event) => {
  for (const button of event.target.querySelectorAll("button")) {
    button.disabled = true;
  }
});

// Going back to a page must make it usable again: browsers remember which buttons were disabled.
addEventListener("pageshow", () => {
  for (const button of document.querySelectorAll("button:disabled")) {
    button.disabled = false;
  }
});
