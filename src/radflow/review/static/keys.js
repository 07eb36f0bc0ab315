// Keys do what the page shows beside them: each element with data-key is pressed, or counted up.
"use strict";
document.addEventListener("keydown", (event) => {
  const isDigit = event.code.startsWith("Digit");
  const isTyping = event.target.matches("input:not([type=hidden]), textarea, select");
  if (event.ctrlKey || event.metaKey || event.altKey || event.repeat || isTyping) return;
  if (event.key === "Enter" && event.target.matches("a, button")) return; // they know what Enter means
  const key = (isDigit && event.shiftKey ? "shift+" : "") + (isDigit ? event.code.slice(5) : event.key);
  const wanted = [...document.querySelectorAll("[data-key]")].find((one) => one.dataset.key === key);
  if (!wanted) return;
  event.preventDefault();
  if (wanted.type === "number") wanted.stepUp();
  else wanted.click();
});
