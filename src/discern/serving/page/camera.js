// A live preview and a shutter; a phone's own camera where a page gets none (plain http).

const byId = (id) => document.getElementById(id);
const QUALITY = 0.92;

const REFUSALS = {
  NotAllowedError: "The browser was not allowed to use the camera. Allow it, or choose a file.",
  NotFoundError: "No camera was found. Choose a file instead.",
  NotReadableError: "The camera is in use by something else. Close that, or choose a file.",
};

const REFUSED = "The camera did not start. Choose a file instead.";

const say = (words) => {
  byId("camera-state").textContent = words;
  byId("shutter").disabled = Boolean(words);
};

function stop() {
  byId("video").srcObject?.getTracks().forEach((track) => track.stop());
  byId("video").srcObject = null;
}

async function start() {
  const dialog = byId("camera-dialog");
  say("Starting the camera");
  dialog.showModal();
  try {
    const video = { facingMode: "environment", width: { ideal: 1920 }, height: { ideal: 1440 } };
    const stream = await navigator.mediaDevices.getUserMedia({ video });
    byId("video").srcObject = stream;
    // Closed while the browser was asking.
    if (!dialog.open) return stop();
    await byId("video").play();
    say("");
    byId("shutter").focus();
  } catch (error) {
    if (dialog.open) say(REFUSALS[error.name] ?? REFUSED);
  }
}

function shoot() {
  const video = byId("video");
  const canvas = document.createElement("canvas");
  [canvas.width, canvas.height] = [video.videoWidth, video.videoHeight];
  canvas.getContext("2d").drawImage(video, 0, 0);
  return new Promise((done) => canvas.toBlob(done, "image/jpeg", QUALITY));
}

/** Offers the camera where there is one; `onPicture(blob)` gets what it takes. */
export function offerCamera(onPicture) {
  const live = Boolean(navigator.mediaDevices?.getUserMedia);
  const phone = matchMedia("(pointer: coarse)").matches;
  const dialog = byId("camera-dialog");
  byId("camera").hidden = !live && !phone;
  byId("camera").onclick = () => (live ? start() : byId("capture").click());
  byId("camera-close").onclick = () => dialog.close();
  byId("camera-choose").onclick = () => {
    dialog.close();
    byId(phone ? "capture" : "files").click();
  };
  byId("shutter").onclick = async () => {
    const picture = await shoot();
    dialog.close();
    onPicture(picture);
  };
  dialog.addEventListener("close", stop);
}
