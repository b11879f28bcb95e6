// The switch between light, dark and what the system says.
// Invariant: the choice is kept for this browser; whoever draws with colours of their own is told of every change.

const KEY = "ferryman.theme";
const CHOICES = ["system", "light", "dark"];

export function followTheme(button) {
  const root = document.documentElement;
  const tell = () => document.dispatchEvent(new Event("ferryman:theme"));
  const show = () => {
    button.textContent = `Colours: ${root.dataset.theme ?? "system"}`;
  };
  button.addEventListener("click", () => {
    const next = CHOICES[(CHOICES.indexOf(root.dataset.theme ?? "system") + 1) % CHOICES.length];
    if (next === "system") delete root.dataset.theme;
    else root.dataset.theme = next;
    try {
      localStorage.setItem(KEY, next);
    } catch {
      // storage is switched off: the choice holds until the page is left
    }
    show();
    tell();
  });
  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", tell);
  show();
}
