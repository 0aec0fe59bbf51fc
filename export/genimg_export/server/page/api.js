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
  const listed = await answerOf("/v1/models");
  if (listed.models) return listed.models;
  // The proxy of TensorFlow Serving lists directories, and knows no labels.
  const models = await Promise.all(listed.map(async ({ name }) => {
    try {
      const status = await answerOf(`/v1/models/${encodeURIComponent(name)}`);
      return { name, versions: status.model_version_status, labels: {} };
    } catch {
      return null; // The server does not serve it.
    }
  }));
  return models.filter(Boolean);
}

/** Returns the metadata of the version of a model at `path`. */
export async function readMetadata(path) {
  return answerOf(`${path}/assets/metadata`);
}

/**
 * Returns all outputs by name, an object for each of `instances`.
 * @param output Name of the output, for a reply without names.
 */
export async function predictAll(path, signature, instances, output, signal) {
  const { predictions } = await answerOf(`${path}:predict`, {
    method: "POST",
    headers: { "Content-Type": "application/json" },
    body: JSON.stringify({ signature_name: signature, instances }),
    signal,
  });
  // The reply of a signature with one output omits its name.
  const named = predictions.every((value) => value !== null && output in Object(value));
  if (!named) return predictions.map((value) => ({ [output]: value }));
  return predictions;
}

/** Returns one output, a list with an element for each of `instances`. */
export async function predict(path, signature, instances, output, signal) {
  const predictions = await predictAll(path, signature, instances, output, signal);
  return predictions.map((prediction) => prediction[output]);
}
