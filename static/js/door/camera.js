// Reads QR codes from the camera: with the browser's own reader where it has one, else with ours.

const EVERY = 120;
const SIDE = 640;
// A ticket that stays in view is one scan.
const SAME_CODE_AFTER = 3000;

async function makeReader() {
  const formats = (await window.BarcodeDetector?.getSupportedFormats().catch(() => [])) ?? [];
  if (formats.includes("qr_code")) {
    const detector = new window.BarcodeDetector({ formats: ["qr_code"] });
    return async (video) => (await detector.detect(video))[0]?.rawValue;
  }
  const { decodeQR } = await import("../vendor/qr-decode.js");
  const canvas = document.createElement("canvas");
  const picture = canvas.getContext("2d", { willReadFrequently: true });
  return async (video) => {
    // The middle of the picture, made small: it is what people aim at, and soon read.
    const side = Math.min(video.videoWidth, video.videoHeight);
    const [left, top] = [(video.videoWidth - side) / 2, (video.videoHeight - side) / 2];
    canvas.width = canvas.height = Math.min(side, SIDE);
    picture.drawImage(video, left, top, side, side, 0, 0, canvas.width, canvas.height);
    try {
      return decodeQR(picture.getImageData(0, 0, canvas.width, canvas.height));
    } catch {
      return undefined;
    }
  };
}

// Loaded ahead, so that it is there offline too.
let reader;
export const prepareReader = () => (reader ??= makeReader());

export class Camera {
  #stream = null;
  #device = null;
  #last = { code: "", seen: 0 };

  constructor(video, onCode) {
    Object.assign(this, { video, onCode });
  }

  // Raises what `getUserMedia` does where there is no camera, or nobody allows it.
  async start() {
    const wanted = this.#device ? { deviceId: { exact: this.#device } } : { facingMode: { ideal: "environment" } };
    this.#stream = await navigator.mediaDevices.getUserMedia({
      audio: false,
      video: { ...wanted, width: { ideal: 1280 }, height: { ideal: 720 } },
    });
    this.#device = this.#track.getSettings().deviceId ?? null;
    this.video.srcObject = this.#stream;
    await this.video.play();
    this.#read(this.#stream);
  }

  stop() {
    for (const track of this.#stream?.getTracks() ?? []) track.stop();
    this.#stream = this.video.srcObject = null;
  }

  get #track() {
    return this.#stream.getVideoTracks()[0];
  }

  get hasTorch() {
    return Boolean(this.#track.getCapabilities?.().torch);
  }

  setTorch(on) {
    return this.#track.applyConstraints({ advanced: [{ torch: on }] });
  }

  async others() {
    const devices = await navigator.mediaDevices.enumerateDevices();
    return devices.filter((device) => device.kind === "videoinput").map((device) => device.deviceId);
  }

  async switch() {
    const all = await this.others();
    this.#device = all[(all.indexOf(this.#device) + 1) % all.length];
    this.stop();
    await this.start();
  }

  async #read(stream) {
    const read = await prepareReader();
    while (this.#stream === stream) {
      const code = this.video.videoWidth ? await read(this.video) : undefined;
      if (code && this.#stream === stream) this.#found(code);
      await new Promise((resolve) => setTimeout(resolve, EVERY));
    }
  }

  #found(code) {
    const now = Date.now();
    const isNew = code !== this.#last.code || now - this.#last.seen > SAME_CODE_AFTER;
    this.#last = { code, seen: now };
    if (isNew) this.onCode(code);
  }
}
