// Makes and changes elements.
// Invariant: text goes into the page as text. Nothing here, or anywhere in the dashboard, parses markup; the page's
// policy (trusted types) would refuse it.

// h("a", {href: "#/", class: "x", onclick: f}, "text", node, null) makes an element; null and false children are left out.
export function h(name, properties = {}, ...children) {
  const made = document.createElement(name);
  for (const [key, value] of Object.entries(properties)) {
    if (value === null || value === undefined || value === false) continue;
    if (key.startsWith("on")) made.addEventListener(key.slice(2), value);
    else made.setAttribute(key, value === true ? "" : String(value));
  }
  fill(made, ...children);
  return made;
}

export function fill(node, ...children) {
  node.replaceChildren(...children.flat().filter((child) => child !== null && child !== undefined && child !== false));
  return node;
}

export function setText(node, text) {
  const wanted = String(text ?? "");
  if (node.textContent !== wanted) node.textContent = wanted;
  return node;
}

export function setAttribute(node, name, value) {
  if (value === null || value === undefined || value === false) node.removeAttribute(name);
  else if (node.getAttribute(name) !== String(value)) node.setAttribute(name, value);
}

let pressed = null; // between the press and the click; what is pressed must not be replaced, or the click is lost

document.addEventListener("pointerdown", ({ target }) => (pressed = target), true);
for (const type of ["pointerup", "pointercancel"]) document.addEventListener(type, () => setTimeout(() => (pressed = null)), true);

// Keeps one child of `parent` for each item, by key and in order. What has not changed stays, so that focus, selection
// and open details survive a refresh. `make(item)` gives a node; it is made again where `shape(item)` differs.
export function keep(parent, items, key, make, shape = JSON.stringify) {
  const known = new Map([...parent.children].map((child) => [child.dataset.key, child]));
  const focused = document.activeElement;
  let place = parent.firstElementChild;
  for (const item of items) {
    const name = String(key(item));
    const form = shape(item);
    let node = known.get(name);
    known.delete(name);
    if (node?.contains(pressed)) {
      // it is brought up to date by the next refresh
    } else if (node && node.keptShape !== form) {
      const fresh = made(make(item), form);
      const again = node.contains(focused) ? focusable(fresh)[focusable(node).indexOf(focused)] : null;
      if (place === node) place = fresh;
      node.replaceWith(fresh);
      again?.focus();
      node = fresh;
    }
    node ??= made(make(item), form);
    node.dataset.key = name;
    if (node === place) place = place.nextElementSibling;
    else parent.insertBefore(node, place);
  }
  for (const gone of known.values()) gone.remove();
}

function made(node, form) {
  node.keptShape = form;
  return node;
}

function focusable(node) {
  return [...node.querySelectorAll("a, button, summary, input, select, textarea, [tabindex]")];
}
