// The pictures that were given, in the order they are worked through, and their cards.

import { Problem, predict } from "./api.js";
import { makeCard } from "./card.js";
import { count, explain, megabytes, spoken, wait } from "./words.js";

const AT_ONCE = 4;
const MOST_SCORES = 1000;
const KEPT_ANNOUNCEMENTS = 20;

const byId = (id) => document.getElementById(id);

/** Runs tasks in order, at most `width` at once. */
function makeQueue(width) {
  const waiting = [];
  let running = 0;
  async function next() {
    if (running >= width || waiting.length === 0) return;
    running += 1;
    await waiting.shift()();
    running -= 1;
    next();
  }
  return (task) => {
    waiting.push(task);
    next();
  };
}

function announce(words) {
  const line = document.createElement("p");
  line.textContent = words;
  byId("announcer").append(line);
  if (byId("announcer").children.length > KEPT_ANNOUNCEMENTS) byId("announcer").firstChild.remove();
}

// What the server would refuse anyway is not sent.
function check(source, { limits, key: keyNeeded }, key) {
  if (keyNeeded && !key) throw new Problem(401);
  if (source.bytes > limits.bytes) {
    const [size, most] = [source.bytes, limits.bytes].map(megabytes);
    throw new Problem(413, { detail: `It has ${size}; this server takes up to ${most}.` });
  }
}

/** `session`: {ready: promise of the model, key}. `onKeyNeeded()` asks for a key. */
export function makeResults(session, { onKeyNeeded }) {
  const jobs = new Set();
  const enqueue = makeQueue(AT_ONCE);

  function showProgress() {
    const open = [...jobs].filter((job) => !job.settled).length;
    byId("results").hidden = jobs.size === 0;
    byId("progress").textContent = open
      ? `${jobs.size - open} of ${jobs.size}`
      : count(jobs.size, "picture", "pictures");
  }

  const ask = (job, model, options) =>
    predict(job.source, {
      topK: Math.min(model.labels.length, MOST_SCORES),
      key: session.key,
      signal: job.abort.signal,
      ...options,
    });

  function fail(job, error) {
    // A mistake of the page's own is for whoever looks into the console.
    if (!(error instanceof Problem)) console.error(error);
    const problem = error instanceof Problem ? error : new Problem(500);
    const shown = explain(problem, Boolean(job.source.url));
    job.card.failed(shown);
    job.keyless = problem.status === 401;
    announce(`${job.source.name}: ${shown.title}`);
    if (job.keyless) onKeyNeeded();
  }

  async function work(job) {
    try {
      const model = await session.ready;
      if (job.abort.signal.aborted) return;
      check(job.source, model, session.key);
      job.card.looking();
      const answer = await ask(job, model, { onBusy: job.card.busy });
      job.card.answered(answer, model);
      announce(`${job.source.name}: ${spoken(answer)}`);
    } catch (error) {
      if (job.abort.signal.aborted) return;
      fail(job, error);
    }
    job.settled = true;
    showProgress();
  }

  function begin(job) {
    Object.assign(job, { settled: false, keyless: false });
    job.card.waiting();
    enqueue(() => work(job));
    showProgress();
  }

  async function heat(job) {
    try {
      const onBusy = (seconds) => job.card.say(`Busy, trying again in ${wait(seconds)}`);
      const answer = await ask(job, await session.ready, { explain: true, onBusy });
      job.card.say(answer.heatmap ? "" : "There is no heat map for this picture.");
      return answer.heatmap;
    } catch (error) {
      if (job.abort.signal.aborted) return null;
      const { title, words } = explain(error, false);
      job.card.say(`No heat map. ${title}: ${words}`);
      return null;
    }
  }

  function drop(job) {
    job.abort.abort();
    job.source.release?.();
    job.card.element.remove();
    jobs.delete(job);
  }

  function remove(job) {
    const next = job.card.element.nextElementSibling ?? job.card.element.previousElementSibling;
    drop(job);
    showProgress();
    [...jobs].find(({ card }) => card.element === next)?.card.focus();
    if (!next) byId("choose").focus();
  }

  function makeJob(source) {
    const job = { source, abort: new AbortController() };
    job.card = makeCard(source, {
      onRemove: () => remove(job),
      onRetry: () => {
        begin(job);
        job.card.focus();
      },
      onHeat: () => heat(job),
    });
    return job;
  }

  byId("clear").onclick = () => {
    jobs.forEach(drop);
    showProgress();
    byId("choose").focus();
  };

  return {
    /** What was given last stands first; what was given together keeps its order. */
    add(sources) {
      const added = sources.map(makeJob);
      byId("cards").prepend(...added.map((job) => job.card.element));
      added.forEach((job) => jobs.add(job));
      added.forEach(begin);
      byId("results").scrollIntoView({ block: "nearest" });
    },
    /** Once there is a key, what failed for want of one is sent again. */
    retryKeyless: () => [...jobs].filter((job) => job.keyless).forEach(begin),
  };
}
