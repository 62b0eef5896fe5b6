// The clock of the top bar: the visitor's own time.
"use strict";
(() => {
  const clock = document.getElementById("clock");
  if (!clock) return;
  const show = () => { clock.textContent = new Date().toLocaleTimeString([], { hour: "2-digit", minute: "2-digit" }); };
  show();
  setInterval(show, 5000);
})();
