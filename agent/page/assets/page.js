// The page works without this: it spares reloads, and shows times where the
// browser is.
"use strict";

const times = (root) => {
  for (const t of root.querySelectorAll("time[datetime]")) {
    const d = new Date(t.dateTime);
    const today = d.toDateString() === new Date().toDateString();
    t.textContent = today ? d.toLocaleTimeString() : d.toLocaleString();
    t.title = d.toLocaleString();
  }
};

// What changes by itself is asked for while somebody looks, and replaced only
// where it differs, so that nothing under a pointer or a focus goes away.
const live = document.getElementById("live");
let tag = "";
const ask = async () => {
  const r = await fetch("/live", { headers: tag ? { "If-None-Match": tag } : {}, cache: "no-store" });
  if (r.status === 401) {
    location.assign("/");
    return;
  }
  if (r.status !== 200) return;
  tag = r.headers.get("ETag");
  const next = document.createElement("div");
  next.innerHTML = await r.text();
  times(next);
  const old = live.children, fresh = [...next.children];
  fresh.forEach((part, i) => {
    if (!old[i]) live.append(part);
    else if (!old[i].isEqualNode(part)) update(old[i], part);
  });
};

// update keeps the state's own element, which screen readers watch, and the focus.
const update = (old, part) => {
  const focus = old.contains(document.activeElement) ? document.activeElement.id : "";
  const said = old.querySelector("[role=status]"), says = part.querySelector("[role=status]");
  if (said && says) {
    if (!said.isEqualNode(says)) said.replaceChildren(...says.childNodes);
    says.replaceWith(said);
  }
  old.replaceChildren(...part.childNodes);
  if (focus) document.getElementById(focus)?.focus();
};

if (live) {
  times(document);
  let failed = false;
  const loop = async () => {
    if (!document.hidden) {
      try {
        await ask();
        failed = false;
      } catch {
        failed = true; // the agent restarts, perhaps
      }
      live.classList.toggle("stale", failed);
    }
    setTimeout(loop, failed ? 4000 : 1500);
  };
  loop();
}

// Connecting takes seconds; a second click would be refused.
document.getElementById("settings")?.addEventListener("submit", () => {
  const b = document.getElementById("save");
  setTimeout(() => {
    b.disabled = true;
    b.textContent = "Saving…";
  });
});
addEventListener("pageshow", () => {
  const b = document.getElementById("save");
  if (b?.disabled) {
    b.disabled = false;
    b.textContent = "Save";
  }
});
