// What this device holds: the events' lists, scans that wait to be handed in, and double entries.

const NAME = "holdfast-door";
const STORES = { lists: { keyPath: "slug" }, tickets: { keyPath: ["slug", "key"] }, queue: { autoIncrement: true }, doubles: { keyPath: "id" } };
// A list is of no use the day after, and nobody's to keep.
const LIST_LASTS = 24 * 3600 * 1000;

let opened;

function open() {
  opened ??= new Promise((resolve, reject) => {
    const request = indexedDB.open(NAME, 1);
    request.onupgradeneeded = () => {
      for (const [store, options] of Object.entries(STORES)) request.result.createObjectStore(store, options);
    };
    request.onsuccess = () => resolve(request.result);
    request.onerror = () => reject(request.error);
  });
  return opened;
}

// Runs `work` with the stores in one transaction; answers once that is written.
async function within(names, mode, work) {
  const database = await open();
  return new Promise((resolve, reject) => {
    const transaction = database.transaction(names, mode);
    const request = work(...names.map((name) => transaction.objectStore(name)));
    transaction.oncomplete = () => resolve(request?.result);
    transaction.onerror = transaction.onabort = () => reject(transaction.error);
  });
}

const ofEvent = (slug) => IDBKeyRange.bound([slug], [slug, []]);

export async function loadList(slug) {
  const about = await within(["lists"], "readonly", (lists) => lists.get(slug));
  if (!about) return null;
  if (Date.now() - Date.parse(about.event.ends_at) > LIST_LASTS) {
    await dropList(slug);
    return null;
  }
  const rows = await within(["tickets"], "readonly", (tickets) => tickets.getAll(ofEvent(slug)));
  return { about, tickets: new Map(rows.map((ticket) => [ticket.key, ticket])) };
}

export function saveList(about, changed, { complete }) {
  return within(["lists", "tickets"], "readwrite", (lists, tickets) => {
    lists.put(about);
    if (complete) tickets.delete(ofEvent(about.slug));
    for (const ticket of changed) tickets.put({ ...ticket, slug: about.slug });
  });
}

export const saveTicket = (slug, ticket) => within(["tickets"], "readwrite", (tickets) => tickets.put({ ...ticket, slug }));

export function dropList(slug) {
  return within(["lists", "tickets"], "readwrite", (lists, tickets) => {
    lists.delete(slug);
    tickets.delete(ofEvent(slug));
  });
}

// Scans that wait are kept: they have no names in them, and would be lost.
export async function forgetEverybody() {
  await within(["lists", "tickets", "doubles"], "readwrite", (...stores) => {
    for (const store of stores) store.clear();
  });
  if ("caches" in window) await caches.delete("door-shell");
}

export async function loadQueue(slug) {
  const database = await open();
  return new Promise((resolve, reject) => {
    const found = [];
    const request = database.transaction("queue").objectStore("queue").openCursor();
    request.onerror = () => reject(request.error);
    request.onsuccess = () => {
      const cursor = request.result;
      if (!cursor) return resolve(found);
      if (cursor.value.slug === slug) found.push({ ...cursor.value, place: cursor.primaryKey });
      cursor.continue();
    };
  });
}

export const enqueue = (entry) => within(["queue"], "readwrite", (queue) => queue.add(entry));

export function dequeue(entries) {
  return within(["queue"], "readwrite", (queue) => {
    for (const entry of entries) queue.delete(entry.place);
  });
}

export const loadDoubles = () => within(["doubles"], "readonly", (doubles) => doubles.getAll());
export const saveDouble = (double) => within(["doubles"], "readwrite", (doubles) => doubles.put(double));
export const clearDoubles = () => within(["doubles"], "readwrite", (doubles) => doubles.clear());
