// The page of the ticker. window.api comes from api/ape.js.

const $ = (id) => document.getElementById(id);

/** Trades that may be on the way to this page, or wait in it. */
const most = 16;
/** Milliseconds that a slow reader takes for a trade. */
const slowness = 400;
const shownTrades = 10;
const shownPrices = 60;

const whole = new Intl.NumberFormat();
const amount = new Intl.NumberFormat(undefined, { minimumFractionDigits: 2, maximumFractionDigits: 2 });
const few = new Intl.NumberFormat(undefined, { maximumFractionDigits: 1 });
const money = (cents) => amount.format(cents / 100);
const time = (at) => at.toLocaleTimeString([], { hour: "2-digit", minute: "2-digit", second: "2-digit" });
const frame = () => new Promise(requestAnimationFrame);
const pause = (ms) => new Promise((resolve) => setTimeout(resolve, ms));

// Prices: a channel for each share. A newcomer gets the last value at once.

async function watch(symbol, name) {
  const card = $("price").content.firstElementChild.cloneNode(true);
  card.id = `price-${symbol}`;
  card.querySelector(".symbol").textContent = symbol;
  card.querySelector("small").textContent = name;
  $("prices").append(card);
  const before = [];
  try {
    // Only the newest price is of use. In a hidden window there are no frames, and what comes meanwhile is dropped.
    for await (const quote of api.$.subscribe(`ticker/${symbol}`, { buffer: 1, drop: "oldest" })) {
      show(card, quote, before);
      await frame();
    }
  } catch (error) {
    card.querySelector(".change").textContent = error.message;
  }
}

function show(card, { price, change, at }, before) {
  before.push(price);
  if (before.length > shownPrices) before.shift();
  const percent = amount.format(Math.abs(change) / (price - change) * 100);
  card.dataset.way = change < 0 ? "down" : change > 0 ? "up" : "";
  card.title = `as of ${time(at)}`;
  card.querySelector(".amount").textContent = money(price);
  card.querySelector(".change").textContent = `${change < 0 ? "▼ −" : change > 0 ? "▲ +" : ""}${money(Math.abs(change))} (${percent} %)`;
  const [low, high] = [Math.min(...before), Math.max(...before)];
  const points = before.map((value, i) => `${100 * (1 - (before.length - 1 - i) / (shownPrices - 1))},${26 - 24 * ((value - low) / (high - low || 1))}`);
  card.querySelector("polyline").setAttribute("points", points.join(" "));
}

// Trades: a stream. The server produces no more than the window has room for, so a slow loop makes it slow.

/** The loop that runs, or nothing. */
let current;
let runs = 0;

async function tail(symbol) {
  const mine = (current = { run: ++runs, produced: 0, read: 0, at: [] });
  $("newest").replaceChildren();
  $("trouble").textContent = "";
  showTail();
  try {
    for await (const trade of api.trades.tail({ symbol, run: mine.run }, { window: most })) {
      if (mine !== current) break; // which stops the producer
      mine.read = trade.number;
      addTrade(trade);
      showMeter();
      if ($("slow").checked) await pause(slowness);
    }
  } catch (error) {
    if (mine === current) $("trouble").textContent = error.code === "lost" ? "The server has lost this stream. Start it again." : error.message;
  }
  if (mine !== current) return;
  current = undefined;
  showTail();
}

// Events know no backpressure: they tell how far the server is, even while it waits for us.
api.on("trades/produced", ({ run, count, over }) => {
  if (run !== runs) return;
  if (over && !current) showTail();
  if (!current) return;
  current.produced = count;
  current.at.push(performance.now());
  showMeter();
});

function showMeter() {
  const { produced, read } = current;
  const waiting = Math.max(0, produced - read);
  $("produced").textContent = whole.format(produced);
  $("read").textContent = whole.format(read);
  $("waiting").textContent = whole.format(waiting);
  $("window").firstElementChild.style.inlineSize = `${Math.min(1, waiting / most) * 100}%`;
}

/** Says what the producer does. It stops when it hears that we have left the loop. */
function showTail(otherwise = "stopped") {
  const state = current ? "running" : otherwise;
  $("producer").textContent = state;
  $("producer").dataset.state = state;
  $("go").textContent = current ? "Stop" : "Start";
}

/** How fast trades were produced in the last two seconds. */
setInterval(() => {
  if (!current) return;
  const since = performance.now() - 2000;
  current.at = current.at.filter((at) => at > since);
  $("producer").textContent = `${few.format(current.at.length / 2)} / s`;
}, 500);

function addTrade({ number, at, price, amount }) {
  const row = $("newest").insertRow(0);
  for (const text of [whole.format(number), time(at), money(price), whole.format(amount)]) row.insertCell().textContent = text;
  while ($("newest").rows.length > shownTrades) $("newest").deleteRow(-1);
}

$("tail").addEventListener("submit", (event) => {
  event.preventDefault();
  if (current) {
    current = undefined;
    showTail("stopping");
  } else {
    void tail($("tail-symbol").value);
  }
});
$("tail-symbol").addEventListener("change", ({ target }) => current && void tail(target.value));

api.trades.streams((count) => {
  $("streams").textContent = whole.format(count);
});

// Orders. While we wait for the answer to one, the server asks us to confirm it.

const verbs = { buy: ["Buy", "Bought"], sell: ["Sell", "Sold"] };

$("order").addEventListener("submit", async (event) => {
  event.preventDefault();
  const order = { side: $("side").value, symbol: $("order-symbol").value, quantity: $("quantity").valueAsNumber };
  $("refused").textContent = "";
  $("place").disabled = true;
  try {
    addOrder(await api.orders.place(order, { timeout: 60_000 }));
  } catch (error) {
    $("refused").textContent = error.code === "lost" ? "The connection was lost: whether the order was carried out is not known." : error.message;
  } finally {
    $("place").disabled = false;
  }
});

function addOrder({ number, side, symbol, quantity, price, total, at }) {
  const item = document.createElement("li");
  const text = `${whole.format(quantity)} ${symbol} at ${money(price)} = ${money(total)}`;
  item.textContent = number ? `${verbs[side][1]} ${text}` : `Not confirmed: ${side} ${text}`;
  item.classList.toggle("done", number > 0);
  item.append(Object.assign(document.createElement("time"), { dateTime: at.toISOString(), textContent: time(at) }));
  $("orders").prepend(item);
  $("no-orders").hidden = true;
}

const dialog = $("confirm");
$("yes").addEventListener("click", () => dialog.close("yes"));
$("no").addEventListener("click", () => dialog.close(""));

api.$.handle("confirm", ({ side, symbol, quantity, price, total, within }, { signal }) => {
  $("confirm-title").textContent = `${verbs[side][0]} ${whole.format(quantity)} ${symbol}?`;
  $("confirm-text").textContent = `At ${money(price)} a share that is ${money(total)}.`;
  const until = performance.now() + within;
  const left = () => ($("confirm-left").textContent = `The server waits for your answer: ${Math.max(0, Math.ceil((until - performance.now()) / 1000))} s`);
  left();
  const clock = setInterval(left, 1000);
  dialog.returnValue = "";
  dialog.showModal();
  // Nobody waits for the answer any more: too late, or the session is gone.
  signal.addEventListener("abort", () => dialog.close(""));
  return new Promise((resolve) => {
    dialog.addEventListener("close", () => {
      clearInterval(clock);
      resolve(dialog.returnValue === "yes");
    }, { once: true });
  });
});

// The connection.

const stateTexts = {
  connected: "Connected",
  connecting: "Connecting…",
  disconnected: "Connection lost, trying again…",
  walled: "The server does not answer, trying again…",
  offline: "No network",
  closing: "Leaving…",
};

api.onConnectionChange((state, { gap, final, code }) => {
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
  if (gap && !current) showTail(); // the word that it has stopped does not come any more
});

for (const { symbol, name } of await api.shares(null, { timeout: 0 })) {
  for (const id of ["tail-symbol", "order-symbol"]) $(id).add(new Option(symbol));
  void watch(symbol, name);
}
for (const id of ["go", "place"]) $(id).disabled = false;
