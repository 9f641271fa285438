// Every mixture is in the page: a choice of a picture for each component is a number in base
// `sources`, the first component its last digit.
(() => {
  const byId = (id) => document.getElementById(id);
  const data = JSON.parse(byId("data").textContent);
  const rows = [...document.querySelectorAll("tbody tr")];
  const say = (text) => { byId("status").textContent = text; };
  let taken = rows.map(() => 0);

  const number = (choice) => choice.reduceRight((sum, n) => sum * data.sources + n, 0);
  const source = (choice) => `data:image/png;base64,${data.pictures[data.shown[number(choice)]]}`;
  const withOne = (row, n) => taken.map((old, k) => (k === row ? n : old));

  // Each cell shows what a click on it would give.
  function show() {
    byId("mixture").src = source(taken);
    byId("mixture").alt = data.commands[number(taken)];
    byId("command").textContent = data.commands[number(taken)];
    rows.forEach((row, k) => {
      row.querySelectorAll("input").forEach((input, n) => {
        input.checked = taken[k] === n;
        input.nextElementSibling.src = source(withOne(k, n));
      });
    });
  }

  rows.forEach((row, k) => {
    row.querySelectorAll("input").forEach((input, n) => {
      input.addEventListener("change", () => {
        taken = withOne(k, n);
        show();
        say(`${row.cells[0].textContent}: ${input.getAttribute("aria-label")}`);
      });
    });
  });

  document.querySelectorAll("thead button").forEach((button, n) => {
    button.addEventListener("click", () => {
      taken = taken.map(() => n);
      show();
      say(`All of ${button.textContent}`);
    });
  });

  const button = document.querySelector(".copy");
  button.hidden = false;
  button.addEventListener("click", async () => {
    const command = byId("command").textContent;
    const done = await copyText(command);
    button.focus();
    say(done ? `Copied: ${command}` : "Copying is not allowed here; select the command instead.");
  });

  byId("table").hidden = false;
  show();
})();
