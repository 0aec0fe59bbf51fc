// An animation of canvases, glimpse by glimpse.

import { figureOf, paint } from "./images.js";

const MILLISECONDS = 200;

/** Shows lists of canvases, all at the same glimpse. */
export class Player {
  /** @param byId Function that returns an element. */
  constructor(byId) {
    this.controls = byId("player");
    this.button = byId("play");
    this.slider = byId("glimpse");
    this.number = byId("glimpse-number");
    this.place = byId("watched");
    this.slider.addEventListener("input", () => {
      this.stop();
      this.repaint();
    });
    this.button.addEventListener("click", () =>
      this.timer ? this.stop() : this.start());
    this.clear();
  }

  /** Removes all canvases. */
  clear() {
    this.stop();
    this.canvases = [];
    this.place.replaceChildren();
    this.controls.hidden = true;
  }

  /** Shows `canvases`, a list of glimpses for each of `captions`, and plays them. */
  show(canvases, captions) {
    this.clear();
    this.canvases = canvases;
    this.place.replaceChildren(
      ...canvases.map((glimpses, index) => figureOf(glimpses[0], captions[index])));
    this.slider.max = canvases[0].length;
    this.controls.hidden = false;
    this.slider.value = this.slider.max;
    this.repaint();
    const still = matchMedia("(prefers-reduced-motion: reduce)").matches;
    if (!still) this.start();
  }

  start() {
    if (this.slider.value === this.slider.max) this.slider.value = 1;
    this.repaint();
    this.button.textContent = "Pause";
    this.timer = setInterval(() => {
      this.slider.value = Number(this.slider.value) + 1;
      this.repaint();
      if (this.slider.value === this.slider.max) this.stop();
    }, MILLISECONDS);
  }

  stop() {
    clearInterval(this.timer);
    this.timer = null;
    this.button.textContent = "Play";
  }

  repaint() {
    const glimpse = Number(this.slider.value);
    this.number.textContent = `${glimpse} of ${this.slider.max}`;
    this.place.querySelectorAll("canvas").forEach((canvas, index) =>
      paint(canvas, this.canvases[index][glimpse - 1]));
  }
}
