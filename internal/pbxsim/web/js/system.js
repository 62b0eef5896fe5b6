// Live figures of the dashboard, over server-sent events.
"use strict";
(() => {
  const live = document.getElementById("live"), count = document.getElementById("sse-tick");
  const say = (text, tone) => { live.textContent = text; live.className = "badge " + tone; };
  const source = new EventSource("/events/system");
  source.onopen = () => say("live", "green");
  source.onerror = () => say("reconnecting", "amber");
  source.addEventListener("tick", (event) => {
    const now = JSON.parse(event.data);
    gauge.set("cpu", now.cpu, " %");
    gauge.set("memory", now.memory, " %");
    gauge.set("channels", now.channels, "");
    gauge.trace(now.cpu);
    document.getElementById("tile-calls").textContent = now.channels;
    count.textContent = Number(count.textContent) + 1;
  });
})();
