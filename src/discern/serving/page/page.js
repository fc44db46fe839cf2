// The page from top to bottom: ask for the model, open the ways in, show what comes back.

import { showModel } from "./about.js";
import { getModel, pause } from "./api.js";
import { offerCamera } from "./camera.js";
import { showCode } from "./code.js";
import { fromFile, listen, showExamples } from "./intake.js";
import { makeResults } from "./results.js";
import { explain } from "./words.js";

const byId = (id) => document.getElementById(id);
const notify = (words) => (byId("notice").textContent = words);

const session = { ready: null, key: "" }; // memory only: a reload forgets it
const code = showCode();
const results = makeResults(session, { onKeyNeeded: askForKey });

function take(sources) {
  notify("");
  results.add(sources);
}

function askForKey() {
  byId("key-form").hidden = false;
  byId("key").focus();
}

const once = (id, event) =>
  new Promise((done) => byId(id).addEventListener(event, done, { once: true }));

// A server that is still starting says 503: then it is asked until it is ready.
async function modelWhenReady() {
  for (;;) {
    try {
      return await getModel(session.key);
    } catch (problem) {
      await remedy(problem);
    }
  }
}

async function remedy(problem) {
  if (problem.status === 503) {
    notify("The model is still loading. Pictures you give now are looked at when it is there.");
    return pause(problem.wait);
  }
  if (problem.status === 401) {
    askForKey();
    return once("key-form", "submit");
  }
  const { title, words } = explain(problem, false);
  notify(`${title}. ${words}`);
  byId("reconnect").hidden = false;
  await once("reconnect", "click");
  byId("reconnect").hidden = true;
}

async function load() {
  const model = await modelWhenReady();
  notify("");
  showModel(model, session);
  if (!model.key) showExamples(model.examples, take);
  code.update(model);
  byId("url-form").hidden = !model.fetch;
  byId("key-form").hidden = !model.key;
  return model;
}

async function stateOfKey(model) {
  if (!session.key) return "Kept in memory only, until this page is closed or loaded again.";
  try {
    await showExamples(model.examples, take, session.key);
    return "In use, and kept in memory only.";
  } catch (problem) {
    return problem.status === 401 ? "The server does not take this key." : explain(problem).title;
  }
}

byId("key-form").addEventListener("submit", async (event) => {
  event.preventDefault();
  session.key = byId("key").value.trim();
  results.retryKeyless();
  byId("key-state").textContent = await stateOfKey(await session.ready);
});

let photographs = 0;
offerCamera((picture) => take([fromFile(picture, `Photograph ${++photographs}`)]));
listen({ take, notify, mayFetch: async () => (await session.ready).fetch });
session.ready = load();
