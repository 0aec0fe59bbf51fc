// Refuses requests that harm TensorFlow Serving. It parses nested lists by recursion, so
// 20,000 levels end its process. With batching on, a request without examples blocks one
// of its few HTTP threads forever. The body is scanned as bytes, not parsed as JSON: only
// brackets outside strings count.

const MAX_DEPTH = 10; // {"instances": [{"images": [[[0]]]}]} has 6.

const SPACE = 0x20;
const QUOTE = 0x22;
const BACKSLASH = 0x5c;
const OPEN_LIST = 0x5b;
const CLOSE_LIST = 0x5d;
const OPEN_OBJECT = 0x7b;
const CLOSE_OBJECT = 0x7d;

function faultOf(body) {
    const size = body.length;
    let depth = 0;
    let last = 0; // The last byte outside strings that is not a space.
    for (let i = 0; i < size; i++) {
        const byte = body[i];
        if (byte < OPEN_LIST && byte !== QUOTE) { // Digits and commas, most of a body.
            if (byte > SPACE) {
                last = byte;
            }
            continue;
        }
        if (byte === QUOTE) {
            i++;
            while (i < size && body[i] !== QUOTE) {
                i += body[i] === BACKSLASH ? 2 : 1;
            }
        } else if (byte === OPEN_LIST || byte === OPEN_OBJECT) {
            depth++;
            if (depth > MAX_DEPTH) {
                return `lists and objects must be nested at most ${MAX_DEPTH} deep`;
            }
        } else if (byte === CLOSE_LIST || byte === CLOSE_OBJECT) {
            if (last === OPEN_LIST) {
                return 'a request must have at least one example; it has an empty list';
            }
            depth--;
        }
        last = byte;
    }
    return null;
}

function refuse(r, status, text) {
    r.headersOut['Content-Type'] = 'application/json';
    r.return(status, JSON.stringify({ error: text }));
}

// Passes a request on to TensorFlow Serving, or refuses it.
function predict(r) {
    // The server would decompress a body whose brackets were not counted.
    if (r.headersIn['Content-Encoding']) {
        refuse(r, 415, 'a request must not be compressed');
        return;
    }
    const fault = faultOf(r.requestBuffer || []);
    if (fault) {
        refuse(r, 400, fault);
    } else {
        r.internalRedirect('@tf_serving');
    }
}

export default { predict };
