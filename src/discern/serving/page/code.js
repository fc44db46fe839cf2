// The same request from a terminal, from Python and from JavaScript, ready to copy.

const byId = (id) => document.getElementById(id);
const FILE = "picture.jpg";
const ADDRESS = "https://example.com/picture.jpg";
const KEY = "YOUR-KEY";
const THANKS_MS = 2500;

const quoted = JSON.stringify; // a string literal in Python and in JavaScript
const shell = (text) => `'${text.replaceAll("'", `'\\''`)}'`;

function headerPairs(form, key) {
  const type = form === "url" ? "application/json" : "application/octet-stream";
  return [["Content-Type", type], ...(key ? [["X-API-Key", KEY]] : [])];
}

function curl(address, form, key) {
  const headers = headerPairs(form, key).map(([name, value]) => `-H ${shell(`${name}: ${value}`)}`);
  const body = form === "url" ? `-d ${shell(quoted({ url: ADDRESS }))}` : `--data-binary @${FILE}`;
  return [`curl ${shell(address)}`, ...headers, body].join(" \\\n  ");
}

function literal(form, key) {
  const pairs = headerPairs(form, key).map(([name, value]) => `${quoted(name)}: ${quoted(value)}`);
  return `{${pairs.join(", ")}}`;
}

function python(address, form, key) {
  const body = form === "url"
    ? `json.dumps({"url": ${quoted(ADDRESS)}}).encode()`
    : `Path(${quoted(FILE)}).read_bytes()`;
  return `import json
from urllib.request import Request, urlopen
${form === "url" ? "" : "from pathlib import Path\n"}
request = Request(
    ${quoted(address)},
    data=${body},
    headers=${literal(form, key)},
)
with urlopen(request) as response:
    answer = json.load(response)
print(answer["label"], answer["probability"])`;
}

function javascript(address, form, key) {
  const body = form === "url"
    ? `JSON.stringify({ url: ${quoted(ADDRESS)} })`
    : `await readFile(${quoted(FILE)})`;
  const head = form === "url" ? "" : 'import { readFile } from "node:fs/promises";\n\n';
  return `${head}const response = await fetch(${quoted(address)}, {
  method: "POST",
  headers: ${literal(form, key)},
  body: ${body},
});
const answer = await response.json();
console.log(answer.label, answer.probability);`;
}

const WRITERS = { curl, python, javascript };

const selected = () => document.querySelector('#tabs [aria-selected="true"]');

function write(model) {
  const form = document.querySelector('#form input:checked').value;
  const address = new URL("predict?top_k=5", location.href).href;
  byId("snippet").textContent = WRITERS[selected().dataset.language](address, form, model?.key);
  byId("copied").textContent = "";
}

// The clipboard belongs to secure pages; elsewhere, selecting and copying still works.
async function copy() {
  const text = byId("snippet");
  const modern = async () => navigator.clipboard.writeText(text.textContent).then(() => true);
  const old = () => {
    getSelection().selectAllChildren(text);
    return document.execCommand("copy");
  };
  const done = await modern().catch(old);
  byId("copied").textContent = done ? "Copied" : "Selected: copy it with the keyboard";
  setTimeout(() => (byId("copied").textContent = ""), THANKS_MS);
}

const STEPS = { ArrowRight: 1, ArrowDown: 1, ArrowLeft: -1, ArrowUp: -1 };

function listenToTabs(rewrite) {
  const tabs = [...byId("tabs").children];
  const select = (tab) => {
    tabs.forEach((other) => {
      other.setAttribute("aria-selected", other === tab);
      other.tabIndex = other === tab ? 0 : -1;
    });
    byId("snippet-panel").setAttribute("aria-labelledby", tab.id);
    rewrite();
  };
  byId("tabs").addEventListener("click", ({ target }) => {
    if (target.role === "tab") select(target);
  });
  byId("tabs").addEventListener("keydown", (event) => {
    const ends = { Home: tabs[0], End: tabs.at(-1) };
    const step = STEPS[event.key] ?? 0;
    const beside = tabs.at((tabs.indexOf(selected()) + step) % tabs.length);
    const next = ends[event.key] ?? (step && beside);
    if (!next) return;
    event.preventDefault();
    select(next);
    next.focus();
  });
}

/** Shows the snippets; call `.update(model)` once it is known. */
export function showCode() {
  let model = null;
  const rewrite = () => write(model);
  listenToTabs(rewrite);
  byId("form").addEventListener("change", rewrite);
  byId("copy").onclick = copy;
  rewrite();
  return {
    update(known) {
      model = known;
      byId("form").hidden = !known.fetch;
      rewrite();
    },
  };
}
