// The page of the chat. window.api comes from api/ape.js.

const $ = (id) => document.getElementById(id);
const list = $("messages");
const text = $("text");
const scroll = $("scroll");

const mostMessages = 500;
const groupedWithin = 5 * 60_000;
const typingFor = 4_000;
const typingEvery = 2_000;
const timeout = 30_000;

let me = "";
/** When the others were told that we are typing. */
let toldAt = 0;

// What people say.

api.on("chat/message", (message) => {
  stopsTyping(message.name);
  if (!insert(message, true)) return;
  if (following) toEnd();
  else $("newest").hidden = false;
  if (document.hidden) unread(true);
});

/** Puts a message in its place. False when it is there already. */
function insert(message, fresh = false) {
  let after = list.lastElementChild;
  while (after && Number(after.dataset.id) > message.id) after = after.previousElementSibling;
  if (after?.dataset.id === String(message.id)) return false;
  const item = render(message);
  item.classList.toggle("fresh", fresh);
  place(item, after);
  while (list.children.length > mostMessages) list.firstElementChild.remove();
  return true;
}

/** Puts an item behind another one. What waits to be sent stays last: its id is infinite. */
function place(item, after) {
  if (after) after.after(item);
  else list.prepend(item);
  regroup(item);
  if (item.nextElementSibling) regroup(item.nextElementSibling);
  $("empty").hidden = true;
}

function render(message) {
  return fill($("message").content.firstElementChild.cloneNode(true), message);
}

function fill(item, { id, name, text, at }) {
  item.dataset.id = id;
  item.dataset.name = name;
  item.dataset.at = at.getTime();
  item.classList.toggle("own", name === me);
  item.style.setProperty("--hue", hueOf(name));
  item.querySelector(".face").textContent = initialOf(name);
  item.querySelector(".name").textContent = name;
  item.querySelector(".text").textContent = text;
  item.querySelector(".day").textContent = at.toLocaleDateString([], { weekday: "long", day: "numeric", month: "long" });
  const time = item.querySelector("time");
  time.dateTime = at.toISOString();
  time.textContent = at.toLocaleTimeString([], { hour: "numeric", minute: "2-digit" });
  return item;
}

/** Shows day and name only where they change. */
function regroup(item) {
  const before = item.previousElementSibling;
  const at = Number(item.dataset.at);
  const sameDay = before && new Date(at).toDateString() === new Date(Number(before.dataset.at)).toDateString();
  item.querySelector(".day").hidden = Boolean(sameDay);
  const follows = sameDay && before.dataset.name === item.dataset.name && at - before.dataset.at < groupedWithin;
  item.classList.toggle("follows", Boolean(follows));
}

function hueOf(name) {
  let hash = 7;
  for (const char of name.toLowerCase()) hash = (hash * 31 + char.codePointAt(0)) % 3600;
  return hash % 360;
}

function initialOf(name) {
  return [...name][0].toLocaleUpperCase();
}

// Saying something.

/** Whether the server knows our name, and who waits until it does. */
let joined = false;
let waiting = [];

function untilJoined() {
  return joined ? undefined : new Promise((resolve) => waiting.push(resolve));
}

$("composer").addEventListener("submit", (event) => {
  event.preventDefault();
  const said = text.value.trim();
  if (!said) return;
  text.value = "";
  toldAt = 0;
  fit();
  const item = render({ id: Infinity, name: me, text: said, at: new Date() });
  item.classList.add("fresh");
  place(item, list.lastElementChild);
  toEnd();
  deliver(item, said);
});

async function deliver(item, said) {
  const time = item.querySelector("time");
  item.classList.remove("failed");
  item.classList.add("pending");
  time.textContent = "Sending…";
  item.querySelector("button")?.remove();
  try {
    confirm(item, await send(said));
  } catch (error) {
    item.classList.replace("pending", "failed");
    time.textContent = `Not sent: ${error.message}`;
    const again = document.createElement("button");
    again.type = "button";
    again.textContent = "Try again";
    again.onclick = () => deliver(item, said);
    item.querySelector(".bubble").append(again);
  }
  if (following) toEnd();
}

/** The item is now a message like all others. It stays where it is if that is its place. */
function confirm(item, message) {
  item.classList.remove("pending");
  const before = item.previousElementSibling;
  if (!before || Number(before.dataset.id) < message.id) {
    regroup(fill(item, message));
  } else {
    item.remove();
    insert(message);
  }
}

async function send(said) {
  await untilJoined();
  try {
    return await api.chat.send({ text: said }, { timeout });
  } catch (error) {
    if (error.code !== "unauthenticated") throw error;
    // The session is a new one, and the message has overtaken our name.
    await untilJoined();
    return api.chat.send({ text: said }, { timeout });
  }
}

text.addEventListener("keydown", (event) => {
  if (event.key !== "Enter" || event.shiftKey || event.isComposing) return;
  event.preventDefault();
  $("composer").requestSubmit();
});

text.addEventListener("input", () => {
  fit();
  if (!text.value.trim() || Date.now() - toldAt < typingEvery || api.$.state !== "connected") return;
  toldAt = Date.now();
  api.$.send("chat/typing");
});

function fit() {
  text.style.height = "auto";
  text.style.height = `${text.scrollHeight + 2}px`;
  const left = text.maxLength - text.value.length;
  $("left").textContent = left < 200 ? `${left} characters left` : "";
}

// Who is typing, and who is here.

const typing = new Map();

api.on("chat/typing", (name) => {
  clearTimeout(typing.get(name));
  typing.set(name, setTimeout(stopsTyping, typingFor, name));
  showTyping();
});

function stopsTyping(name) {
  clearTimeout(typing.get(name));
  if (typing.delete(name)) showTyping();
}

function showTyping() {
  const names = [...typing.keys()];
  const who = names.length > 2 ? `${names.length} people are` : `${names.join(" and ")} ${names.length > 1 ? "are" : "is"}`;
  $("typing").firstElementChild.textContent = names.length ? `${who} typing…` : "";
}

let online = { names: [], guests: 0 };

api.chat.online((value) => {
  online = value;
  showOnline();
});

function showOnline() {
  const { names, guests } = online;
  $("people-count").textContent = names.length;
  $("people-title").textContent = `Online – ${names.length}`;
  $("names").replaceChildren(...names.map(person));
  $("guests").hidden = guests === 0;
  $("guests").textContent = guests === 1 ? "and one guest" : `and ${guests} guests`;
}

function person(name) {
  const item = document.createElement("li");
  const face = item.appendChild(document.createElement("span"));
  face.className = "face";
  face.ariaHidden = "true";
  face.textContent = initialOf(name);
  face.style.setProperty("--hue", hueOf(name));
  item.appendChild(document.createElement("span")).textContent = name;
  if (name === me) item.appendChild(document.createElement("small")).textContent = "you";
  return item;
}

$("people-button").addEventListener("click", () => showPeople(!document.body.classList.contains("people")));
addEventListener("keydown", ({ key }) => key === "Escape" && showPeople(false));

function showPeople(show) {
  document.body.classList.toggle("people", show);
  $("people-button").ariaExpanded = String(show);
}

// The name.

$("welcome").addEventListener("cancel", (event) => event.preventDefault());

$("join").addEventListener("submit", (event) => {
  event.preventDefault();
  join($("name").value);
});

async function join(name) {
  const button = $("join").querySelector("button");
  $("join-error").textContent = "";
  button.disabled = true;
  try {
    const answer = await api.chat.join({ name }, { timeout });
    me = answer.name;
    remember(me);
    for (const message of answer.history) insert(message);
    showOnline();
    joined = true;
    for (const go of waiting.splice(0)) go();
    if ($("welcome").open) {
      $("welcome").close();
      text.focus();
      toEnd();
    }
  } catch (error) {
    ask(error.message);
  } finally {
    button.disabled = false;
  }
}

function ask(why = "") {
  $("name").value ||= remembered("localStorage");
  $("join-error").textContent = why;
  if (!$("welcome").open) $("welcome").showModal();
}

// A reload goes on under the same name; a new tab proposes it.

function remember(name) {
  for (const store of ["sessionStorage", "localStorage"]) {
    try {
      window[store].setItem("chat-name", name);
    } catch {} // the browser keeps nothing
  }
}

function remembered(store) {
  try {
    return window[store].getItem("chat-name") ?? "";
  } catch {
    return "";
  }
}

// The connection.

const stateTexts = {
  connected: "Connected",
  connecting: "Connecting…",
  disconnected: "Connection lost, trying again…",
  walled: "The server does not answer, trying again…",
  offline: "No network",
  closing: "Leaving…",
};

api.onConnectionChange((state, { recovered, final, code }) => {
  const shown = $("state");
  shown.dataset.state = final ? "ended" : state;
  shown.firstElementChild.textContent = final ? `Disconnected (${code})` : stateTexts[state];
  shown.querySelector("button")?.remove();
  if (final && state === "disconnected") {
    const again = shown.appendChild(document.createElement("button"));
    again.type = "button";
    again.textContent = "Connect";
    again.onclick = () => api.$.connect();
  }
  if (state !== "connected" || recovered !== undefined) return;
  // A new session: nobody knows us there.
  joined = false;
  const name = me || remembered("sessionStorage");
  if (name) join(name);
});

if (!remembered("sessionStorage")) ask();

// Where we read.

/** New messages are followed until somebody scrolls up. */
let following = true;

function toEnd() {
  following = true;
  scroll.scrollTop = scroll.scrollHeight;
  $("newest").hidden = true;
}

scroll.addEventListener("scroll", () => {
  following = scroll.scrollHeight - scroll.scrollTop - scroll.clientHeight < 60;
  if (following) $("newest").hidden = true;
});
$("newest").addEventListener("click", toEnd);
new ResizeObserver(() => following && toEnd()).observe(scroll);

let count = 0;
function unread(more) {
  count = more ? count + 1 : 0;
  document.title = count ? `(${count}) Chat` : "Chat";
}
document.addEventListener("visibilitychange", () => document.hidden || unread(false));
