// Light, dark, or as the system says: set before the first paint, so that nothing flashes.
// Invariant: a classic script that blocks on purpose, and does nothing but this.

(() => {
  const chosen = (() => {
    try {
      return localStorage.getItem("ferryman.theme");
    } catch {
      return null; // storage may be switched off
    }
  })();
  if (chosen === "light" || chosen === "dark") document.documentElement.dataset.theme = chosen;
})();
