// Everything the page says about numbers and failures, in one place.

const NARROW_SPACE = "\u202f";

/** A probability as people read it; never a plain 0 or 100, which a model cannot promise. */
export function percent(probability) {
  if (probability >= 0.995) return `> 99${NARROW_SPACE}%`;
  if (probability < 0.005) return `< 1${NARROW_SPACE}%`;
  return `${Math.round(100 * probability)}${NARROW_SPACE}%`;
}

/** A measured share with one decimal, without its sign. */
export const share = (value) => (100 * value).toFixed(1);

export const megabytes = (bytes) => `${(bytes / 2 ** 20).toFixed(bytes % 2 ** 20 ? 1 : 0)} MB`;

export const count = (n, one, many) => `${n.toLocaleString("en")} ${n === 1 ? one : many}`;

export const day = (iso) =>
  new Intl.DateTimeFormat("en-GB", { dateStyle: "long" }).format(new Date(iso));

export function wait(seconds) {
  const whole = Math.ceil(seconds);
  return whole < 120 ? count(whole, "second", "seconds") : `${Math.ceil(whole / 60)} minutes`;
}

const AGAIN = true;
const PROBLEMS = {
  0: ["The server can’t be reached", "Check the connection, then try again.", AGAIN],
  400: ["The server did not understand this", ""],
  401: ["A key is needed", "Type the right key at the top of the page.", AGAIN],
  403: ["The server refuses this", ""],
  404: ["Not found", ""],
  408: ["Sending took too long", "A smaller picture or a better connection helps.", AGAIN],
  413: ["The picture is too large", "Make it smaller and try that."],
  415: ["This kind of file can’t be read", "JPEG, PNG and WebP always work."],
  422: ["This is not a picture it can read", "The file may be damaged, or no picture at all."],
  429: ["The server is busy", "Wait a little, then try again.", AGAIN],
  502: ["No usable answer came back", "Something between here and the model failed.", AGAIN],
  503: ["The server is busy", "Wait a little, then try again.", AGAIN],
  504: ["It took too long", "The server gave up waiting. It may work now.", AGAIN],
};
const ADDRESS_PROBLEMS = {
  403: ["The server may not look there", "It does not fetch pictures from this address."],
  404: ["No picture at this address", "Open it in a browser to see whether it is right."],
  502: ["The picture could not be fetched", "The other site gave no picture.", AGAIN],
  504: ["The other site took too long", "It may work now.", AGAIN],
};
const OTHER = ["Something went wrong on the server", "It is not the picture’s fault.", AGAIN];

/** What to show: {title, words, request, again}. The server's own words come first. */
export function explain(problem, fromAddress) {
  const known = (fromAddress && ADDRESS_PROBLEMS[problem.status]) || PROBLEMS[problem.status];
  const [title, fallback, again = false] = known ?? OTHER;
  return {
    title,
    words: problem.detail || fallback,
    request: problem.request && `Request ${problem.request}`,
    again,
  };
}

/** One line for a screen reader. */
export function spoken(answer) {
  const guess = `${answer.label}, ${percent(answer.probability)}`;
  return answer.unknown ? `none of these; nearest ${guess}` : guess;
}

/** The prediction set in words, or "" where the model gives none. */
export function setInWords(set) {
  if (!set) return "";
  if (set.length === 0) return "No label fits well enough.";
  return set.length === 1 ? `Only: ${set[0]}` : `One of: ${set.join(", ")}`;
}
