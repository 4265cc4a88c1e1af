// Keeps this page and what it is made of, so that it opens without a connection too.

const SHELL = "door-shell";

export async function keepShell({ worker, static: prefix }) {
  if (!("serviceWorker" in navigator)) return;
  await navigator.serviceWorker.register(worker);
  const cache = await caches.open(SHELL);
  const answer = await fetch(location.pathname, { headers: { Accept: "text/html" } });
  if (answer.ok && !answer.redirected) await cache.put(location.pathname, answer);
  const loaded = performance.getEntriesByType("resource").map((entry) => new URL(entry.name));
  const linked = [...document.querySelectorAll("link[href]")].map((link) => new URL(link.href));
  const ours = [...loaded, ...linked].filter((url) => url.origin === location.origin && url.pathname.startsWith(prefix));
  await Promise.all([...new Set(ours.map((url) => url.href))].map(async (url) => {
    if (!(await cache.match(url, { ignoreVary: true }))) await cache.add(url);
  }));
}
