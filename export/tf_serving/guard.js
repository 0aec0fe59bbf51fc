// Refuses requests that no model can refuse: TensorFlow Serving parses nested lists by
// recursion, so 20,000 levels end its process. Nothing else of a body is read.

const DEEPEST = 32; // A batch of images has a depth of 6.
const MOST_STRINGS = 100000;

function change(character) {
    return { '[': 1, '{': 1, ']': -1, '}': -1 }[String.fromCharCode(character)] || 0;
}

function isDeep(body) {
    // By pairs of bytes: one by one, 4 MiB take 0.3 s.
    const pairs = new Uint16Array(body.buffer, body.byteOffset, body.length >> 1);
    const changes = new Int8Array(1 << 16);
    [91, 93, 123, 125].forEach((bracket) => {
        for (let other = 0; other < 256; other++) {
            changes[bracket | (other << 8)] += change(bracket);
            changes[other | (bracket << 8)] += change(bracket);
        }
    });
    let depth = 0;
    let start = 0;
    let strings = 0;
    while (start < body.length) {
        let quote = body.indexOf(34, start);
        const end = quote < 0 ? body.length : quote;
        if (start % 2) {
            depth += change(body[start++]);
        }
        for (let i = start >> 1; i < end >> 1; i++) {
            depth += changes[pairs[i]];
            if (depth > DEEPEST) {
                return true;
            }
        }
        if (end % 2 && start <= end) {
            depth += change(body[end - 1]);
        }
        // Brackets in a string do not count. Quotes after an odd number of backslashes
        // do not end it.
        let slashes = 1;
        while (quote >= 0 && slashes % 2) {
            quote = body.indexOf(34, quote + 1);
            for (slashes = 0; body[quote - 1 - slashes] === 92; slashes++);
            if (++strings > MOST_STRINGS) {
                return true;
            }
        }
        start = quote < 0 ? body.length : quote + 1;
    }
    return depth > DEEPEST;
}

function refuse(r, status, text) {
    r.headersOut['Content-Type'] = 'application/json';
    r.return(status, JSON.stringify({ error: text }));
}

// Passes a request on to TensorFlow Serving, or refuses it.
function predict(r) {
    let body;
    try {
        body = r.requestBuffer;
    } catch (error) { // In a file, since the headers of many chunks fill the buffer.
        refuse(r, 413, 'a large request must have a Content-Length');
        return;
    }
    if (r.headersIn['Content-Encoding']) { // The server would decompress it.
        refuse(r, 415, 'a request must not be compressed');
    } else if (body && body.length && isDeep(body)) {
        refuse(r, 400, `a request must have at most ${DEEPEST} levels of nested lists, and ${MOST_STRINGS} strings`);
    } else {
        r.internalRedirect('@tf_serving');
    }
}

export default { predict };
