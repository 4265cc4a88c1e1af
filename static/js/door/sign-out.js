// Signing out clears what this device holds of other people, before the page goes.

import { forgetEverybody } from "./store.js";

export function forgetOnSignOut() {
  document.querySelector("[data-sign-out]")?.addEventListener("submit", async (event) => {
    if (event.defaultPrevented) return;
    event.preventDefault();
    await forgetEverybody().catch(() => {});
    event.target.submit();
  });
}
