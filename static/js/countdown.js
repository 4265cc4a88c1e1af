// The hold's clock. The server says how much is left, so that this machine's clock may be wrong.

const WARN_AT = 120_000;
let deadline = 0;
let warned = false;

const part = (name) => document.querySelector(`[data-clock${name}]`);

function start() {
  const clock = part("");
  if (!clock) return;
  deadline = Date.now() + Number(clock.dataset.left);
  warned = false;
  part("-said").textContent = "";
  tick();
}

function tick() {
  const left = Math.max(0, deadline - Date.now());
  const minutes = Math.floor(left / 60_000);
  const seconds = String(Math.floor((left % 60_000) / 1000)).padStart(2, "0");
  part("-left").textContent = `${minutes}:${seconds}`;
  part("").classList.toggle("clock--soon", left <= WARN_AT);
  if (left <= WARN_AT && left > 0 && !warned) warn();
  if (left === 0) window.location.reload();
}

function warn() {
  warned = true;
  part("-said").textContent = document.querySelector("template[data-clock-soon]").innerHTML.trim();
  part("-warning").showModal();
}

document.addEventListener("click", (event) => {
  if (event.target.closest("[data-close]")) part("-warning").close();
});
document.addEventListener("htmx:afterSwap", (event) => {
  if (event.target.id !== "clock") return;
  part("-warning").close();
  start();
});

if (part("")) {
  start();
  const timer = setInterval(() => {
    if (deadline <= Date.now()) clearInterval(timer);
    tick();
  }, 1000);
}
