// Images as lists [row][column][color] of integers 0..255, and canvases.

/** Returns the factor by which an image is enlarged. */
export function scaleOf(image, size) {
  return Math.max(1, Math.floor(size / Math.max(image.length, image[0].length)));
}

/** Paints an image on a canvas, one canvas pixel for each of its pixels. */
export function paint(canvas, image) {
  const height = image.length;
  const width = image[0].length;
  canvas.width = width;
  canvas.height = height;
  const data = new ImageData(width, height);
  image.flat().forEach((pixel, index) => {
    const rgb = pixel.length >= 3 ? pixel.slice(0, 3) : Array(3).fill(pixel[0]);
    data.data.set([...rgb, 255], 4 * index);
  });
  canvas.getContext("2d").putImageData(data, 0, 0);
}

/** Returns a figure of an image; `onPick`, if given, is called when it is clicked. */
export function figureOf(image, caption, onPick) {
  const figure = document.createElement("figure");
  const canvas = document.createElement("canvas");
  canvas.setAttribute("role", "img");
  canvas.setAttribute("aria-label", `Image of ${caption}`);
  paint(canvas, image);
  const scale = scaleOf(image, 96);
  canvas.style.width = `${canvas.width * scale}px`;
  canvas.style.height = `${canvas.height * scale}px`;
  let shown = canvas;
  if (onPick) {
    shown = document.createElement("button");
    shown.type = "button";
    shown.title = "Edit this image";
    shown.append(canvas);
    shown.addEventListener("click", () => onPick(image, shown));
  }
  const text = document.createElement("figcaption");
  text.textContent = caption;
  figure.append(shown, text);
  return figure;
}
