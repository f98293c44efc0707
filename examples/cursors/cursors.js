// The page of the cursors. window.api comes from api/ape.js.

const $ = (id) => document.getElementById(id);
const board = $("board");

/** Milliseconds between two places that are sent. */
const sendEvery = 40;
const mostLeft = 5;

// Who we are. A reload goes on under the same name and colour.

let me = stored();

async function enter(name = me.name) {
  me = await api.people.enter({ name, hue: me.hue });
  store(me);
  $("name").value = me.name;
  for (const field of $("me").elements) field.disabled = false;
  showPeople();
}

$("me").addEventListener("submit", async (event) => {
  event.preventDefault();
  $("error").textContent = "";
  try {
    await enter($("name").value);
  } catch (error) {
    $("error").textContent = error.message;
  }
});

function store({ name, hue }) {
  try {
    sessionStorage.setItem("cursors", JSON.stringify({ name, hue }));
  } catch {} // the browser keeps nothing
}

function stored() {
  try {
    return JSON.parse(sessionStorage.getItem("cursors")) ?? {};
  } catch {
    return {};
  }
}

// Who is here, and who has left.

let here = [];
let left = [];

api.people((people) => {
  const before = here;
  here = people;
  const gone = before.filter((person) => !isMe(person) && !isAmong(person, here));
  const come = here.filter((person) => !isMe(person) && !isAmong(person, before));
  const at = new Date();
  left = [...gone.map((person) => ({ ...person, at })), ...left].filter((person) => !isAmong(person, here)).slice(0, mostLeft);
  for (const id of cursors.keys()) if (!here.some((person) => person.id === id)) removeCursor(id);
  // The first list is no news.
  if (before.length) tellNews([...come.map(({ name }) => `${name} has come`), ...gone.map(({ name }) => `${name} has left`)]);
  showPeople();
});

/** Whether somebody is in a list, perhaps in a new session: a reload has the same name and colour. */
function isAmong({ id, name, hue }, list) {
  return list.some((other) => other.id === id || (other.name === name && other.hue === hue));
}

function tellNews(news) {
  if (news.length) $("news").textContent = news.join(", ");
}

function showPeople() {
  const [mine, others] = [here.filter(isMe), here.filter((person) => !isMe(person))];
  $("here-title").textContent = `Here – ${here.length}`;
  $("here").replaceChildren(...[...mine, ...others].map((person) => item(person, isMe(person) ? "you" : person.away ? "away" : "")));
  $("gone").hidden = left.length === 0;
  $("left").replaceChildren(...left.map((person) => item(person, person.at.toLocaleTimeString([], { hour: "numeric", minute: "2-digit" }))));
  document.title = others.length ? `(${here.length}) Cursors` : "Cursors";
  $("hint").hidden = others.length > 0;
  for (const person of others) dress(cursorOf(person.id), person);
}

function isMe({ id }) {
  return id === api.$.id;
}

function item(person, note) {
  const shown = $("person").content.firstElementChild.cloneNode(true);
  shown.classList.toggle("away", person.away && !isMe(person));
  shown.style.setProperty("--hue", person.hue);
  shown.querySelector(".face").textContent = [...person.name][0].toLocaleUpperCase();
  shown.querySelector(".name").textContent = person.name;
  shown.querySelector("small").textContent = note;
  return shown;
}

// The others' cursors. CSS moves them from one place to the next.

const cursors = new Map();

api.on("cursor/moved", ({ id, at }) => place(cursorOf(id), at));

function cursorOf(id) {
  let cursor = cursors.get(id);
  if (!cursor) {
    cursor = $("cursor").content.firstElementChild.cloneNode(true);
    cursor.hidden = true;
    cursors.set(id, cursor);
    board.append(cursor);
  }
  return cursor;
}

function removeCursor(id) {
  cursors.get(id).remove();
  cursors.delete(id);
}

function dress(cursor, { name, hue, away }) {
  cursor.querySelector("span").textContent = name;
  cursor.style.setProperty("--hue", hue);
  cursor.classList.toggle("away", away);
}

function place(cursor, at) {
  // It appears where it is, without a way there.
  cursor.classList.toggle("appears", cursor.hidden);
  cursor.hidden = !at;
  if (!at) return;
  cursor.style.setProperty("--x", at.x);
  cursor.style.setProperty("--y", at.y);
  cursor.classList.toggle("turned", at.x > 0.75);
}

// Our own. Places are sent with the frames, and no faster than others can see.

let mine = null;
let waiting = 0;
let sentAt = 0;
let sent = "null";

function point(at) {
  mine = at;
  waiting ||= requestAnimationFrame(send);
}

function send(now) {
  waiting = 0;
  const text = JSON.stringify(mine);
  // What is not sent now is old when the connection is back.
  if (text === sent || api.$.state !== "connected") return;
  if (now - sentAt < sendEvery) {
    waiting = requestAnimationFrame(send);
    return;
  }
  sentAt = now;
  sent = text;
  api.$.send("cursor/move", mine);
}

for (const type of ["pointermove", "pointerdown"]) {
  board.addEventListener(type, ({ clientX, clientY }) => {
    showOwn(false);
    const { left, top, width, height } = board.getBoundingClientRect();
    point({ x: part((clientX - left) / width), y: part((clientY - top) / height) });
  });
}
for (const type of ["pointerleave", "pointercancel"]) board.addEventListener(type, () => point(null));

function part(value) {
  return Math.round(Math.min(1, Math.max(0, value)) * 1e4) / 1e4;
}

// The keyboard has no pointer to look at, so the page shows one.

const steps = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1] };
const own = cursorOf("");
cursors.delete("");
own.classList.add("own");

board.addEventListener("keydown", (event) => {
  const step = steps[event.key];
  if (event.key === "Escape") {
    showOwn(false);
    point(null);
  }
  if (!step || event.ctrlKey || event.metaKey || event.altKey) return;
  event.preventDefault();
  const { x, y } = mine ?? { x: 0.5, y: 0.5 };
  const far = event.shiftKey ? 0.1 : 0.02;
  point({ x: part(x + step[0] * far), y: part(y + step[1] * far) });
  showOwn(true);
});
board.addEventListener("blur", () => own.hidden || (showOwn(false), point(null)));

function showOwn(show) {
  if (show || !own.hidden) place(own, show ? mine : null);
  if (show) dress(own, { name: "You", hue: me.hue ?? 0, away: false });
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

api.onConnectionChange(async (state, { recovered, final, code }) => {
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
  if (state !== "connected") return;
  if (recovered === undefined) {
    // A new session: nobody knows us there.
    sent = "null";
    try {
      await enter();
    } catch (error) {
      $("error").textContent = error.message;
    }
  }
  point(mine);
});
