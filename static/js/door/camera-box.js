// The camera's box on the page: start, stop, light, the other camera.

import { Camera, prepareReader } from "./camera.js";
import { allowSound } from "./sound.js";

export function bindCamera(box, onCode) {
  if (!navigator.mediaDevices?.getUserMedia) return;
  const part = (name) => box.querySelector(`[data-${name}]`);
  const camera = new Camera(part("video"), onCode);

  function show(isOn) {
    for (const name of ["video", "frame", "tools"]) part(name).hidden = !isOn;
    part("start").hidden = isOn;
    box.toggleAttribute("data-on", isOn);
  }

  async function attempt(begin) {
    allowSound();
    part("trouble").hidden = true;
    try {
      await begin();
      show(true);
      part("torch").hidden = !camera.hasTorch;
      part("torch").setAttribute("aria-pressed", "false");
      part("switch").hidden = (await camera.others()).length < 2;
    } catch {
      show(false);
      part("trouble").hidden = false;
    }
  }

  part("start").addEventListener("click", () => attempt(() => camera.start()));
  part("switch").addEventListener("click", () => attempt(() => camera.switch()));
  part("stop").addEventListener("click", () => {
    camera.stop();
    show(false);
  });
  part("torch").addEventListener("click", async (event) => {
    const on = event.currentTarget.getAttribute("aria-pressed") !== "true";
    event.currentTarget.setAttribute("aria-pressed", String(on));
    await camera.setTorch(on).catch(() => {});
  });
  box.hidden = false;
  return prepareReader();
}
