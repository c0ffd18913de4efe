// Keys for the console. Everything here is also a button, a link or a field: the pages work
// without this file.
"use strict";

const typing = (target) =>
  target instanceof HTMLElement &&
  (target.isContentEditable || ["INPUT", "TEXTAREA", "SELECT"].includes(target.tagName));

const groups = [...document.querySelectorAll("fieldset[data-group]")];
const frames = [...document.querySelectorAll("a.frame[href]")];

function choose(key) {
  for (const group of groups) {
    group.classList.toggle("chosen", group.dataset.group === key);
  }
  const chosen = groups.find((group) => group.dataset.group === key);
  chosen?.querySelector("button")?.focus();
  return chosen !== undefined;
}

function reveal(frame) {
  const picture = frame.querySelector("img");
  picture.dataset.veiled ??= picture.src;
  picture.src = frame.href;
  picture.alt = picture.alt.replace(", veiled", "");
  frame.classList.add("shown");
}

function veil() {
  for (const frame of frames.filter((each) => each.classList.contains("shown"))) {
    const picture = frame.querySelector("img");
    picture.src = picture.dataset.veiled;
    picture.alt += ", veiled";
    frame.classList.remove("shown");
  }
}

for (const frame of frames) {
  frame.addEventListener("click", (event) => {
    event.preventDefault();
    if (frame.classList.contains("shown")) veil();
    else reveal(frame);
  });
}

// Whoever leaves the page, or looks elsewhere, leaves nothing open on the screen.
document.addEventListener("visibilitychange", () => document.hidden && veil());
window.addEventListener("blur", veil);
window.addEventListener("pagehide", veil);

document.addEventListener("keydown", (event) => {
  if (event.ctrlKey || event.metaKey || event.altKey || event.repeat) return;
  if (event.key === "Escape" && typing(event.target)) event.target.blur();
  if (typing(event.target)) return;
  const chosen = document.querySelector("fieldset.chosen");
  const number = Number.parseInt(event.key, 10);
  const act = document.querySelector(`[data-key="${CSS.escape(event.key)}"]`);
  if (chosen && number >= 1) chosen.querySelectorAll("button")[number - 1]?.click();
  else if (choose(event.key)) event.preventDefault();
  else if (event.key === "v") frames.find((each) => !each.classList.contains("shown"))?.click();
  else if (event.key === "h") veil();
  else if (event.key === "e" && act) askWhy(act);
  else act?.click();
});

// An officer needs to know why: the note comes first.
function askWhy(button) {
  const note = document.getElementById("note");
  if (note && !note.value.trim()) note.focus();
  else button.click();
}
