// The door of one event: takes codes, asks the box office or decides alone, and hands in later.

import { Away, call } from "./api.js";
import { bindCamera } from "./camera-box.js";
import { HeldList } from "./held-list.js";
import { Queue } from "./queue.js";
import { keepShell } from "./shell.js";
import { showConnection, showCounts, showDoubles, showHeld, showSignedOut, showVerdict } from "./show.js";
import { forgetOnSignOut } from "./sign-out.js";
import { allowSound, sayNo, sayYes } from "./sound.js";
import { clearDoubles, forgetEverybody, loadDoubles } from "./store.js";

const REFRESH_EVERY = 10_000;
const CODE_LENGTH = 200;

const root = document.querySelector("[data-door-page]");
const { slug, api, event: eventId } = root.dataset;
const form = root.querySelector("[data-code-form]");
const codeField = form.querySelector("[data-code]");
const doorField = form.querySelector("[data-door]");
const list = new HeldList({ slug, api, event: eventId });
const queue = new Queue({ slug, api });
let isOnline = navigator.onLine;

const device = (localStorage["door-device"] ??= `device-${crypto.randomUUID().slice(0, 4)}`);
if (localStorage["door-name"]) doorField.value = localStorage["door-name"];

// --- A code ------------------------------------------------------------------

async function check(text) {
  const scan = {
    id: crypto.randomUUID(),
    code: text.trim().slice(0, CODE_LENGTH),
    door: doorField.value.trim() || doorField.defaultValue,
    device,
    scanned_at: list.now(),
  };
  // Once the connection is lost nobody waits for it: `keepUp` notices when it is back.
  if (!isOnline && list.about) return decideAlone(scan);
  try {
    tell({ ...(await online(() => call(api, scan))), scan });
  } catch (error) {
    // With the same id: what the box office did before its answer was lost is not done twice.
    if (error instanceof Away) await decideAlone(scan);
  }
}

async function decideAlone(scan) {
  if (!list.about) return tell({ result: "away", scan });
  const found = await list.decide(scan.code);
  await queue.add({ scan: { ...scan, result: found.result } });
  tell({ ...found, id: scan.id, scan });
}

async function tell(found) {
  (found.result === "admitted" ? sayYes : sayNo)();
  showVerdict(found, undo);
  codeField.value = "";
  if (found.result === "admitted") await list.mark(found.scan.code, { at: found.scan.scanned_at, door: found.scan.door });
  showState();
}

async function undo(found) {
  let undone;
  try {
    undone = await online(() => call(`${api}${found.id}/undo/`, {}));
  } catch (error) {
    if (!(error instanceof Away)) return;
    await queue.add({ undo: found.id });
    undone = { ...found, result: "undone" };
  }
  showVerdict(undone, undo);
  await list.mark(found.scan.code, {});
  showState();
}

// --- The connection ------------------------------------------------------------

// Runs a call and remembers whether it got through.
async function online(work) {
  try {
    const said = await work();
    setOnline(true);
    return said;
  } catch (error) {
    setOnline(!(error instanceof Away));
    if (error.isSignedOut) await signedOut();
    throw error;
  }
}

function setOnline(now) {
  isOnline = now;
  if (now) showSignedOut(false);
  showState();
}

async function signedOut() {
  showSignedOut(true);
  Object.assign(list, { about: null, tickets: new Map() });
  await forgetEverybody();
}

function showState() {
  showConnection({ isOnline, waiting: queue.waiting, hasList: Boolean(list.about) });
  if (!list.about) return;
  showCounts(list.sections());
  showHeld(list);
}

async function keepUp() {
  try {
    if (queue.waiting) await online(() => queue.handIn());
    await online(() => list.refresh());
    showDoubles((await loadDoubles()).filter((double) => double.slug === slug));
  } catch (error) {
    if (!(error instanceof Away) && !error.isSignedOut) throw error;
  }
  showState();
}

// --- The page -------------------------------------------------------------------

form.addEventListener("submit", (event) => {
  event.preventDefault();
  allowSound();
  if (codeField.value.trim()) check(codeField.value);
});
doorField.addEventListener("change", () => {
  localStorage["door-name"] = doorField.value.trim();
});
root.querySelector("[data-doubles-seen]").addEventListener("click", async () => {
  await clearDoubles();
  showDoubles([]);
});
window.addEventListener("online", keepUp);
window.addEventListener("offline", () => setOnline(false));

forgetOnSignOut(() => (list.isClosed = true));
const reader = bindCamera(root.querySelector("[data-camera]"), check);
await Promise.all([list.load(), queue.load()]);
showState();
await keepUp();
setInterval(keepUp, REFRESH_EVERY);
await reader;
await keepShell(root.dataset).catch(() => {});
root.dataset.ready = "true";
