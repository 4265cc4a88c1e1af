// What people at the door see: the verdict, how full it is, and what went wrong. The words come with the page.

const page = document.querySelector("[data-door-page]");
const part = (name, within = document) => within.querySelector(`[data-${name}]`);
const words = (name) => part(`words-${name}`).innerHTML.trim();
const fill = (text, values) => text.replace(/\{(\w+)\}/g, (_all, name) => values[name] ?? "");

const locale = document.documentElement.lang;
const timeZone = page.dataset.timezone;
const clockFormat = new Intl.DateTimeFormat(locale, { hour: "2-digit", minute: "2-digit", timeZone });
const dayFormat = new Intl.DateTimeFormat(locale, { weekday: "short", day: "numeric", month: "short", year: "numeric", timeZone });
const clock = (moment) => clockFormat.format(new Date(moment));

// `found` is an answer of the API, or what the held list says in the same words.
export function showVerdict(found, onUndo) {
  const shown = part(`verdict-of="${found.result}"`).content.cloneNode(true);
  const verdict = shown.firstElementChild;
  setText(part("place", verdict), found.ticket?.place);
  setText(part("holder", verdict), found.ticket?.holder_name);
  setReason(verdict, found);
  part("undo", verdict)?.addEventListener("submit", (event) => {
    event.preventDefault();
    onUndo(found);
  });
  part("verdict").replaceChildren(shown);
  verdict.scrollIntoView?.({ block: "nearest" });
}

function setText(element, text) {
  element.textContent = text ?? "";
  element.hidden = !text;
}

function setReason(verdict, found) {
  const reason = verdict.querySelector(".verdict__why");
  if (!reason) return;
  const other = found.event;
  const values = {
    time: found.first && clock(found.first.at),
    door: found.first?.door,
    event: other?.title,
    day: other && dayFormat.format(new Date(other.starts_at)),
  };
  const hasFacts = found.result === "wrong_event" ? other : found.first;
  if (hasFacts && reason.dataset.why) reason.textContent = fill(reason.dataset.why, values);
  else if (found.genuine || found.result === "wrong_event") reason.textContent = reason.dataset.whyElse;
}

export function showConnection({ isOnline, waiting, hasList }) {
  const pill = part("connection");
  const offline = hasList ? (waiting ? "offline-waiting" : "offline") : "no-list";
  const text = fill(words(isOnline ? (waiting ? "waiting" : "online") : offline), { n: waiting });
  if (pill.textContent !== text) pill.textContent = text;
  pill.dataset.state = isOnline ? "online" : "offline";
  pill.hidden = false;
}

export function showCounts(sections) {
  const list = part("sections");
  const rows = new Map([...list.children].map((row) => [row.dataset.name, row]));
  for (const section of sections) {
    const row = rows.get(section.name) ?? newRow(list, section.name);
    setCount(row, section);
    part("bar", row).max = section.booked || 1;
    part("bar", row).value = section.entered;
  }
  const sum = (name) => sections.reduce((total, section) => total + section[name], 0);
  setCount(page.querySelector(".counts__total"), { booked: sum("booked"), entered: sum("entered") });
}

function newRow(list, name) {
  const row = part("section").content.cloneNode(true).firstElementChild;
  row.dataset.name = part("section-name", row).textContent = name;
  list.append(row);
  return row;
}

function setCount(row, { booked, entered }) {
  part("entered", row).textContent = entered;
  part("booked", row).textContent = booked;
}

export function showHeld(list) {
  const line = part("held");
  line.textContent = fill(line.dataset.words, { n: list.tickets.size, time: clock(list.about.fetched) });
  line.hidden = false;
}

export function showDoubles(doubles) {
  part("doubles").hidden = !doubles.length;
  part("doubles-list").replaceChildren(...doubles.map(doubleRow));
}

function doubleRow(double) {
  const row = part("double").content.cloneNode(true);
  part("place", row).textContent = double.ticket?.place ?? "";
  part("holder", row).textContent = double.ticket?.holder_name ?? "";
  const why = part("why", row);
  const result = part(`verdict-of="${double.result}"`).content.querySelector(".verdict__word").textContent;
  const values = { here: clock(double.here), time: double.first && clock(double.first.at), door: double.first?.door, result };
  why.textContent = fill(double.first ? why.dataset.why : why.dataset.whyElse, values);
  return row;
}

export function showSignedOut(isSignedOut) {
  part("signed-out").hidden = !isSignedOut;
}
