// The menu of narrow windows.
"use strict";
(() => {
  const button = document.getElementById("menu"), bar = document.getElementById("sidebar");
  if (!button) return;
  button.addEventListener("click", () => {
    button.setAttribute("aria-expanded", String(bar.classList.toggle("open")));
  });
})();
