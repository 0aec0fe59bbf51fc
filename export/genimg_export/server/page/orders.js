// Orders in which an OrientedModel draws the pixels of an image.

const CORNERS = ["top left", "top right", "bottom left", "bottom right"];

/** Returns the pixels of a mask as an order from 0 to 7 draws them, in a list. */
function inOrder(known, order) {
  let turned = order & 2 ? [...known].reverse() : known;
  if (order & 1) turned = turned.map((row) => [...row].reverse());
  if (order & 4) turned = turned[0].map((_, column) => turned.map((row) => row[column]));
  return turned.flat();
}

/**
 * Says which order completions have, and whether they are exact.
 * @param order Number from 0 to 7.
 * @param known Rows of 1 for kept pixels, and 0 for erased ones, of which there are some.
 */
export function describeOrder(order, known) {
  const lines = order & 4 ? "column by column" : "row by row";
  const pixels = inOrder(known, order);
  const later = pixels.slice(pixels.indexOf(0)).filter(Boolean).length;
  const drawn = `Drawn in order ${order}: ${lines} from the ${CORNERS[order & 3]}.`;
  if (later === 0) {
    return `${drawn} No kept pixel follows an erased one, so these are exact samples of ` +
      "the model.";
  }
  const follow = later === 1 ? "kept pixel follows" : "kept pixels follow";
  return `${drawn} ${later} ${follow} the first erased one.`;
}
