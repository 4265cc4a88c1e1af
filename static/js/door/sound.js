// Yes and no, to hear and to feel.

let context;

// Sound needs a touch first; called from every one.
export function allowSound() {
  context ??= new (window.AudioContext ?? window.webkitAudioContext)();
  if (context.state === "suspended") context.resume();
}

function tone(frequency, start, length, type) {
  const oscillator = context.createOscillator();
  const volume = context.createGain();
  const begin = context.currentTime + start;
  oscillator.type = type;
  oscillator.frequency.value = frequency;
  volume.gain.setValueAtTime(0.25, begin);
  volume.gain.exponentialRampToValueAtTime(0.001, begin + length);
  oscillator.connect(volume).connect(context.destination);
  oscillator.start(begin);
  oscillator.stop(begin + length);
}

export function sayYes() {
  navigator.vibrate?.(60);
  if (!context) return;
  tone(880, 0, 0.12, "sine");
  tone(1320, 0.1, 0.22, "sine");
}

export function sayNo() {
  navigator.vibrate?.([200, 90, 200]);
  if (!context) return;
  tone(170, 0, 0.25, "square");
  tone(140, 0.28, 0.4, "square");
}
