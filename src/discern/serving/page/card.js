// One picture and what became of it. It only shows; results.js decides.

import { percent, setInWords, wait } from "./words.js";

const SHOWN = 5;
const template = document.getElementById("card");

function bar([label, probability]) {
  const row = document.createElement("li");
  const [name, line, value] = ["name", "bar", "value"].map((kind) => {
    const cell = document.createElement("span");
    cell.className = kind;
    return cell;
  });
  name.textContent = label;
  name.dir = "auto";
  line.style.setProperty("--v", probability);
  value.textContent = percent(probability);
  row.append(name, line, value);
  return row;
}

// An object's keys that look like numbers come first in JavaScript, whatever the server's order.
const ranked = (scores) => Object.entries(scores).sort(([, a], [, b]) => b - a);

const extension = (name) => /\.(\w{1,5})$/.exec(name)?.[1].toUpperCase() ?? "File";

/** A card for a source, with `onRemove`, `onRetry` and `onHeat` for its buttons. */
export function makeCard(source, { onRemove, onRetry, onHeat }) {
  const element = template.content.firstElementChild.cloneNode(true);
  const part = (name) => element.querySelector(`[data-part="${name}"]`);
  const phase = (name, words = "") => {
    element.dataset.phase = name;
    part("state").textContent = words;
    part("outcome").hidden = name !== "answered";
    part("problem").hidden = name !== "failed";
  };

  function standIn(title, words) {
    part("stand-in-title").textContent = title;
    part("stand-in-words").textContent = words;
    part("stand-in").hidden = false;
    part("picture").parentElement.hidden = true;
  }

  function preview() {
    if (source.url) return standIn(new URL(source.url).host, "The server fetches the picture");
    // What the browser cannot draw, the server may still read.
    part("picture").addEventListener("error", () => standIn(extension(source.name), "No preview"));
    part("picture").src = source.preview;
  }

  function drawBars(rows) {
    const drawn = part("bars").children.length;
    part("bars").append(...rows.slice(drawn).map(bar));
    while (part("bars").children.length > rows.length) part("bars").lastChild.remove();
  }

  function offerAll(rows, labels) {
    const button = part("all");
    const more = rows.length === labels ? `All ${rows.length} labels` : `The first ${rows.length}`;
    const toggle = (open) => {
      drawBars(open ? rows : rows.slice(0, SHOWN));
      button.setAttribute("aria-expanded", open);
      button.textContent = open ? `Only the first ${SHOWN}` : more;
      // A long list scrolls, and a keyboard has to get into it.
      part("bars").classList.toggle("all", open);
      if (open) part("bars").tabIndex = 0;
      else part("bars").removeAttribute("tabindex");
    };
    toggle(false);
    button.hidden = rows.length <= SHOWN;
    button.onclick = () => toggle(button.getAttribute("aria-expanded") !== "true");
  }

  function remark(answer) {
    const nearest = `Nearest: ${answer.label}, ${percent(answer.probability)}`;
    const words = answer.unknown ? nearest : setInWords(answer.set);
    part("remark").textContent = words;
    part("remark").hidden = !words;
  }

  function offerHeat() {
    const button = part("heat");
    const layer = part("heatmap");
    const toggle = (visible) => {
      layer.hidden = !visible;
      button.textContent = visible ? "Hide heat map" : "Show heat map";
    };
    button.hidden = false;
    button.onclick = async () => {
      if (!layer.hidden || layer.src) return toggle(layer.hidden);
      button.disabled = true;
      button.textContent = "Working on it";
      const picture = await onHeat();
      button.disabled = false;
      if (picture) layer.src = picture;
      toggle(Boolean(picture));
    };
  }

  part("name").textContent = source.name;
  part("remove").setAttribute("aria-label", `Remove ${source.name}`);
  part("remove").onclick = onRemove;
  part("retry").setAttribute("aria-label", `Try again: ${source.name}`);
  part("retry").onclick = onRetry;
  preview();

  return {
    element,
    focus: () => part("remove").focus(),
    waiting: () => phase("waiting", "Waiting"),
    looking: () => phase("looking", "Looking"),
    busy: (seconds) => phase("looking", `Busy, trying again in ${wait(seconds)}`),
    say: (words) => (part("state").textContent = words),

    answered(answer, model) {
      phase("answered");
      element.classList.toggle("unknown", answer.unknown === true);
      part("label").textContent = answer.unknown ? "None of these" : answer.label;
      part("probability").textContent = answer.unknown ? "" : percent(answer.probability);
      remark(answer);
      offerAll(ranked(answer.scores), model.labels.length);
      // There has to be a picture to lay it over.
      if (model.explain && !source.url) offerHeat();
    },

    failed({ title, words, request, again }) {
      phase("failed");
      part("problem-title").textContent = title;
      part("problem-words").textContent = words;
      part("problem-request").textContent = request;
      part("retry").hidden = !again;
    },
  };
}
