// The waveform above the audio element, and the times of the timeline as
// places to listen from.

// readPeaks takes peaks.json (left and right: min, max, min, max… in 8 bits):
// the louder of each pair, and the loudest of all, so that a quiet recording
// fills the picture too.
function readPeaks(json) {
  const loudest = (pairs) => {
    const values = [];
    for (let i = 0; i + 1 < pairs.length; i += 2) values.push(Math.max(-pairs[i], pairs[i + 1]));
    return values;
  };
  const left = loudest(json.left);
  const right = loudest(json.right);
  return { left, right, full: Math.max(16, ...left, ...right) };
}

function draw(canvas, peaks, played) {
  const ratio = window.devicePixelRatio || 1;
  const width = canvas.clientWidth;
  const height = canvas.clientHeight;
  canvas.width = Math.round(width * ratio);
  canvas.height = Math.round(height * ratio);
  const context = canvas.getContext('2d');
  context.scale(ratio, ratio);
  const style = getComputedStyle(canvas);
  const lanes = [[peaks.left, style.getPropertyValue('--left')], [peaks.right, style.getPropertyValue('--right')]];
  const half = height / 2;
  for (const [lane, [values, colour]] of lanes.entries()) {
    const middle = half * lane + half / 2;
    context.fillStyle = colour;
    for (let x = 0; x < width; x += 3) {
      const from = Math.floor((x / width) * values.length);
      const to = Math.max(from + 1, Math.floor(((x + 3) / width) * values.length));
      let peak = 0;
      for (let i = from; i < to && i < values.length; i++) peak = Math.max(peak, values[i]);
      const size = Math.max(1, (peak / peaks.full) * (half - 10));
      context.globalAlpha = x / width <= played ? 1 : 0.45;
      context.fillRect(x, middle - size / 2, 2, size);
    }
  }
  context.globalAlpha = 1;
  context.fillStyle = style.color;
  context.fillRect(Math.min(width - 1, played * width), 0, 1, height);
}

export async function startPlayer(page) {
  const audio = page.querySelector('audio');
  const wave = page.querySelector('.wave');
  if (!audio || !wave) return;
  let until = 0; // where a stage that is played by itself ends
  const play = (from, to) => {
    audio.currentTime = from;
    until = to;
    audio.play();
  };
  page.addEventListener('click', (event) => {
    const button = event.target.closest('button[data-sound]');
    if (button) play(Number(button.dataset.sound), Number(button.dataset.until || 0));
  });
  audio.addEventListener('timeupdate', () => {
    if (!until || audio.currentTime < until) return;
    until = 0;
    audio.pause();
  });
  const answer = await fetch(wave.dataset.peaks);
  if (!answer.ok) {
    wave.hidden = true;
    return;
  }
  const peaks = readPeaks(await answer.json());
  const canvas = wave.querySelector('canvas');
  const redraw = () => draw(canvas, peaks, audio.duration ? audio.currentTime / audio.duration : 0);
  canvas.addEventListener('click', (event) => {
    if (!audio.duration) return;
    play((event.offsetX / canvas.clientWidth) * audio.duration, 0);
  });
  let frame = 0;
  const run = () => {
    redraw();
    frame = audio.paused ? 0 : requestAnimationFrame(run);
  };
  audio.addEventListener('play', () => { if (!frame) run(); });
  for (const name of ['seeked', 'loadedmetadata', 'pause']) audio.addEventListener(name, redraw);
  new ResizeObserver(redraw).observe(canvas);
  wave.dataset.drawn = '';
}
