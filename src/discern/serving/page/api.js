// Talking to the server: addresses are relative, so that it works under any path.

const RETRIES = 2;
const LONGEST_WAIT = 30; // seconds; where a server asks for more, the person decides
const USUAL_WAIT = 2;
const SHORTEST_WAIT = 0.3;

/** A request that failed: HTTP status (0: nothing came back), and what the server said. */
export class Problem extends Error {
  constructor(status, { detail = "", request = "", wait = USUAL_WAIT } = {}) {
    super(detail || `status ${status}`);
    Object.assign(this, { status, detail, request, wait });
  }
}

export const pause = (seconds, signal) =>
  new Promise((resolve, reject) => {
    const timer = setTimeout(resolve, 1000 * seconds);
    signal?.addEventListener("abort", () => {
      clearTimeout(timer);
      reject(signal.reason);
    });
  });

// Retry-After is a number of seconds or a date.
function waitOf(response) {
  const header = response.headers.get("Retry-After");
  if (!header) return USUAL_WAIT;
  const seconds = /^\d+$/.test(header) ? Number(header) : (Date.parse(header) - Date.now()) / 1000;
  return Number.isNaN(seconds) ? USUAL_WAIT : Math.max(SHORTEST_WAIT, seconds);
}

// A proxy's error page is HTML: then there are no words of the server's to show.
async function problemOf(response) {
  const body = await response.json().catch(() => ({}));
  return new Problem(response.status, {
    detail: body.detail,
    request: body.request_id,
    wait: waitOf(response),
  });
}

async function send(address, options) {
  let response;
  try {
    response = await fetch(address, { ...options, cache: "no-store" });
  } catch (error) {
    throw options.signal?.aborted ? error : new Problem(0);
  }
  if (!response.ok) throw await problemOf(response);
  return response;
}

const json = (response) =>
  response.json().catch(() => {
    throw new Problem(502);
  });

const headers = (key, type) => ({
  Accept: "application/json",
  ...(type && { "Content-Type": type }),
  ...(key && { "X-API-Key": key }),
});

export const getModel = async (key) => json(await send("model", { headers: headers(key) }));

/** One of the model's own files. */
export const getFile = async (address, { key, signal } = {}) =>
  (await send(address, { headers: key ? { "X-API-Key": key } : {}, signal })).blob();

async function request(source, { key, signal }) {
  const body = source.url ? JSON.stringify({ url: source.url }) : await source.open(signal);
  const type = source.url ? "application/json" : body.type;
  // Anything but a picture's type would be read as something else: the server looks for itself.
  const sent = source.url || type.startsWith("image/") ? type : "application/octet-stream";
  return { method: "POST", body, headers: headers(key, sent), signal };
}

/** The answer for one picture. A busy server is asked again, and `onBusy(seconds)` told. */
export async function predict(source, { topK, explain, key, signal, onBusy }) {
  const address = `predict?top_k=${topK}${explain ? "&explain=1" : ""}`;
  const options = await request(source, { key, signal });
  for (let left = RETRIES; ; left--) {
    try {
      return await json(await send(address, options));
    } catch (problem) {
      const busy = problem.status === 429 || problem.status === 503;
      if (!busy || left === 0 || problem.wait > LONGEST_WAIT) throw problem;
      onBusy(problem.wait);
      await pause(problem.wait, signal);
    }
  }
}
