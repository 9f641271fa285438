// Texts of files reach the page as text nodes only: what is shown again is cloned, never parsed.
(() => {
  const byId = (id) => document.getElementById(id);
  const cards = [...document.querySelectorAll(".card")];
  const say = (text) => { byId("status").textContent = text; };

  for (const hidden of document.querySelectorAll("button[hidden], .tools")) hidden.hidden = false;

  byId("filter").addEventListener("input", (event) => {
    const words = event.target.value.toLowerCase().split(/\s+/);
    let shown = 0;
    for (const card of cards) {
      const text = card.textContent.toLowerCase();
      card.hidden = !words.every((word) => text.includes(word));
      shown += card.hidden ? 0 : 1;
    }
    say(`${shown} of ${cards.length} shown`);
  });

  for (const button of document.querySelectorAll(".copy")) {
    button.addEventListener("click", async () => {
      const command = button.previousElementSibling.textContent;
      const done = await copyText(command);
      button.focus();
      say(done ? `Copied: ${command}` : "Copying is not allowed here; select the command instead.");
    });
  }

  const dialog = byId("comparison");
  let first = null;

  function column(card) {
    const part = document.createElement("section");
    part.append(card.querySelector("h2").cloneNode(true), card.querySelector("img").cloneNode(true));
    part.firstChild.removeAttribute("id");
    const facts = card.querySelector("dl");
    if (facts) part.append(facts.cloneNode(true));
    return part;
  }

  // A fact differs where the other picture has no fact of that name and value.
  function mark(part, other) {
    const pairs = (from) => [...from.querySelectorAll("dt")].map(
      (term) => JSON.stringify([term.textContent, term.nextElementSibling.textContent]));
    const known = new Set(pairs(other));
    const values = part.querySelectorAll("dd");
    pairs(part).forEach((pair, n) => values[n].classList.toggle("differs", !known.has(pair)));
  }

  function choose(card, on) {
    card.classList.toggle("chosen", on);
    card.querySelector(".choose").setAttribute("aria-pressed", String(on));
  }

  for (const card of cards) {
    const button = card.querySelector(".choose");
    if (!button) continue;
    button.addEventListener("click", () => {
      if (first === card) {
        choose(card, false);
        first = null;
        say("");
        return;
      }
      if (!first) {
        first = card;
        choose(card, true);
        say(`${card.querySelector("h2").textContent}: choose another picture to compare it with`);
        return;
      }
      const parts = [column(first), column(card)];
      mark(parts[0], parts[1]);
      mark(parts[1], parts[0]);
      byId("pair").replaceChildren(...parts);
      dialog.showModal();
    });
  }

  byId("close").addEventListener("click", () => dialog.close());
  dialog.addEventListener("close", () => {
    if (first) choose(first, false);
    first = null;
    say("");
  });
})();
