// At the door: the screen stays on, and a swipe shows the booking's next ticket.

const SWIPE = 60;
let start = null;

async function stayAwake() {
  if (document.visibilityState !== "visible" || !("wakeLock" in navigator)) return;
  try {
    await navigator.wakeLock.request("screen");
  } catch {
    // A battery that is nearly empty is refused; the ticket is shown all the same.
  }
}

function swipeTo(dx, dy) {
  if (Math.abs(dx) < SWIPE || Math.abs(dx) < 2 * Math.abs(dy)) return;
  document.querySelector(`[data-swipe="${dx < 0 ? "left" : "right"}"]`)?.click();
}

if (document.querySelector("[data-pass]")) {
  stayAwake();
  // The browser lets go whenever the page is hidden.
  document.addEventListener("visibilitychange", stayAwake);
  document.addEventListener("touchstart", (event) => {
    start = event.touches.length === 1 ? event.touches[0] : null;
  }, { passive: true });
  document.addEventListener("touchend", (event) => {
    const end = event.changedTouches[0];
    if (start && event.touches.length === 0) swipeTo(end.clientX - start.clientX, end.clientY - start.clientY);
    start = null;
  }, { passive: true });
}
