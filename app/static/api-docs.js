"use strict";

const docs = document.getElementById("docs");

// Nothing is asked of anybody else: the validator badge would be an image from another host.
SwaggerUIBundle({
  url: docs.dataset.url,
  domNode: docs,
  deepLinking: true,
  validatorUrl: null,
});
