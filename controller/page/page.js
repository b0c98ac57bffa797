"use strict";
(() => {
  const live = document.getElementById("live");
  let busy = false, again = false;
  async function refresh() {
    if (busy) { again = true; return; }
    busy = true;
    try {
      const answer = await fetch("./", { cache: "no-store" });
      if (!answer.ok) throw new Error(answer.statusText);
      const next = new DOMParser().parseFromString(await answer.text(), "text/html");
      const main = document.querySelector("main"), fresh = next.querySelector("main");
      for (const d of main.querySelectorAll("details[open]")) fresh.querySelector("#" + d.id)?.setAttribute("open", "");
      const focused = main.contains(document.activeElement) ? document.activeElement.id : "";
      main.replaceWith(document.adoptNode(fresh));
      if (focused) document.getElementById(focused)?.focus({ preventScroll: true });
      const now = fresh.dataset.headline;
      if (live.textContent !== now) live.textContent = now;
      document.title = next.title;
    } catch (e) {
      live.textContent = "This instance does not answer; trying again.";
    }
    busy = false;
    if (again) { again = false; setTimeout(refresh, 200); }
  }
  const events = new EventSource("./events");
  events.addEventListener("status", refresh);
  events.addEventListener("error", () => { live.textContent = "The connection is lost; trying again."; });
  setInterval(() => { if (document.querySelector("main[data-current]") && !document.hidden) refresh(); }, 1000);
})();
