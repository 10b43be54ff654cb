(() => {
  "use strict";
  const main = document.getElementById("main");
  const health = document.getElementById("health");
  const notice = document.getElementById("lost");
  const chosen = new Map(); // what the reader folded and unfolded, by id
  const loaded = new Map(); // when a picture was loaded, by id
  let waiting = null;
  let lost = 0;

  main.addEventListener("click", (event) => {
    const summary = event.target.closest("summary");
    const details = summary && summary.parentElement;
    if (details && details.id) chosen.set(details.id, !details.open);
  });

  // Where the focus is, in words that survive a replacement.
  const focused = () => {
    const at = document.activeElement;
    if (!at || at === main || !main.contains(at)) return null;
    const around = at.closest("details[id],article[id],section[id]");
    return around && { id: around.id, tag: at.tagName, href: at.getAttribute("href") };
  };
  const focusAgain = (place) => {
    const around = place && document.getElementById(place.id);
    if (!around) return;
    const all = [...around.querySelectorAll(place.tag)];
    const same = all.find((at) => at.getAttribute("href") === place.href);
    if (same) same.focus({ preventScroll: true });
  };

  const put = (html) => {
    const next = document.createElement("template");
    next.innerHTML = html;
    for (const details of next.content.querySelectorAll("details[id]")) {
      if (chosen.has(details.id)) details.open = chosen.get(details.id);
    }
    // A picture that is looked at stays for a minute, instead of being loaded with every message.
    for (const graph of next.content.querySelectorAll("details.graph[open]")) {
      const old = document.getElementById(graph.id);
      const since = loaded.get(graph.id) || 0;
      if (old && old.open && Date.now() - since < 60000) graph.replaceWith(old);
      else loaded.set(graph.id, Date.now());
    }
    const place = focused();
    const seen = [...main.querySelectorAll("[id]")].find((at) => at.getBoundingClientRect().bottom > 0);
    const top = seen ? seen.getBoundingClientRect().top : 0;
    main.replaceChildren(next.content);
    const same = seen && document.getElementById(seen.id);
    if (same && window.scrollY > 0) window.scrollBy(0, same.getBoundingClientRect().top - top);
    focusAgain(place);
    const overview = document.getElementById("overview");
    if (overview && health.textContent !== overview.dataset.health) health.textContent = overview.dataset.health;
    if (overview) health.dataset.worst = overview.dataset.worst;
  };

  // What is marked to be copied, or not looked at, is replaced later.
  const busy = () => {
    const marked = document.getSelection();
    const marking = marked && !marked.isCollapsed && main.contains(marked.anchorNode);
    return document.hidden || marking;
  };
  const later = () => {
    if (waiting === null || busy()) return;
    const html = waiting;
    waiting = null;
    put(html);
  };
  document.addEventListener("visibilitychange", later);
  document.addEventListener("selectionchange", later);

  const tell = () => {
    notice.hidden = !lost;
    notice.textContent = lost
      ? "Connection lost since " + new Date(lost).toISOString().slice(11, 19) + " UTC: the page shows what was then."
      : "";
  };

  const listen = () => {
    const source = new EventSource("/status/events");
    source.onopen = () => {
      lost = 0;
      tell();
    };
    source.onmessage = (event) => {
      waiting = event.data;
      later();
    };
    source.onerror = () => {
      if (!lost) {
        lost = Date.now();
        tell();
      }
      // Otherwise the browser itself tries again.
      if (source.readyState === EventSource.CLOSED) setTimeout(listen, 5000);
    };
  };
  listen();
})();
