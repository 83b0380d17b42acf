// What the pages do beyond htmx: times in the reader's own zone, countdowns, the order of answers, the place in a thread,
// keys. Everything works without it.
import { dropDrafts, keepTyped, restoreDrafts, showKept } from "./drafts.js";
import { measureAll } from "./limits.js";
import { begin, draw } from "./queue.js";

(() => {
  const page = () => document.getElementById("page");
  document.documentElement.classList.add("js");

  // Times. The server writes UTC, for who has no scripts.
  const today = new Intl.DateTimeFormat(undefined, { hour: "2-digit", minute: "2-digit" });
  const longer = new Intl.DateTimeFormat(undefined, { day: "numeric", month: "short", hour: "2-digit", minute: "2-digit" });
  const seconds = new Intl.DateTimeFormat(undefined, { month: "short", day: "numeric", hour: "2-digit", minute: "2-digit", second: "2-digit" });
  const exact = new Intl.DateTimeFormat(undefined, { dateStyle: "full", timeStyle: "medium" });
  const clock = (at) => (at.toDateString() === new Date().toDateString() ? today : longer).format(at);
  // lasting is a duration in its two largest units, as the server writes it.
  function lasting(passed) {
    const [days, hours, minutes] = [Math.floor(passed / 86400), Math.floor(passed / 3600) % 24, Math.floor(passed / 60) % 60];
    if (days) return `${days} d ${hours} h`;
    if (hours) return `${hours} h ${minutes} min`;
    return minutes ? `${minutes} min ${passed % 60} s` : `${passed} s`;
  }
  function ago(passed, at) {
    if (passed < 60) return "just now";
    if (passed < 3600) return `${Math.floor(passed / 60)} min ago`;
    return passed < 86400 ? `${Math.floor(passed / 3600)} h ago` : clock(at);
  }
  function textOf({ dataset }, at) {
    const passed = Math.max(0, Math.floor((Date.now() - at) / 1000));
    if ("age" in dataset) return lasting(passed);
    if ("ago" in dataset) return ago(passed, at);
    return dataset.local === "exact" ? seconds.format(at) : clock(at);
  }
  const relative = "time[data-age], time[data-ago]";
  const shown = `time[data-local], ${relative}`;
  function localize(root, which = shown) {
    const times = root.matches?.(which) ? [root] : (root.querySelectorAll?.(which) ?? []);
    for (const time of times) {
      const at = new Date(time.dateTime);
      const text = textOf(time, at);
      const title = exact.format(at);
      if (time.textContent !== text) time.textContent = text; // what stays the same is not written again
      if (time.title !== title) time.title = title;
    }
  }

  // The reader's zone, for the server to split up into days. A page with the days of another zone is fetched once more, and
  // only once where the server doesn't know the zone.
  function keepZone() {
    const { zoneCookie } = document.body.dataset;
    const { timeZone } = new Intl.DateTimeFormat().resolvedOptions();
    if (!zoneCookie || !/^[A-Za-z0-9_+/-]+$/.test(timeZone)) return;
    const cookie = `${zoneCookie}=${timeZone}`;
    const kept = () => document.cookie.split("; ").includes(cookie);
    if (!kept()) document.cookie = `${cookie}; Path=/; SameSite=Lax${location.protocol === "https:" ? "; Secure" : ""}`;
    const days = document.querySelector("[data-zone]");
    if (!days || !kept()) return;
    if (days.dataset.zone === timeZone) { sessionStorage.removeItem("zone"); return; }
    if (sessionStorage.getItem("zone") === timeZone) return;
    sessionStorage.setItem("zone", timeZone);
    location.reload();
  }
  function countDown() {
    for (const left of document.querySelectorAll("[data-until]")) {
      const seconds = Math.max(0, Math.round((new Date(left.dataset.until) - Date.now()) / 1000));
      const parts = [Math.floor(seconds / 60) % 60, seconds % 60];
      if (seconds >= 3600) parts.unshift(Math.floor(seconds / 3600));
      left.textContent = parts.map((part, i) => (i ? String(part).padStart(2, "0") : part)).join(":");
      left.classList.toggle("soon", seconds <= 15);
    }
  }

  // A page that fetches itself anew leaves alone what is being typed, what the scripts show, and what was just confirmed or
  // refused. The form that was carried out loses what was typed into it.
  let refreshing = false;
  let done = null;
  const morphing = globalThis.Idiomorph?.defaults.callbacks;
  if (morphing) {
    morphing.beforeNodeAdded = (node) => { localize(node); return true; };
    morphing.beforeNodeMorphed = (before, after) => {
      if (before.nodeType !== Node.ELEMENT_NODE) return true;
      if (before.matches("[data-own]")) return false;
      if (after.nodeType === Node.ELEMENT_NODE) localize(after);
      if (before.localName === "details" && before.open) after.open = true;
      if (before.matches("[data-draft]") && (before.form === null || before.form !== done)) keepTyped(before, after);
      return !(refreshing && before.matches("[data-keep]"));
    };
    morphing.beforeNodeRemoved = (node) => !(refreshing && node.nodeType === Node.ELEMENT_NODE && node.matches("[data-keep]"));
  }

  // The end of a thread stays in view for who was reading there.
  let wasAtEnd = true;
  let wasAt = location.pathname;
  const threads = () => document.querySelectorAll("[data-bottom]");
  const atEnd = (thread) => thread.scrollHeight - thread.scrollTop - thread.clientHeight < 60;
  const toEnd = () => threads().forEach((thread) => { thread.scrollTop = thread.scrollHeight; });

  // A message stays where it is in view when others come above or below it.
  let anchor = null;
  function holdPlace() {
    const thread = document.querySelector("[data-bottom]");
    const top = thread?.getBoundingClientRect().top;
    const message = [...(thread?.querySelectorAll("[data-number]") ?? [])].find((one) => one.getBoundingClientRect().bottom > top);
    anchor = message && { id: message.id, offset: message.getBoundingClientRect().top - top };
  }
  function backToPlace() {
    const thread = document.querySelector("[data-bottom]");
    const message = anchor && document.getElementById(anchor.id);
    if (thread && message) thread.scrollTop += message.getBoundingClientRect().top - thread.getBoundingClientRect().top - anchor.offset;
  }

  // A lost connection shows, and what was missed comes with the next one.
  const connection = (lost) => { const told = document.getElementById("connection"); if (told) told.hidden = !lost; };
  let again = 0;
  const refresh = () => { if (page()?.hasAttribute("hx-get")) htmx.trigger(page(), "refresh"); };
  function later() {
    connection(true);
    clearTimeout(again);
    again = setTimeout(refresh, 2000);
  }

  // announce shows what an answer confirms or refuses where the page that it is an answer for is not shown any more.
  function announce(answer) {
    const next = new DOMParser().parseFromString(answer, "text/html");
    const confirmed = next.querySelector("#said .done");
    const refused = next.querySelector(".refused");
    if (confirmed) document.getElementById("said")?.replaceChildren(confirmed);
    if (refused) complain(...sentenceOf(refused));
  }
  // sentenceOf is what a refusal says, without the texts that are kept below it.
  const sentenceOf = (refused) => [...refused.childNodes].filter((node) => node.localName !== "p");
  function complain(...sentence) {
    const line = document.createElement("p");
    line.className = "refused";
    line.setAttribute("role", "alert");
    line.dataset.keep = "";
    line.append(...sentence);
    document.getElementById("messages")?.replaceChildren(line);
  }
  function failed(answer) {
    const refused = new DOMParser().parseFromString(answer, "text/html").querySelector(".refused");
    if (refused) complain(...sentenceOf(refused)); else complain("Baton could not be reached. Nothing is lost: try again in a moment.");
  }

  // The requests of a page are answered in any order. An action's answer is shown where the page that it was made on is
  // still open; of the pages that were asked for, only the last one is shown; and a refresh is not shown that was asked for
  // before an action or a page was answered, or while an action is under way.
  let asked = 0; // numbers the requests
  let visited = 0; // the last page that was asked for
  let acted = 0; // the last action that was answered
  let acting = 0; // how many actions are under way
  let answered = 0; // how many actions and pages were answered
  let missed = false; // a refresh was dropped while an action was under way
  const kindOf = (elt) => {
    if (elt === page()) return "refresh";
    if (elt.matches("form") && elt.getAttribute("method")?.toLowerCase() === "post") return "action";
    return elt.matches("a, form") ? "visit" : "part";
  };

  document.addEventListener("htmx:configRequest", ({ detail }) => {
    const kind = kindOf(detail.elt);
    const { conversation } = document.querySelector("[data-conversation]")?.dataset ?? {};
    const oldest = document.querySelector("#thread [data-number]")?.dataset.number;
    if (conversation && oldest && kind !== "visit") detail.headers["X-Baton-Oldest"] = `${conversation} ${oldest}`;
    if (kind !== "refresh") return;
    if (document.hidden) detail.headers["X-Hidden"] = "1";
    const search = document.querySelector(".transfer [name=search]");
    if (search?.value) detail.parameters.search = search.value;
    const to = document.querySelector(".transfer [name=to]:checked");
    if (to) detail.parameters.to = to.value;
  });
  document.addEventListener("htmx:beforeRequest", ({ detail }) => {
    const { xhr } = detail;
    xhr.kind = kindOf(detail.elt);
    xhr.order = ++asked;
    xhr.from = location.href;
    xhr.after = answered;
    if (xhr.kind === "visit") visited = xhr.order;
    if (xhr.kind !== "action") return;
    acting++;
    xhr.addEventListener("loadend", () => {
      acting--;
      if (acting > 0 || !missed) return;
      missed = false;
      refresh();
    });
  });
  // shows tells whether the page of an answer is still wanted.
  function shows(xhr) {
    if (xhr.kind === "visit") return xhr.order === visited;
    if (xhr.kind === "action") return xhr.from === location.href && xhr.order > visited && xhr.order > acted;
    return xhr.kind !== "refresh" || (acting === 0 && xhr.from === location.href && xhr.after === answered);
  }
  document.addEventListener("htmx:beforeSwap", ({ detail }) => {
    const { elt } = detail.requestConfig;
    const { xhr } = detail;
    const { kind, status } = xhr;
    const wanted = shows(xhr);
    refreshing = kind === "refresh";
    done = null;
    wasAtEnd = [...threads()].every(atEnd);
    holdPlace();
    if (kind === "action") {
      acted = Math.max(acted, xhr.order);
      if (status < 400) {
        dropDrafts(elt, detail.requestConfig.formData);
        done = elt;
      }
    }
    if (refreshing && status >= 400) {
      detail.shouldSwap = false;
      later();
    } else if (!wanted) {
      detail.shouldSwap = false;
      if (kind === "action" && status < 500) announce(xhr.responseText);
      if (acting > 0) missed = true; else if (kind !== "visit") refresh();
    } else if (kind === "action" && status >= 500) {
      detail.shouldSwap = false;
    }
    if (kind === "action" && status >= 500) failed(xhr.responseText);
    if (detail.shouldSwap && (kind === "action" || kind === "visit")) answered++;
    if ((refreshing || elt.id === "notices") && status < 400) connection(false);
    if (!detail.shouldSwap) {
      refreshing = false;
      done = null;
    }
    accepted = detail.shouldSwap && kind === "action" && elt.getAttribute("action").endsWith("/accept");
    came = kind;
  });
  let accepted = false; // an offer was accepted: the next thing is to write
  let came = ""; // what kind of answer is being shown
  document.addEventListener("htmx:afterSettle", () => {
    restoreDrafts();
    measureAll();
    draw();
    showKept();
    localize(document);
    showKeys();
    if (wasAtEnd || came === "action" || wasAt !== location.pathname) toEnd(); else backToPlace();
    if (!refreshing && wasAt !== location.pathname) page()?.querySelector("[autofocus]")?.focus();
    if (accepted) document.querySelector("textarea[data-enter]")?.focus();
    wasAt = location.pathname;
    anchor = null;
    refreshing = false;
    accepted = false;
    done = null;
    came = "";
  });
  document.addEventListener("htmx:sendError", ({ detail }) => {
    if (detail.xhr.kind === "action") failed("");
    later();
  });
  document.addEventListener("htmx:sseError", later); // it may also be that the agent has been signed out
  document.addEventListener("htmx:sseOpen", () => connection(false));
  document.addEventListener("visibilitychange", () => { if (!document.hidden) refresh(); });

  document.addEventListener("change", ({ target }) => { if (target.matches("[data-submit]")) target.form.requestSubmit(); });

  // Keys, for who hasn't turned them off in this browser.
  const keysOn = () => localStorage.getItem("keys") !== "off";
  const showKeys = () => document.querySelectorAll("[data-keys]").forEach((box) => { box.checked = keysOn(); });
  document.addEventListener("change", ({ target }) => {
    if (target.matches("[data-keys]")) localStorage.setItem("keys", target.checked ? "on" : "off");
  });
  function go(step) {
    const tasks = [...document.querySelectorAll("[data-task]")];
    const open = tasks.findIndex((task) => task.getAttribute("aria-current") === "true");
    (tasks[open + step] ?? tasks[open < 0 ? 0 : open])?.click();
  }
  let entered = false; // Enter is down, and begins no line, regardless of what makes a text of it
  document.addEventListener("keyup", () => { entered = false; });
  document.addEventListener("beforeinput", (event) => { if (entered && event.inputType === "insertLineBreak") event.preventDefault(); });
  document.addEventListener("keydown", (event) => {
    const { target, key } = event;
    if (event.isComposing || event.repeat || event.ctrlKey || event.metaKey || event.altKey) return;
    if (target.matches("[data-enter]") && key === "Enter" && !event.shiftKey) {
      event.preventDefault();
      entered = true;
      if (target.value.trim()) target.form.requestSubmit();
      return;
    }
    if (!keysOn() || (target.matches("input:not([type=checkbox]), textarea, select") && key !== "Escape")) return;
    if (key === "j" || key === "k") { event.preventDefault(); go(key === "j" ? 1 : -1); return; }
    const element = [...document.querySelectorAll("[data-key]")].find(({ dataset }) => dataset.key === key);
    if (!element) return;
    event.preventDefault();
    if (element.matches("textarea, input")) element.focus(); else element.click();
  });

  // A confirmation is shown once: its name leaves the address.
  const address = new URL(location.href);
  if (address.searchParams.has("said")) {
    address.searchParams.delete("said");
    history.replaceState(history.state, "", address);
  }

  restoreDrafts();
  measureAll();
  begin(refresh);
  showKept();
  localize(document);
  showKeys();
  countDown();
  toEnd();
  keepZone();
  setInterval(() => { countDown(); localize(document, relative); }, 500);
})();
