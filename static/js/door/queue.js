// Scans that were decided here, waiting to be handed in.

import { Away, call, Refused } from "./api.js";
import { dequeue, enqueue, loadQueue, saveDouble } from "./store.js";

const AT_ONCE = 100;

export class Queue {
  waiting = 0;
  #busy = false;

  constructor({ slug, api }) {
    Object.assign(this, { slug, api });
  }

  async load() {
    this.waiting = (await loadQueue(this.slug)).length;
  }

  async add(entry) {
    await enqueue({ ...entry, slug: this.slug });
    this.waiting += 1;
  }

  // Hands in all that waits, in its order. Raises what `call` does.
  async handIn() {
    if (this.#busy) return;
    this.#busy = true;
    try {
      for (let left = await loadQueue(this.slug); left.length; left = await loadQueue(this.slug)) {
        const done = left[0].undo ? await this.#undo(left[0]) : await this.#sync(left);
        await dequeue(done);
        this.waiting = left.length - done.length;
      }
    } finally {
      this.#busy = false;
      await this.load();
    }
  }

  async #undo(entry) {
    try {
      await call(`${this.api}${entry.undo}/undo/`, {});
    } catch (error) {
      // Somebody else did it, or there is nothing to undo: asking again would change nothing.
      if (error instanceof Away || error.isSignedOut) throw error;
    }
    return [entry];
  }

  async #sync(left) {
    const end = left.findIndex((entry) => entry.undo);
    const batch = left.slice(0, Math.min(end < 0 ? left.length : end, AT_ONCE));
    const answers = await this.#send(batch);
    for (const answer of answers) {
      const { scan } = batch.find((entry) => entry.scan.id === answer.id);
      if (answer.double_entry) await saveDouble({ ...answer, slug: this.slug, here: scan.scanned_at });
    }
    return batch;
  }

  // One scan that makes no sense shall not keep the others back.
  async #send(batch) {
    try {
      return (await call(`${this.api}sync/`, { scans: batch.map((entry) => entry.scan) })).results;
    } catch (error) {
      if (!(error instanceof Refused) || error.isSignedOut) throw error;
      if (batch.length === 1) return [];
      const half = Math.ceil(batch.length / 2);
      return [...(await this.#send(batch.slice(0, half))), ...(await this.#send(batch.slice(half)))];
    }
  }
}
