// A switch that needs another one can be turned on as soon as that one is, and goes off with it.
"use strict";

document.addEventListener("change", ({ target }) => {
  if (!target.form || !target.matches("[type=checkbox]")) return;
  for (const needing of target.form.querySelectorAll("[data-needs]")) {
    if (needing.dataset.needs !== target.name) continue;
    needing.disabled = !target.checked;
    if (needing.disabled) needing.checked = false;
  }
});
