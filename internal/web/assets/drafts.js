// Drafts: what was typed and not sent yet. The tab keeps it under the person, the conversation and the field, until the
// server has carried out its form. Another person or another conversation never gets it.

export const person = document.body.dataset.person ?? "";
const prefix = `draft|${person}|`;
const typed = "[data-draft]:not([type=radio], [type=checkbox], [type=hidden])";

// labels are the fields whose text is kept where it can be copied once the field is gone. The ID of a field is its name here
// and the conversation's SID.
const labels = {
  text: "Message that was not sent", note: "Transfer note that was not sent", reason: "Reason for declining that was not sent",
  disposition: "Outcome that was not saved", "wrapup-note": "Wrap-up note that was not saved",
  "close-reason": "Reason for closing that was not sent",
};

export const conversationOf = (element) => element.closest("[data-conversation]")?.dataset ?? {};

// write keeps a value for the tab. A full or forbidden storage must not stop the page: the text stays on it.
export function write(key, value) {
  try {
    if (value) sessionStorage.setItem(key, value); else sessionStorage.removeItem(key);
  } catch (error) {
    console.warn("the tab cannot keep what was typed", error);
  }
}

export function keepDraft(field) {
  const { name } = conversationOf(field);
  write(prefix + field.id, field.value && JSON.stringify({ text: field.value, to: name }));
}

// dropDrafts forgets the drafts of a form that was carried out, as far as they are what it sent.
export function dropDrafts(form, sent) {
  for (const field of form.querySelectorAll(typed)) {
    if (field.value === (sent?.get(field.name) ?? field.value)) write(prefix + field.id, "");
  }
}

function draft(id) {
  const kept = sessionStorage.getItem(prefix + id);
  return kept === null ? null : JSON.parse(kept);
}

export function restoreDrafts() {
  for (const field of document.querySelectorAll(typed)) {
    const kept = draft(field.id);
    if (kept && field.value === "") field.value = kept.text;
  }
}

// keepTyped has an element of the next page take what was typed into the one that it replaces.
export function keepTyped(before, after) {
  if (before.matches("[type=radio], [type=checkbox]")) after.checked = before.checked;
  else if (before.localName === "input") after.setAttribute("value", before.value);
  else after.value = before.value;
}

function* drafts() {
  for (const key of Object.keys(sessionStorage)) {
    const [, id, sid] = key.startsWith(prefix) ? key.slice(prefix.length).match(/^([a-z-]+)-([A-Z]{2}[0-9a-f]+)$/) ?? [] : [];
    if (labels[id]) yield { key, id, sid, ...JSON.parse(sessionStorage.getItem(key)) };
  }
}

// showKept shows the drafts whose fields are gone, where they can be copied: those of the open conversation beside it,
// those of conversations that are not on the desk any more above the list.
export function showKept() {
  const onDesk = new Set([...document.querySelectorAll("[data-task], [data-conversation]")].flatMap(({ dataset }) => [dataset.task, dataset.conversation]));
  for (const place of document.querySelectorAll("[data-kept]")) {
    const of = place.dataset.kept;
    const fields = conversationOf(place).fields?.split(" ") ?? [];
    const gone = [...drafts()].filter(({ id, sid }) => (of ? sid === of && !fields.includes(id) : id !== "close-reason" && !onDesk.has(sid)));
    const shown = [...place.children].map(({ dataset }) => dataset.key);
    if (shown.join() !== gone.map(({ key }) => key).join()) place.replaceChildren(...gone.map(kept));
  }
}

function kept({ key, id, text, to }) {
  const box = document.createElement("div");
  const label = document.createElement("label");
  const field = document.createElement("textarea");
  const discard = document.createElement("button");
  box.className = "kept-draft";
  box.dataset.key = key;
  label.append(labels[id]);
  if (to) label.append(" (", Object.assign(document.createElement("bdi"), { textContent: to }), ")");
  label.append(". You can copy it.");
  field.readOnly = true;
  field.rows = 2;
  field.dir = "auto";
  field.value = text;
  label.append(field);
  discard.type = "button";
  discard.className = "quiet";
  discard.textContent = "Discard";
  discard.addEventListener("click", () => { write(key, ""); showKept(); });
  box.append(label, discard);
  return box;
}

// Who signs out leaves nothing in the tab, and a customer who begins another chat nothing of the one before.
function forget(unwanted) {
  for (const key of Object.keys(sessionStorage)) {
    const [kind, owner, id] = key.split("|");
    if ((kind === "draft" || kind === "queue") && owner === person && unwanted(id)) write(key, "");
  }
}

if (document.body.matches(".chat")) {
  const { conversation } = document.querySelector("main").dataset;
  forget((id) => !conversation || !id.endsWith(conversation));
}
document.addEventListener("input", ({ target }) => { if (target.matches(typed)) keepDraft(target); });
document.addEventListener("submit", ({ target }) => { if (target.matches(".signout")) forget(() => true); });
