// The queue of messages that were written here and are not delivered yet. Text and ID of a message leave the field when it
// is sent; the messages of a conversation are delivered in their order, each under its ID, so that one that is sent again
// is stored once. The tab keeps the queue, through other pages and a reload.
import { person, restoreDrafts, write } from "./drafts.js";

const within = 30_000; // milliseconds until a delivery counts as failed
const nameOf = (conversation) => `queue|${person}|${conversation}`;
const queues = new Map();
const running = new Set();
let delivered = () => {};

// queueOf is the queue of a conversation. What was on its way when the page was left is sent again, under its ID.
function queueOf(conversation) {
  if (!queues.has(conversation)) {
    const items = JSON.parse(sessionStorage.getItem(nameOf(conversation)) ?? "[]").filter(({ state }) => state !== "sent");
    for (const item of items) if (item.state === "sending") item.state = "waiting";
    queues.set(conversation, items);
  }
  return queues.get(conversation);
}

function save(conversation) {
  const items = queueOf(conversation);
  write(nameOf(conversation), items.length ? JSON.stringify(items) : "");
}

// randomID works on pages without TLS too, where crypto.randomUUID is missing.
const randomID = () => [...crypto.getRandomValues(new Uint8Array(16))].map((byte) => byte.toString(16).padStart(2, "0")).join("");

// changed has everything that follows what is typed into a field follow what a script has put there.
const changed = (field) => field.dispatchEvent(new Event("input", { bubbles: true }));

function enqueue(form) {
  const conversation = form.dataset.queue;
  const field = form.querySelector("[data-enter]");
  if (!field.value.trim()) return;
  const { name } = form.closest("[data-conversation]").dataset;
  queueOf(conversation).push({ once: randomID(), action: form.getAttribute("action"), page: location.pathname, to: name, text: field.value, state: "waiting" });
  save(conversation);
  field.value = "";
  changed(field);
  draw();
  const thread = document.querySelector("[data-bottom]");
  if (thread) thread.scrollTop = thread.scrollHeight;
  run(conversation);
}

async function run(conversation) {
  if (running.has(conversation)) return;
  running.add(conversation);
  for (;;) {
    const item = queueOf(conversation).find(({ state }) => state !== "sent");
    if (!item || item.state === "failed") break;
    item.state = "sending";
    save(conversation);
    draw();
    await deliver(conversation, item);
    save(conversation);
    draw();
    if (item.state === "sent") delivered();
  }
  running.delete(conversation);
}

async function deliver(conversation, item) {
  try {
    const answer = await fetch(item.action, {
      method: "POST", headers: { "X-Baton-Queue": person || "customer" }, signal: AbortSignal.timeout(within),
      body: new URLSearchParams({ conversation, once: item.once, text: item.text }),
    });
    const kind = answer.headers.get("Content-Type") ?? "";
    if (answer.ok && kind.startsWith("application/json")) {
      item.message = (await answer.json()).message;
      item.state = "sent";
      return;
    }
    item.why = kind.startsWith("text/plain") ? (await answer.text()).trim().slice(0, 300) : "The server did not confirm it.";
    item.state = "failed";
    if (answer.status === 401) {
      save(conversation);
      location.assign(`/sign-in?${new URLSearchParams({ next: location.pathname })}`);
    }
  } catch (error) { // there is no connection, or it was too slow
    item.why = error.name === "TimeoutError" ? "The connection is too slow." : "There is no connection.";
    item.state = "failed";
  }
}

function retry(conversation, item) {
  item.state = "waiting";
  run(conversation);
}

function remove(conversation, item) {
  const items = queueOf(conversation);
  items.splice(items.indexOf(item), 1);
  save(conversation);
  draw();
  run(conversation);
}

// edit puts the text back before what is in the field.
function edit(conversation, item) {
  const field = document.querySelector(`form[data-queue="${conversation}"] [data-enter]`);
  if (!field) return;
  restoreDrafts();
  field.value = [item.text, field.value].filter(Boolean).join("\n");
  changed(field);
  remove(conversation, item);
  field.focus();
}

// draw shows the messages below the transcript of their conversation, and those that failed elsewhere above the page.
export function draw() {
  const elsewhere = [];
  for (const [conversation, items] of queues) {
    const place = document.querySelector(`[data-outbox="${conversation}"]`);
    for (const item of items.filter(({ state, message }) => state === "sent" && (!place || document.getElementById(`message-${message}`)))) {
      items.splice(items.indexOf(item), 1);
      save(conversation);
    }
    if (place) fill(place, items.map((item) => ({ conversation, item })));
    else elsewhere.push(...items.filter(({ state }) => state === "failed").map((item) => ({ conversation, item })));
  }
  const unsent = document.getElementById("unsent");
  if (!unsent) return;
  fill(unsent, elsewhere);
  unsent.hidden = elsewhere.length === 0;
}

function fill(place, wanted) {
  const now = new Map([...place.children].map((element) => [element.dataset.once, element]));
  const next = wanted.map(({ conversation, item }) => {
    const before = now.get(item.once);
    return before?.dataset.state === item.state ? before : bubble(conversation, item, place.id === "unsent");
  });
  if (next.length !== now.size || next.some((element, i) => element !== place.children[i])) place.replaceChildren(...next);
}

const said = { waiting: "Sending…", sending: "Sending…", sent: "Sent" };

function bubble(conversation, item, named) {
  const make = (name, of, text) => Object.assign(document.createElement(name), { className: of, textContent: text });
  const box = make("div", `message mine ${item.state}`, "");
  box.dataset.once = item.once;
  box.dataset.state = item.state;
  const by = make("p", "by", "");
  if (named) by.append(make("bdi", "", item.to ?? "the other side"), ": ");
  by.append(said[item.state] ?? `Not sent. ${item.why ?? ""}`);
  const text = make("p", "text", item.text);
  text.dir = "auto";
  box.append(by, text);
  if (item.state !== "failed") return box;
  by.setAttribute("role", "alert");
  const actions = make("p", "actions", "");
  const button = (label, act) => {
    const one = make("button", "quiet", label);
    one.type = "button";
    one.addEventListener("click", () => act(conversation, item));
    actions.append(one);
  };
  button("Retry", retry);
  if (document.querySelector(`form[data-queue="${conversation}"]`)) button("Edit", edit);
  button("Discard", remove);
  box.append(actions);
  return box;
}

// begin takes up what the tab has kept. The function is called after each delivery.
export function begin(after) {
  delivered = after;
  for (const key of Object.keys(sessionStorage)) {
    const [kind, owner, conversation] = key.split("|");
    if (kind !== "queue" || owner !== person) continue;
    queueOf(conversation);
    run(conversation);
  }
  draw();
}

document.addEventListener("submit", (event) => {
  if (!event.target.matches("form[data-queue]")) return;
  event.preventDefault();
  event.stopImmediatePropagation(); // htmx would send it too
  enqueue(event.target);
}, true);
