"use strict";
// Light or dark: as the system has it, until the reader chooses otherwise. Runs in the head, before anything is drawn.
(() => {
  const KEY = "halueval-theme", root = document.documentElement, system = matchMedia("(prefers-color-scheme: dark)");
  const remember = (chosen) => { // a browser may refuse storage to pages opened from a file
    try {
      if (chosen) localStorage.setItem(KEY, chosen); else localStorage.removeItem(KEY);
    } catch { /* then the choice lasts as long as the page */ }
  };
  let chosen = null;
  try { chosen = localStorage.getItem(KEY); } catch { /* the same */ }
  if (chosen !== "light" && chosen !== "dark") chosen = null;

  const now = () => chosen ?? (system.matches ? "dark" : "light");
  const show = () => {
    root.classList.remove("light", "dark");
    if (chosen) root.classList.add(chosen);
    const button = document.getElementById("theme");
    if (!button) return;
    button.hidden = false;
    button.textContent = now() === "dark" ? "Light colours" : "Dark colours";
  };
  show();
  system.addEventListener("change", show);
  document.addEventListener("DOMContentLoaded", () => {
    show();
    document.getElementById("theme")?.addEventListener("click", () => {
      const wanted = now() === "dark" ? "light" : "dark";
      chosen = wanted === (system.matches ? "dark" : "light") ? null : wanted;
      remember(chosen);
      show();
    });
  });
})();
