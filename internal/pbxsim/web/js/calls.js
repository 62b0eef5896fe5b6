// The call monitor, over a WebSocket. It comes back by itself.
"use strict";
(() => {
  const monitor = document.getElementById("call-monitor"), live = document.getElementById("live");
  const body = document.getElementById("calls"), row = document.getElementById("call-row");
  const tick = document.getElementById("tick");
  const tones = { ringing: "amber", talking: "green", hold: "grey" };
  let wait = 1000;
  const say = (state, text, tone) => { monitor.dataset.state = state; live.textContent = text; live.className = "badge " + tone; };
  const time = (s) => Math.floor(s / 60) + ":" + String(s % 60).padStart(2, "0");
  const draw = (call) => {
    const line = row.content.cloneNode(true), put = (name, text) => { line.querySelector("." + name).textContent = text; };
    put("id", call.id); put("from", call.from); put("to", call.to); put("trunk", call.trunk); put("time", time(call.seconds));
    const state = line.querySelector(".state");
    state.textContent = call.state;
    state.classList.add(tones[call.state] || "grey");
    return line;
  };
  const connect = () => {
    const socket = new WebSocket(location.origin.replace(/^http/, "ws") + "/ws/calls");
    socket.onopen = () => { wait = 1000; say("live", "live", "green"); };
    socket.onmessage = (event) => {
      const now = JSON.parse(event.data);
      body.replaceChildren(...now.calls.map(draw));
      document.getElementById("call-count").textContent = now.calls.length;
      tick.textContent = Number(tick.textContent) + 1;
      document.getElementById("tick-at").textContent = "at " + new Date(now.at).toLocaleTimeString();
    };
    socket.onclose = () => {
      say("lost", "reconnecting", "amber");
      setTimeout(connect, wait);
      wait = Math.min(wait * 2, 15000);
    };
  };
  connect();
})();
