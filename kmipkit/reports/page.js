
"use strict";
(() => {
  const form = document.getElementById("filters");
  const shown = document.getElementById("shown");
  const choices = [...form.querySelectorAll("[data-filter]")];
  const search = form.querySelector("[data-text]");
  const rows = [...document.querySelectorAll("#results tbody tr")].map((row) => ({
    row, tags: JSON.parse(row.dataset.tags), text: row.textContent.toLowerCase(),
  }));
  const apply = () => {
    const text = search.value.trim().toLowerCase();
    let number = 0;
    for (const { row, tags, text: own } of rows) {
      const fits = own.includes(text)
        && choices.every((each) => !each.value || tags[each.dataset.filter] === each.value);
      row.hidden = !fits;
      number += fits ? 1 : 0;
    }
    const state = new URLSearchParams(search.value ? { text: search.value } : {});
    for (const each of choices) if (each.value) state.set(each.dataset.filter, each.value);
    history.replaceState(null, "", state.size ? `#${state}` : location.pathname);
    shown.textContent = `${number} of ${rows.length}`;
  };
  form.addEventListener("input", apply);
  form.addEventListener("submit", (event) => event.preventDefault());
  window.addEventListener("beforeprint", () => {
    for (const each of document.querySelectorAll("details")) each.open = true;
  });
  // A link to the page may say what to show, as in report.html#Outcome=failed&text=Encrypt.
  const wanted = new URLSearchParams(location.hash.slice(1));
  search.value = wanted.get("text") ?? "";
  for (const each of choices) each.value = wanted.get(each.dataset.filter) ?? "";
  form.hidden = false;
  apply();
})();
