// What the model is and how good it is.

import { getFile } from "./api.js";
import { count, day, explain, share } from "./words.js";

const byId = (id) => document.getElementById(id);
const FEW = 20;
const SAVING_MS = 60_000; // the browser reads the file after the click

const MODES = {
  frozen: "Frozen backbone",
  finetune: "Fine-tuned",
  scratch: "From scratch",
};

function fact(term, value, words = "") {
  const group = document.createElement("div");
  const [dt, dd] = ["dt", "dd"].map((tag) => document.createElement(tag));
  dt.textContent = term;
  dd.textContent = value;
  group.append(dt, dd);
  if (words) {
    const note = document.createElement("dd");
    note.className = "soft small";
    note.textContent = words;
    group.append(note);
  }
  return group;
}

function showScore({ split, n, accuracy, low, high }) {
  byId("accuracy").textContent = share(accuracy);
  const pictures = count(n, "picture", "pictures");
  byId("accuracy-words").textContent =
    `right on ${pictures} of the ${split} split, which it did not learn from.`;
  byId("accuracy-interval").textContent = `95 % interval ${share(low)} to ${share(high)} %`;
  const track = byId("track").style;
  track.setProperty("--low", low);
  track.setProperty("--high", high);
  track.setProperty("--v", accuracy);
}

function showFacts({ version, backbone, mode, created, metrics }) {
  const points = metrics && share(metrics.calibration_error);
  const facts = [
    metrics && fact(
      "Calibration error",
      `${points} %`,
      "How far its percentages are, on average, from how often it is right.",
    ),
    fact("Version", version),
    fact("Made", day(created)),
    fact("Backbone", backbone),
    fact("Training", MODES[mode] ?? mode),
  ];
  byId("facts").replaceChildren(...facts.filter(Boolean));
}

function drawLabels(labels) {
  const items = labels.map((label) => {
    const item = document.createElement("li");
    item.textContent = label;
    item.dir = "auto";
    return item;
  });
  byId("labels").replaceChildren(...items);
}

function showLabels(labels) {
  const button = byId("labels-more");
  byId("labels-title").textContent = count(labels.length, "label", "labels");
  const toggle = (open) => {
    drawLabels(open ? labels : labels.slice(0, FEW));
    button.setAttribute("aria-expanded", open);
    button.textContent = open ? `Only the first ${FEW}` : `All ${labels.length} labels`;
  };
  button.hidden = labels.length <= FEW;
  toggle(labels.length <= FEW);
  button.onclick = () => toggle(button.getAttribute("aria-expanded") !== "true");
}

// A link sends no key, and a fetched page would be bound by this page's policy: it is saved.
async function saveReport(address, key) {
  const href = URL.createObjectURL(await getFile(address, { key }));
  Object.assign(document.createElement("a"), { href, download: "report.html" }).click();
  setTimeout(() => URL.revokeObjectURL(href), SAVING_MS);
}

function showReport({ report, key: keyNeeded }, session) {
  const link = byId("report-link");
  byId("report").hidden = !report;
  if (!report) return;
  link.href = report;
  if (!keyNeeded) return;
  link.textContent = "Save the full report";
  byId("report-words").textContent = "Which labels it confuses, and more.";
  link.onclick = async (event) => {
    event.preventDefault();
    await saveReport(report, session.key).catch((problem) => {
      byId("report-words").textContent = `${explain(problem, false).title}.`;
    });
  };
}

/** Fills the section about the model, and its name at the top. */
export function showModel(model, session) {
  document.title = `${model.name} – discern`;
  byId("model-name").textContent = model.name;
  byId("model-version").textContent = `version ${model.version}`;
  byId("lede").textContent =
    `It answers with one of ${count(model.labels.length, "label", "labels")}, and how sure it is.`;
  byId("measured").hidden = !model.metrics;
  byId("unmeasured").hidden = Boolean(model.metrics);
  if (model.metrics) showScore(model.metrics);
  showFacts(model);
  showLabels(model.labels);
  showReport(model, session);
  byId("about-waiting").hidden = true;
  byId("about-body").hidden = false;
}
