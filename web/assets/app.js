// What the pages do beyond htmx: times in the reader's own zone, countdowns, drafts that outlast a
// refresh, the end of a thread in view, keys. Everything works without it.
"use strict";

(() => {
  const page = () => document.getElementById("page");
  document.documentElement.classList.add("js");

  // Times. The server writes UTC, for who has no scripts.
  const today = new Intl.DateTimeFormat(undefined, { hour: "2-digit", minute: "2-digit" });
  const longer = new Intl.DateTimeFormat(undefined, { day: "numeric", month: "short", hour: "2-digit", minute: "2-digit" });
  const seconds = new Intl.DateTimeFormat(undefined, { month: "short", day: "numeric", hour: "2-digit", minute: "2-digit", second: "2-digit" });
  const exact = new Intl.DateTimeFormat(undefined, { dateStyle: "full", timeStyle: "medium" });
  function localize(root) {
    const times = root.matches?.("time[data-local]") ? [root] : (root.querySelectorAll?.("time[data-local]") ?? []);
    for (const time of times) {
      const at = new Date(time.dateTime);
      const sameDay = at.toDateString() === new Date().toDateString();
      time.textContent = (time.dataset.local === "exact" ? seconds : sameDay ? today : longer).format(at);
      time.title = exact.format(at);
    }
  }
  function countDown() {
    for (const left of document.querySelectorAll("[data-until]")) {
      const seconds = Math.max(0, Math.round((new Date(left.dataset.until) - Date.now()) / 1000));
      const clock = [Math.floor(seconds / 60) % 60, seconds % 60];
      if (seconds >= 3600) clock.unshift(Math.floor(seconds / 3600));
      left.textContent = clock.map((part, i) => (i ? String(part).padStart(2, "0") : part)).join(":");
      left.classList.toggle("soon", seconds <= 15);
    }
  }

  // Drafts: what was typed stays through refreshes, and on the way to another page and back, until its
  // form was carried out; for as long as the tab, and until somebody signs out in it.
  const draftOf = (field) => `draft ${field.form?.getAttribute("action")} ${field.name}`;
  const typed = "[data-draft]:not([type=radio], [type=hidden])";
  const keep = (field) => (field.value ? sessionStorage.setItem(draftOf(field), field.value) : sessionStorage.removeItem(draftOf(field)));
  document.addEventListener("input", ({ target }) => { if (target.matches(typed)) keep(target); });
  document.addEventListener("submit", ({ target }) => { if (target.matches(".signout")) sessionStorage.clear(); });
  function restore(root) {
    for (const field of root.querySelectorAll(typed)) {
      const draft = sessionStorage.getItem(draftOf(field));
      if (draft !== null && field.value === "") field.value = draft;
    }
  }

  // A message leaves its field when it is sent, so that the next one can be typed; it comes back where it
  // could not be delivered.
  const sending = new Map();
  function undelivered(form) {
    const field = form.querySelector("[data-enter]");
    if (!field || !sending.has(form.getAttribute("action"))) return;
    field.value = [sending.get(form.getAttribute("action")), field.value].filter(Boolean).join("\n");
    sending.delete(form.getAttribute("action"));
    keep(field);
  }

  // A page that fetches itself anew leaves alone what is being typed, and what was just refused.
  let refreshing = false;
  let sent = null;
  const sameForm = (one, other) => one.form && one.form.getAttribute("action") === other.closest("form")?.getAttribute("action");
  const morphing = globalThis.Idiomorph?.defaults.callbacks;
  if (morphing) {
    morphing.beforeNodeAdded = (node) => { localize(node); return true; };
    morphing.beforeNodeMorphed = (before, after) => {
      if (before.nodeType !== Node.ELEMENT_NODE) return true;
      if (after.nodeType === Node.ELEMENT_NODE) localize(after);
      if (before.localName === "details" && before.open) after.open = true;
      if (before.matches("[data-draft]")) return !(sameForm(before, after) && (before.form !== sent || before.matches("[data-enter]")));
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

  // A lost connection shows, and what was missed comes with the next one.
  const connection = (lost) => { const told = document.getElementById("connection"); if (told) told.hidden = !lost; };
  let again = 0;
  const refresh = () => { if (page()?.hasAttribute("hx-get")) htmx.trigger(page(), "refresh"); };
  function later() {
    connection(true);
    clearTimeout(again);
    again = setTimeout(refresh, 2000);
  }

  // sorry says what has failed on the server's side where the page that was sent from stays.
  function sorry(answer) {
    const told = new DOMParser().parseFromString(answer, "text/html").querySelector(".refused");
    const line = document.createElement("p");
    line.className = "refused";
    line.setAttribute("role", "alert");
    line.dataset.keep = "";
    line.textContent = told?.textContent ?? "Baton could not be reached. Nothing is lost: try again in a moment.";
    document.getElementById("messages")?.replaceChildren(line);
  }

  document.addEventListener("htmx:configRequest", ({ detail }) => {
    if (detail.elt !== page()) return;
    if (document.hidden) detail.headers["X-Hidden"] = "1";
    const search = document.getElementById("search");
    if (search?.value) detail.parameters.search = search.value;
    const to = document.querySelector("#transfer [name=to]:checked");
    if (to) detail.parameters.to = to.value;
  });
  // What somebody did counts from its answer on: a page that was asked for before would take it back.
  let answers = 0;
  const old = (xhr) => xhr.from !== location.href || xhr.after !== answers;
  document.addEventListener("htmx:beforeRequest", ({ detail }) => {
    detail.xhr.from = location.href;
    detail.xhr.after = answers;
    const field = detail.elt.matches("form") ? detail.elt.querySelector("[data-enter]") : null;
    if (!field) return;
    sending.set(detail.elt.getAttribute("action"), field.value);
    field.value = "";
    keep(field);
  });
  document.addEventListener("htmx:beforeSwap", ({ detail }) => {
    const { elt } = detail.requestConfig;
    const { status } = detail.xhr;
    refreshing = elt === page();
    sent = elt.matches("form") ? elt : null;
    wasAtEnd = [...threads()].every(atEnd);
    if (sent) answers++;
    if (refreshing && old(detail.xhr)) {
      detail.shouldSwap = false;
      refresh();
    } else if (refreshing && status >= 400) {
      detail.shouldSwap = false;
      later();
    } else if (sent && status >= 500) {
      detail.shouldSwap = false;
      undelivered(sent);
      sorry(detail.xhr.responseText);
    } else if (sent && status >= 400) {
      undelivered(sent);
    } else if (sent) {
      sending.delete(sent.getAttribute("action"));
      for (const field of sent.querySelectorAll(typed)) if (!field.matches("[data-enter]")) sessionStorage.removeItem(draftOf(field));
    }
    if (refreshing && status < 400) connection(false);
    if (!detail.shouldSwap) refreshing = false;
  });
  document.addEventListener("htmx:afterSettle", () => {
    restore(document);
    localize(document);
    showKeys();
    if (wasAtEnd || sent || wasAt !== location.pathname) toEnd();
    if (!refreshing && wasAt !== location.pathname) page()?.querySelector("[autofocus]")?.focus();
    if (sent?.getAttribute("action").endsWith("/accept")) document.querySelector("textarea[data-enter]")?.focus();
    wasAt = location.pathname;
    refreshing = false;
    sent = null;
  });
  document.addEventListener("htmx:sendError", ({ detail }) => {
    if (detail.elt.matches("form")) {
      undelivered(detail.elt);
      sorry("");
    }
    later();
  });
  document.addEventListener("htmx:sseError", later); // it may also be that somebody has been signed out
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
  let entered = false; // Enter is down, and begins no line, whatever makes a text of it
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

  restore(document);
  localize(document);
  showKeys();
  countDown();
  toEnd();
  setInterval(countDown, 500);
})();
