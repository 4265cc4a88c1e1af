// The event's list on this device: kept fresh while online, and what decides while offline.

import { isSignedByUs, keyOf, readCode } from "./code.js";
import { call } from "./api.js";
import { loadList, saveList, saveTicket } from "./store.js";

// A whole stadium's list takes its time.
const PATIENCE = 30_000;

export class HeldList {
  about = null;
  tickets = new Map();
  isClosed = false;

  constructor({ slug, api, event }) {
    Object.assign(this, { slug, api, event });
  }

  async load() {
    const kept = await loadList(this.slug);
    if (kept) Object.assign(this, kept);
  }

  // Raises what `call` does; the list is as it was then.
  async refresh() {
    const since = this.about ? `?since=${encodeURIComponent(this.about.version)}` : "";
    const { tickets, complete, ...about } = await call(this.api + since, null, PATIENCE);
    // An answer that comes after signing out is not for keeping.
    if (this.isClosed) return;
    if (complete) this.tickets = new Map();
    for (const ticket of tickets) this.tickets.set(ticket.key, ticket);
    const clock = Date.parse(about.server_time) - Date.now();
    this.about = { ...about, slug: this.slug, clock, fetched: new Date().toISOString() };
    await saveList(this.about, tickets, { complete });
  }

  // Now, by the server's clock as far as it is known.
  now() {
    return new Date(Date.now() + (this.about?.clock ?? 0)).toISOString();
  }

  // The answer the server would give, from what is held. `genuine` is a real ticket that is not on the list.
  async decide(text) {
    const read = readCode(text);
    if (!read) return { result: "unknown" };
    const signed = read.signature ? await isSignedByUs(read, this.about.public_key) : null;
    if (signed === false) return { result: "unknown" };
    if (read.event && read.event !== this.event) return { result: "wrong_event" };
    const ticket = this.tickets.get(await keyOf(read.code));
    if (!ticket) return { result: "unknown", genuine: signed === true };
    if (ticket.state === "refunded") return { result: "refunded", ticket };
    if (ticket.state === "booked") return { result: "admitted", ticket };
    return { result: "already_used", ticket, first: { at: ticket.checked_in_at, door: ticket.door } };
  }

  // Writes an admission, or its undoing, into the list. `code` is as it was read.
  async mark(code, { at, door }) {
    const read = readCode(code);
    const ticket = read && this.tickets.get(await keyOf(read.code));
    if (!ticket || ticket.state === "refunded") return;
    const used = { state: "used", checked_in_at: at, door };
    Object.assign(ticket, at ? used : { state: "booked", checked_in_at: null, door: "" });
    await saveTicket(this.slug, ticket);
  }

  // How many were sold and are in, for each section in the order of their names.
  sections() {
    const counts = new Map((this.about?.sections ?? []).map(({ name }) => [name, { name, booked: 0, entered: 0 }]));
    for (const { section, state } of this.tickets.values()) {
      if (state === "refunded") continue;
      if (!counts.has(section)) counts.set(section, { name: section, booked: 0, entered: 0 });
      const count = counts.get(section);
      count.booked += 1;
      if (state === "used") count.entered += 1;
    }
    return [...counts.values()];
  }
}
