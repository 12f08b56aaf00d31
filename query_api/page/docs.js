/* Swagger UI over this service's own description. The online validator is off: nothing leaves this host. */
"use strict";
SwaggerUIBundle({ url: "/openapi.json", dom_id: "#docs", deepLinking: true, validatorUrl: null });
