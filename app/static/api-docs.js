"use strict";

const docs = document.getElementById("docs");

// Nothing is loaded from other hosts: the validator badge would be such an image.
SwaggerUIBundle({
  url: docs.dataset.url,
  domNode: docs,
  deepLinking: true,
  validatorUrl: null,
});
