// Lengths of texts. A field says how many characters its text has once it comes near what the server takes, and its form is
// not sent with more: nothing is cut. Characters are counted as the server counts them, by code points.
const number = new Intl.NumberFormat("en");

function measure(field) {
  const said = document.getElementById(`${field.id}-count`);
  if (!said) return;
  const most = Number(field.dataset.limit);
  const length = [...field.value].length;
  const over = length > most;
  const text = over || length > most * 0.9 ? `${number.format(length)} of ${number.format(most)} characters` : "";
  if (said.textContent !== text) said.textContent = text;
  said.hidden = text === "";
  said.classList.toggle("over", over);
  field.classList.toggle("over", over);
  field.setCustomValidity(over ? `This has ${number.format(length)} characters: shorten it to at most ${number.format(most)}.` : "");
}

// measureAll measures every field of the page. What sets the value of a field by a script calls it, or sends an input event.
export function measureAll() {
  for (const field of document.querySelectorAll("[data-limit]")) measure(field);
}

document.addEventListener("input", ({ target }) => { if (target.matches("[data-limit]")) measure(target); });
