// What a page gains with JavaScript: live rows, times that move on, "/" to
// search, copy buttons. Without it every page still works.
"use strict";
(() => {
  const say = document.getElementById("announce");
  const dot = document.getElementById("livedot");

  // ago words times as format.go does.
  function ago(t) {
    const s = Math.floor((Date.now() + skew - t) / 1000);
    const n = (v, unit) => (v === 1 ? `1 ${unit} ago` : `${v} ${unit}s ago`);
    if (s < 10) return "just now";
    if (s < 60) return n(s, "second");
    if (s < 3600) return n(Math.floor(s / 60), "minute");
    if (s < 86400) return n(Math.floor(s / 3600), "hour");
    if (s < 60 * 86400) return n(Math.floor(s / 86400), "day");
    return "on " + new Date(t).toISOString().slice(0, 10);
  }
  // Times are reckoned by the server's clock: the browser's may be off by hours.
  let skew = 0;
  const setSkew = (body) => (skew = Date.parse(body.dataset.now) - Date.now() || 0);
  setSkew(document.body);
  function moveTimes() {
    for (const el of document.querySelectorAll("time[title]")) {
      const words = ago(Date.parse(el.dateTime));
      if (el.textContent !== words) el.textContent = words;
    }
  }

  // morph makes `from` equal to `to` in place, so that focus, selection and
  // open <details> survive an update. Children with an id are matched by it.
  function morph(from, to) {
    if (from.isEqualNode(to)) return;
    if (from.nodeType !== Node.ELEMENT_NODE || from.nodeName !== to.nodeName || from.id !== to.id) {
      from.replaceWith(document.importNode(to, true));
      return;
    }
    for (const { name } of [...from.attributes]) {
      if (!to.hasAttribute(name) && !(name === "open" && from.nodeName === "DETAILS")) from.removeAttribute(name);
    }
    for (const { name, value } of to.attributes) {
      if (from.getAttribute(name) !== value) from.setAttribute(name, value);
    }
    const stay = new Set();
    for (const want of to.children) if (want.id) stay.add(want.id);
    const byId = new Map();
    for (const child of [...from.children]) {
      if (!child.id) continue;
      // What goes goes first: nothing that stays is moved past it, which would take its focus.
      if (stay.has(child.id)) byId.set(child.id, child);
      else child.remove();
    }
    let at = from.firstChild;
    for (const want of to.childNodes) {
      let have = want.id ? byId.get(want.id) : at && !at.id && at.nodeName === want.nodeName ? at : null;
      if (!have) {
        from.insertBefore(document.importNode(want, true), at);
        continue;
      }
      // Nor past what has no name: it was matched before, or is too much.
      while (want.id && at && at !== have && !at.id) {
        const next = at.nextSibling;
        at.remove();
        at = next;
      }
      if (have === at) at = at.nextSibling;
      else from.insertBefore(have, at);
      morph(have, want);
    }
    while (at) {
      const next = at.nextSibling;
      at.remove();
      at = next;
    }
  }

  // announce tells a screen reader of changes, few by name, many by number.
  let news = [];
  let newsTimer = 0;
  function announce(text) {
    news.push(text);
    if (newsTimer) return;
    newsTimer = setTimeout(() => {
      say.textContent = news.length > 3 ? `${news.length} PBXs changed their status.` : news.join(". ");
      news = [];
      newsTimer = 0;
    }, 1000);
  }

  // typing reports whether a form has something that leaving the page would lose.
  function typing() {
    const fields = document.querySelectorAll("main form input, main form textarea, main form select");
    return document.querySelector("main [aria-invalid], main #error") || [...fields].some(edited);
  }
  function edited(x) {
    if (!x.options) return x.value !== x.defaultValue || x.checked !== x.defaultChecked;
    return x.selectedIndex !== Math.max(0, [...x.options].findIndex((o) => o.defaultSelected));
  }

  // refresh fetches this page again and updates its regions. What is asked for
  // while it does so may have come too late for it: then it does so once more.
  let refreshing = null;
  let again = false;
  const meanwhile = []; // rows that changed while it does so, which the page may be too old for
  function refresh() {
    if (refreshing) again = true;
    refreshing ??= (async () => {
      try {
        const resp = await fetch(location.href, { headers: { Accept: "text/html" }, cache: "no-store" });
        if (resp.redirected && !typing()) location.reload(); // signed out: show the sign-in
        if (resp.redirected || !resp.ok) return;
        const fresh = new DOMParser().parseFromString(await resp.text(), "text/html");
        setSkew(fresh.body);
        const held = document.activeElement;
        for (const region of document.querySelectorAll("[data-region]")) {
          const to = fresh.getElementById(region.id);
          if (to) morph(region, to);
        }
        if (held !== document.activeElement && held?.isConnected) held.focus({ preventScroll: true }); // its row has moved
        for (const b of document.querySelectorAll("[data-copy][hidden]")) showCopy(b);
        moveTimes();
        const live = fresh.body.dataset.live;
        if (live && live !== document.body.dataset.live) {
          document.body.dataset.live = live;
          listen();
        }
      } catch {
        // Away for a moment: the stream's return brings the next refresh.
      } finally {
        refreshing = null;
        for (const e of meanwhile.splice(0)) rowChanged(e);
        if (again) {
          again = false;
          refresh();
        }
      }
    })();
    return refreshing;
  }

  function setLive(on) {
    if (!dot) return;
    dot.hidden = false;
    dot.classList.toggle("lost", !on);
    const text = on ? "Live" : "Reconnecting…";
    if (dot.textContent !== text) dot.textContent = text;
  }

  // rowChanged puts a device's new row in place of the old one.
  function rowChanged(e) {
    const row = document.getElementById(e.id);
    if (!row || row.nodeName !== "TR") {
      refresh();
      return;
    }
    if (e.removed) {
      row.remove();
      refresh();
      return;
    }
    if (refreshing) meanwhile.push(e);
    const before = row.querySelector(".pill")?.textContent;
    const t = document.createElement("template");
    t.innerHTML = e.row; // made and escaped by the same template as the page
    morph(row, t.content.firstElementChild);
    moveTimes();
    if (before !== e.status) {
      announce(`${e.name}: ${e.status}`);
      row.classList.remove("flash");
      void row.offsetWidth; // begins the animation anew
      row.classList.add("flash");
    }
  }

  let source = null;
  let retry = 0;
  let wait = 0;
  function listen() {
    clearTimeout(retry);
    source?.close();
    const es = new EventSource(document.body.dataset.live);
    source = es;
    es.addEventListener("ready", () => {
      wait = 0;
      setLive(true);
      refresh();
    });
    es.addEventListener("device", (m) => rowChanged(JSON.parse(m.data)));
    es.addEventListener("changed", () => refresh());
    es.onerror = () => {
      setLive(false);
      if (es.readyState !== EventSource.CLOSED || es !== source) return; // comes back by itself
      // Refused, not lost: the session may be over, which the page itself shows.
      retry = setTimeout(() => refresh().then(listen), wait * (0.5 + Math.random() / 2));
      wait = Math.min(wait * 2 || 4000, 60000);
    };
  }

  function showCopy(button) {
    if (!navigator.clipboard) return;
    button.hidden = false;
    if (button.dataset.ready) return;
    button.dataset.ready = "1";
    button.addEventListener("click", async () => {
      await navigator.clipboard.writeText(button.dataset.copy);
      button.textContent = "Copied";
      setTimeout(() => (button.textContent = "Copy"), 2000);
    });
  }

  // A choice that narrows a list does it at once; a box that ticks all of a page.
  document.addEventListener("change", (e) => {
    if (e.target.matches("[data-submit]")) e.target.form.requestSubmit();
    if (e.target.matches("[data-pick-all]")) {
      for (const box of document.querySelectorAll('input[name="id"]')) box.checked = e.target.checked;
    }
  });
  for (const box of document.querySelectorAll("[data-pick-all]")) box.hidden = false;

  document.addEventListener("keydown", (e) => {
    const box = document.querySelector("[data-search]");
    if (!box || e.key !== "/" || e.ctrlKey || e.metaKey || e.altKey || e.isComposing) return;
    if (e.target.closest("input, textarea, select, [contenteditable]")) return;
    e.preventDefault();
    box.focus();
    box.select();
  });

  // What was said once is not said again by a reload.
  const here = new URL(location.href);
  if (here.searchParams.has("notice")) {
    here.searchParams.delete("notice");
    history.replaceState(null, "", here);
  }

  document.querySelectorAll("[data-copy]").forEach(showCopy);
  setInterval(moveTimes, 15000);
  if (document.body.dataset.live) listen();
  const poll = Number(document.body.dataset.poll);
  if (poll) setInterval(() => document.hidden || refresh(), poll * 1000);
})();
