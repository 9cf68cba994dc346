// Frames that are computed beforehand: a slider chooses one, a button plays them; between two frames places are straight.
const FRAMES_A_SECOND = 6;
let playing = 0; // the animation that runs, by the browser's number; 0: none

// Frame `at` of `count` is shown: `show(t)` draws frame t, which may lie between two, `name(frame)` says which it is, and
// `rest(frame)` is told where it stays.
function player(id, count, at, show, name, rest) {
  cancelAnimationFrame(playing);
  playing = 0;
  const [slider, button, said] = [byId(`${id}-frame`), byId(`${id}-play`), byId(`${id}-frame-at`)];
  let now = at;
  const draw = (t) => {
    now = t;
    slider.value = String(Math.round(t));
    slider.setAttribute("aria-valuetext", name(Math.round(t)));
    said.textContent = name(Math.round(t));
    show(t);
  };
  const settle = (frame) => { draw(frame); rest(frame); };
  const stop = () => { cancelAnimationFrame(playing); playing = 0; button.textContent = "Play"; };
  const play = () => {
    const [from, began] = [now >= count - 1 ? 0 : now, performance.now()];
    button.textContent = "Stop";
    const step = (time) => {
      const t = Math.min(count - 1, from + (FRAMES_A_SECOND * Math.max(0, time - began)) / 1000);
      if (t === count - 1) { stop(); settle(t); return; }
      draw(t);
      playing = requestAnimationFrame(step);
    };
    playing = requestAnimationFrame(step);
  };
  Object.assign(slider, { min: "0", max: String(count - 1), step: "1" });
  slider.oninput = () => { stop(); settle(Number(slider.value)); };
  button.onclick = () => { if (playing) { stop(); settle(Math.round(now)); } else play(); };
  button.textContent = "Play";
  draw(now);
}

// Numbers, or rows of them, of frame t, straight between two frames.
function between(frames, t) {
  const [before, part] = [Math.floor(t), t % 1];
  const mixed = (a, b) => (Array.isArray(a) ? a.map((value, i) => mixed(value, b[i])) : a + part * (b - a));
  return part ? mixed(frames[before], frames[before + 1]) : frames[before];
}
