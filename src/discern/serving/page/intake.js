// The ways in: choose, drop, paste, address, example. Each ends in `take(sources)`.
//
// A source: {name, bytes, preview, open(signal) → Blob, release()}, or {name, url}.

import { getFile } from "./api.js";

const byId = (id) => document.getElementById(id);

/** A source for a file or a blob. */
export function fromFile(file, name = file.name) {
  const preview = URL.createObjectURL(file);
  const release = () => URL.revokeObjectURL(preview);
  return { name, bytes: file.size, preview, open: async () => file, release };
}

// An <img> sends no key: behind one, the picture is fetched first.
async function fromExample(address, name, key) {
  if (!key) return { name, preview: address, open: (signal) => getFile(address, { signal }) };
  const blob = await getFile(address, { key });
  return { name, preview: URL.createObjectURL(blob), open: async () => blob };
}

function readable(part) {
  try {
    return decodeURIComponent(part);
  } catch {
    return part; // a percent sign that begins no character
  }
}

function fromAddress(url) {
  const last = url.pathname.split("/").pop();
  return { name: readable(last) || url.host, url: url.href };
}

/** A web address in what somebody typed or pasted, or null. */
function parseAddress(text, { lenient = false } = {}) {
  const typed = text.trim();
  const whole = lenient && /^[^\s/:]+\.[^\s/]+\//.test(typed) ? `https://${typed}` : typed;
  if (!/^https?:\/\/\S+$/i.test(whole)) return null;
  return URL.canParse(whole) ? new URL(whole) : null;
}

// Folders come as entries, which have to be read while the drop is handled.
async function filesUnder(entry) {
  if (entry.name.startsWith(".")) return [];
  if (entry.isFile) return [await new Promise((done, fail) => entry.file(done, fail))];
  const reader = entry.createReader();
  const found = [];
  for (;;) {
    const batch = await new Promise((done, fail) => reader.readEntries(done, fail));
    if (batch.length === 0) return found;
    for (const child of batch) found.push(...(await filesUnder(child)));
  }
}

async function droppedFiles(transfer) {
  const entries = [...transfer.items].map((item) => item.webkitGetAsEntry?.()).filter(Boolean);
  if (!entries.some((entry) => entry.isDirectory)) return [...transfer.files];
  return (await Promise.all(entries.map(filesUnder))).flat();
}

function listenToDrops(takeFiles, takeAddress) {
  const root = document.documentElement;
  const wanted = ({ types }) => types.includes("Files") || types.includes("text/uri-list");
  addEventListener("dragover", (event) => {
    if (!wanted(event.dataTransfer)) return;
    event.preventDefault();
    event.dataTransfer.dropEffect = "copy";
    root.classList.add("dropping");
  });
  addEventListener("dragleave", (event) => {
    if (!event.relatedTarget) root.classList.remove("dropping");
  });
  addEventListener("drop", async (event) => {
    root.classList.remove("dropping");
    if (!wanted(event.dataTransfer)) return;
    event.preventDefault();
    // Read before the first await: the transfer is empty afterwards.
    const address = event.dataTransfer.getData("text/uri-list").split(/\r?\n/)[0];
    const files = await droppedFiles(event.dataTransfer);
    if (files.length) takeFiles(files);
    else takeAddress(parseAddress(address));
  });
}

function listenToPaste(takeFiles, takeAddress) {
  addEventListener("paste", (event) => {
    const { files } = event.clipboardData;
    const text = event.clipboardData.getData("text/plain");
    // Into a field, text is text, also where a picture of it comes along.
    if (event.target.matches?.("input") && text) return;
    if (files.length) takeFiles([...files], "Pasted picture");
    else takeAddress(parseAddress(text));
  });
}

function listenToField(takeAddress) {
  const field = byId("url");
  const complain = (words) => {
    byId("url-problem").textContent = words;
    field.toggleAttribute("aria-invalid", Boolean(words));
  };
  field.addEventListener("input", () => complain(""));
  byId("url-form").addEventListener("submit", (event) => {
    event.preventDefault();
    const url = parseAddress(field.value, { lenient: true });
    if (!url) {
      complain("An address starts with https:// and leads to a picture.");
      field.focus();
      return;
    }
    field.value = "";
    takeAddress(url);
  });
}

function listenToInput(id, takeFiles) {
  byId(id).addEventListener("change", ({ target }) => {
    if (target.files.length) takeFiles([...target.files]);
    target.value = ""; // the same file may be chosen again
  });
}

function exampleButton(source, take) {
  const { preview: src, name: alt } = source;
  const picture = Object.assign(new Image(), { src, alt, draggable: false });
  const button = Object.assign(document.createElement("button"), { type: "button" });
  button.append(picture);
  button.onclick = () => take([source]);
  const item = document.createElement("li");
  item.append(button);
  return item;
}

/** The model's own pictures, to click. */
export async function showExamples(addresses, take, key = "") {
  const opened = addresses.map((address, k) => fromExample(address, `Example ${k + 1}`, key));
  const sources = await Promise.all(opened);
  byId("example-list").replaceChildren(...sources.map((source) => exampleButton(source, take)));
  byId("examples").hidden = addresses.length === 0;
}

/** `take(sources)` gets the pictures, `takeUrl` says whether addresses may be given. */
export function listen({ take, mayFetch, notify }) {
  const takeFiles = (files, name) => take(files.map((file) => fromFile(file, name)));
  const takeAddress = async (url) => {
    if (!url) return;
    if (await mayFetch()) take([fromAddress(url)]);
    else notify("This server fetches no addresses. Save the picture, then give the file.");
  };
  byId("choose").onclick = () => byId("files").click();
  listenToInput("files", takeFiles);
  listenToInput("capture", takeFiles);
  listenToField(takeAddress);
  listenToDrops(takeFiles, takeAddress);
  listenToPaste(takeFiles, takeAddress);
}
