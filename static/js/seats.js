// Counts the ticked seats and what they cost. Without this the form works the same.

function show(seats) {
  const sum = seats.querySelector("[data-sum]");
  if (!sum) return;
  sum.dataset.plain ??= sum.textContent;
  const chosen = [...seats.querySelectorAll("input[name=tickets]:checked")];
  const limit = Number(seats.dataset.limit);
  if (!chosen.length) {
    sum.textContent = sum.dataset.plain;
    return;
  }
  const price = chosen.reduce((total, box) => total + Number(box.dataset.price), 0) / 100;
  const money = new Intl.NumberFormat(document.documentElement.lang, {
    style: "currency",
    currency: seats.dataset.currency,
  });
  const words = (name) => seats.querySelector(`template[data-words-${name}]`).innerHTML.trim();
  const count = chosen.length === 1 ? words("one") : words("many").replace("%n", chosen.length);
  const over = chosen.length > limit ? ` · ${words("limit")}` : "";
  sum.textContent = `${count} · ${money.format(price)}${over}`;
}

const showAll = () => document.querySelectorAll("[data-seats]").forEach(show);

document.addEventListener("change", (event) => {
  const seats = event.target.closest("[data-seats]");
  if (seats) show(seats);
});
document.addEventListener("htmx:afterSettle", showAll);
window.addEventListener("pageshow", showAll);

// A refusal is the first thing to read.
document.getElementById("refusal")?.focus();
