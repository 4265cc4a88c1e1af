// Signing out clears what this device holds of other people, before the page goes.

import { forgetEverybody } from "./store.js";

export function forgetOnSignOut(first = () => {}) {
  document.querySelector("[data-sign-out]")?.addEventListener("submit", async (event) => {
    if (event.defaultPrevented) return;
    event.preventDefault();
    first();
    await forgetEverybody().catch(() => {});
    event.target.submit();
  });
}
