// Fetches the page again when /events says that something is new, and changes
// what differs: focus, selection, scrolling and what is open stay.
"use strict";
(() => {
  const live = document.getElementById("live"), said = document.getElementById("said");
  let busy = false, again = false, shown = "";

  function tell(ok, text) {
    if (live.textContent !== text) live.textContent = text;
    live.className = ok ? "on" : "off";
  }

  // change makes have like want; ids name what stays the same.
  function change(have, want) {
    if (have.nodeType === Node.TEXT_NODE) {
      if (have.data !== want.data) have.data = want.data;
      return;
    }
    for (const { name } of [...have.attributes]) {
      if (!want.hasAttribute(name) && name !== "open") have.removeAttribute(name);
    }
    for (const { name, value } of want.attributes) {
      if (have.getAttribute(name) !== value) have.setAttribute(name, value);
    }
    let at = have.firstChild;
    for (const next of [...want.childNodes]) {
      if (next.id) {
        let same = at;
        while (same && same.id !== next.id) same = same.nextSibling;
        while (same && at !== same) at = drop(at);
      }
      if (at && at.nodeName === next.nodeName && at.id === next.id) {
        change(at, next);
        at = at.nextSibling;
      } else {
        have.insertBefore(next, at);
      }
    }
    while (at) at = drop(at);
  }

  function drop(node) {
    const next = node.nextSibling;
    node.remove();
    return next;
  }

  async function refresh() {
    if (document.hidden) return;
    if (busy) {
      again = true;
      return;
    }
    busy = true;
    try {
      const answer = await fetch("./", { cache: "no-store" });
      if (!answer.ok) throw new Error(answer.statusText);
      const next = new DOMParser().parseFromString(await answer.text(), "text/html");
      change(document.getElementById("main"), next.getElementById("main"));
      document.getElementById("asof").textContent = next.getElementById("asof").textContent;
      document.title = next.title;
      const why = document.querySelector("h1").textContent + ": " + document.getElementById("why").textContent;
      if (shown && shown !== why) said.textContent = why;
      shown = why;
      tell(true, "live");
    } catch {
      tell(false, "No answer; trying again.");
    }
    setTimeout(() => {
      busy = false;
      if (again) {
        again = false;
        refresh();
      }
    }, 150);
  }

  let events;
  function follow() {
    events = new EventSource("./events");
    events.addEventListener("status", refresh);
    events.addEventListener("error", () => {
      tell(false, "No answer; trying again.");
      // After an answer such as a proxy's 502 the browser itself gives up.
      if (events.readyState === EventSource.CLOSED) setTimeout(follow, 1000);
    });
  }
  follow();
  document.addEventListener("visibilitychange", refresh);
  let second = 0;
  setInterval(() => {
    const moves = document.getElementById("main").hasAttribute("data-moves");
    if (events.readyState === EventSource.OPEN && (moves || ++second % 15 === 0)) refresh();
  }, 1000);
})();
