{% load static %}// Serves the door's pages and what they are made of when the connection is lost.
// The pages themselves put both into the cache: see shell.js.

const SHELL = "door-shell";
const PATIENCE = 4000;

self.addEventListener("install", () => self.skipWaiting());
self.addEventListener("activate", (event) => event.waitUntil(self.clients.claim()));

self.addEventListener("fetch", (event) => {
  const { request } = event;
  const address = new URL(request.url);
  if (request.method !== "GET" || address.origin !== self.location.origin) return;
  if (request.mode === "navigate") event.respondWith(page(request));
  else if (address.pathname.startsWith("{% get_static_prefix %}")) event.respondWith(asset(request));
});

async function page(request) {
  const kept = await keptPage(request);
  if (!kept) return fetch(request);
  const late = new Promise((resolve) => setTimeout(resolve, PATIENCE));
  try {
    const answer = await Promise.race([fetch(request), late]);
    return answer && answer.status < 500 ? answer : kept;
  } catch {
    return kept;
  }
}

async function keptPage(request) {
  const cache = await caches.open(SHELL);
  return cache.match(request.url, { ignoreSearch: true, ignoreVary: true });
}

// Their names say what is in them, so what is kept is right.
async function asset(request) {
  const cache = await caches.open(SHELL);
  return (await cache.match(request.url, { ignoreVary: true })) ?? fetch(request);
}
