// The image whose pixels are kept or erased.

import { scaleOf } from "./images.js";

const HALVES = {
  upper: (row, column, height) => row < height / 2,
  lower: (row, column, height) => row >= height / 2,
  left: (row, column, height, width) => column < width / 2,
  right: (row, column, height, width) => column >= width / 2,
};

/** Shows an image on a canvas; a brush follows the pointer and erases, or restores. */
export class Editor {
  /**
   * @param canvas The canvas element.
   * @param brush The input element with the width of the brush in pixels.
   * @param action The select element, "1" for a brush that restores pixels.
   * @param onChange Called with the editor when the image, or what is known of it, has changed.
   */
  constructor(canvas, brush, action, onChange) {
    this.canvas = canvas;
    this.brush = brush;
    this.action = action;
    this.onChange = onChange;
    this.clear();
    canvas.addEventListener("pointerdown", (event) => {
      if (!this.image) return;
      canvas.setPointerCapture(event.pointerId);
      this.last = this.pixelAt(event);
      this.brushLine(this.last, this.last);
    });
    canvas.addEventListener("pointermove", (event) => {
      if (!this.image || !this.last) return;
      const now = this.pixelAt(event);
      this.brushLine(this.last, now);
      this.last = now;
    });
    for (const name of ["pointerup", "pointercancel"]) {
      canvas.addEventListener(name, () => { this.last = null; });
    }
  }

  /** Whether any pixel is erased. */
  get erased() {
    return this.known.some((row) => row.includes(0));
  }

  /** Empties the editor. */
  clear() {
    this.image = null;
    this.known = [];
    this.last = null;
    this.canvas.hidden = true;
    this.onChange(this);
  }

  /** Shows `image` with nothing erased. */
  show(image) {
    this.image = image;
    this.scale = scaleOf(image, 256);
    this.canvas.hidden = false;
    this.known = image.map((line) => line.map(() => 1));
    this.repaint();
  }

  /** Erases a half, "upper", "lower", "left" or "right". */
  eraseHalf(name) {
    const [height, width] = [this.image.length, this.image[0].length];
    this.setWhere((row, column) => HALVES[name](row, column, height, width), 0);
  }

  /** Keeps (1) or erases (0) the pixels for which `where(row, column)` holds. */
  setWhere(where, kept) {
    this.known = this.known.map((line, row) =>
      line.map((before, column) => (where(row, column) ? kept : before)));
    this.repaint();
  }

  pixelAt(event) {
    const box = this.canvas.getBoundingClientRect();
    return [
      ((event.clientY - box.top - this.canvas.clientTop) / this.scale),
      ((event.clientX - box.left - this.canvas.clientLeft) / this.scale),
    ];
  }

  /** Erases, or restores, the pixels within the brush along a line between two points. */
  brushLine([fromRow, fromColumn], [toRow, toColumn]) {
    const radius = Number(this.brush.value) / 2;
    const rows = toRow - fromRow;
    const columns = toColumn - fromColumn;
    const length = rows * rows + columns * columns;
    this.setWhere((row, column) => {
      // The point of the line that is nearest to the middle of the pixel.
      const down = row + 0.5 - fromRow;
      const right = column + 0.5 - fromColumn;
      const along = length ? (down * rows + right * columns) / length : 0;
      const share = Math.min(1, Math.max(0, along));
      return Math.max(
        Math.abs(down - share * rows), Math.abs(right - share * columns)) <= radius;
    }, Number(this.action.value));
  }

  repaint() {
    const scale = this.scale;
    this.canvas.width = this.image[0].length * scale;
    this.canvas.height = this.image.length * scale;
    const context = this.canvas.getContext("2d");
    this.image.forEach((line, row) => line.forEach((pixel, column) => {
      const [x, y] = [column * scale, row * scale];
      const rgb = pixel.length >= 3 ? pixel : Array(3).fill(pixel[0]);
      const known = this.known[row][column];
      context.fillStyle = known ? `rgb(${rgb.slice(0, 3).join()})` : "#f0b429";
      context.fillRect(x, y, scale, scale);
      if (known) return;
      context.strokeStyle = "#8a6100";  // A stroke, so that color is not the only cue.
      context.beginPath();
      context.moveTo(x, y + scale);
      context.lineTo(x + scale, y);
      context.stroke();
    }));
    this.onChange(this);
  }
}
