// Requests to the server.

/** A failed request; its message is shown to the user. */
export class ServerError extends Error {}

async function answerOf(path, options) {
  let response;
  try {
    response = await fetch(path, options);
  } catch (error) {
    if (error.name === "AbortError") throw error;
    throw new ServerError("The server cannot be reached. Is it still running?");
  }
  const text = await response.text();
  let content;
  try {
    content = JSON.parse(text);
  } catch {
    throw new ServerError(`The server's answer (${response.status}) is not JSON.`);
  }
  if (!response.ok) throw new ServerError(`${content.error} (${response.status})`);
  return content;
}

/** Returns all models with their versions and labels. */
export async function listModels() {
  return (await answerOf("/v1/models")).models;
}

/** Returns the metadata of the model at `path`. */
export async function readMetadata(path) {
  return (await answerOf(`${path}/assets/metadata`)).metadata;
}

/**
 * Returns all outputs by name, an object for each of `rows`.
 * @param output Name of an output, which an answer without names holds.
 */
export async function predictAll(path, signature, rows, output, signal) {
  const { predictions } = await answerOf(`${path}:predict`, {
    method: "POST",
    headers: { "Content-Type": "application/json" },
    body: JSON.stringify({ signature_name: signature, instances: rows }),
    signal,
  });
  // The reply of a signature with one output omits its name.
  const named = predictions.every((row) => row !== null && output in Object(row));
  if (!named) return predictions.map((value) => ({ [output]: value }));
  if (predictions.some((row) => row.ok === false)) {
    throw new ServerError("The server refused a row: a value is out of range.");
  }
  return predictions;
}

/** Returns one output, a list with an element for each of `rows`. */
export async function predict(path, signature, rows, output, signal) {
  const predictions = await predictAll(path, signature, rows, output, signal);
  return predictions.map((row) => row[output]);
}
