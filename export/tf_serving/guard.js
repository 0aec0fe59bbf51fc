// Refuses requests that do not fit their model, before TensorFlow Serving sees them. With
// batching on, the server merges the requests of several clients: one of another shape, or
// one that the model rejects, fails all of them, and one without examples blocks an HTTP
// thread forever. The server also parses nested lists by recursion, so 20,000 levels end
// its process.
//
// Publishing writes the rules, MODELS/NAME/request_rules.json. They are read at each
// request, since njs keeps nothing between requests.
//
// A body of 4 MiB holds a million lists such as [0], which take 400 MB as arrays of njs. So
// long lists of whole numbers stay text, which is only split at its commas.

import fs from 'fs';

const EXACT = 9007199254740991; // The largest integer that JavaScript tells from others.
// Of float32: the largest number, the smallest above 0, and the relative spacing.
const LARGEST = 3.4028234e38;
const SMALLEST = 1.1754944e-38;
const SPACING = 1.1920929e-7;
const FORMS = ['inputs', 'instances'];
const LONG = 256; // Characters of a list that stays text.
const MOST_NAMES = 5000;
const MOST_FORMS = 10000; // Of a number with the brackets and spaces around it.

function Fault(text) {
    this.text = text;
}

// A list that is still text.
function LongList(text) {
    this.text = text;
}

function parsed(text) {
    try {
        return JSON.parse(text);
    } catch (error) {
        throw new Fault('a request must be JSON, and not deeply nested');
    }
}

function refuse(r, status, text) {
    r.headersOut['Content-Type'] = 'application/json';
    r.return(status, JSON.stringify({ error: text }));
}

// Returns the rules by signature for the model and version that a path names.
function rulesOf(r) {
    const path = /^\/v1\/models\/([^/:]+)(?:\/versions\/([^/:]+))?/.exec(r.uri);
    const name = path[1];
    const version = path[2];
    let rules;
    try {
        const file = `${r.variables.models_dir}/${name}/request_rules.json`;
        rules = JSON.parse(fs.readFileSync(file, 'utf8'));
    } catch (error) {
        throw new Fault(`no model ${name} with a file request_rules.json that the proxy can read`);
    }
    if (version === undefined) {
        if (rules.any_version === null) {
            throw new Fault(`the versions of ${name} have different inputs; name a version`);
        }
        return rules.any_version;
    }
    if (!Object.prototype.hasOwnProperty.call(rules.versions, version)) {
        throw new Fault(`${name} has no version ${version}`);
    }
    return rules.versions[version];
}

function isObject(value) {
    return typeof value === 'object' && value !== null && !Array.isArray(value);
}

function checkSize(value, at, input, name) {
    if (!Array.isArray(value)) {
        throw new Fault(`${name} must have ${input.shape.length} axes; a list is missing`);
    }
    if (value.length === 0) {
        throw new Fault(`a request must have at least one example; ${name} has an empty list`);
    }
    const size = input.shape[at];
    if (size !== null && value.length !== size) {
        throw new Fault(`axis ${at} of ${name} must have size ${size}, not ${value.length}`);
    }
}

// Checks nested lists, from the axis `at` on, against sizes and range. Returns the length.
function checkLists(value, at, input, name) {
    if (value instanceof LongList) {
        if (input.staysText) {
            return checkText(value.text, at, input, name);
        }
        return checkLists(parsed(value.text), at, input, name);
    }
    checkSize(value, at, input, name);
    if (at + 1 === input.shape.length) {
        checkNumbers(value, input, name);
        return value.length;
    }
    let length;
    for (let i = 0; i < value.length; i++) {
        const found = checkLists(value[i], at + 1, input, name);
        if (length !== undefined && found !== length) {
            throw new Fault(`lists of ${name} have different lengths`);
        }
        length = found;
    }
    return value.length;
}

// Returns how many brackets open before and close after each number of an example.
function bracketsOf(sizes) {
    let brackets = [];
    for (let k = 0; k < sizes.reduce((product, size) => product * size, 1); k++) {
        let opening = 0;
        let closing = 0;
        let block = 1;
        for (let axis = sizes.length - 1; axis >= 0; axis--) {
            block *= sizes[axis];
            opening += k % block === 0;
            closing += (k + 1) % block === 0;
        }
        brackets.push(opening * 16 + closing);
    }
    return brackets;
}

// Returns the brackets around a number, if it is in its range and nothing else is there.
function bracketsAround(text, input) {
    const found = /^((?:\s*\[)*)\s*(-?(?:0|[1-9]\d*))((?:\s*\])*)\s*$/.exec(text);
    if (!found || !(Number(found[2]) >= input.least && Number(found[2]) <= input.most)) {
        return -1;
    }
    return (found[1].split('[').length - 1) * 16 + found[3].split(']').length - 1;
}

// Does the same for a list that is text. What stands between commas is mostly alike.
function checkText(text, at, input, name) {
    if (input.brackets[at] === undefined) {
        input.brackets[at] = bracketsOf(input.shape.slice(Math.max(at, 1)));
    }
    const brackets = input.brackets[at];
    const known = input.known;
    const parts = (at > 0 ? text : text.slice(1, -1)).split(',');
    const last = brackets.length - 1;
    let k = 0;
    for (let i = 0; i < parts.length; i++) {
        const part = parts[i];
        let around = known[part];
        if (around === undefined) {
            input.forms++;
            around = known[part] = input.forms > MOST_FORMS ? -1 : bracketsAround(part, input);
        }
        if (around !== brackets[k]) {
            const sizes = ['any'].concat(input.shape.slice(1)).join(', ');
            throw new Fault(`${name} must have the shape [${sizes}], and whole numbers in its range`);
        }
        k = k === last ? 0 : k + 1;
    }
    const examples = parts.length / brackets.length;
    if (k !== 0 || (at > 0 && examples !== 1)) {
        throw new Fault(`lists of ${name} have different lengths`);
    }
    return at > 0 ? input.shape[at] : examples;
}

function checkNumbers(list, input, name) {
    for (let i = 0; i < list.length; i++) {
        const number = list[i];
        if (Array.isArray(number) || number instanceof LongList) {
            throw new Fault(`${name} must have ${input.shape.length} axes, not more`);
        }
        if (typeof number !== 'number') {
            throw new Fault(`${name} must have numbers, not values of type ${typeof number}`);
        }
        if (!(number >= input.least && number <= input.most)) {
            throw new Fault(`${name} must be in its range, which ${number} is not`);
        }
        if (input.whole && number % 1 !== 0) {
            throw new Fault(`${name} must have whole numbers, not ${number}`);
        }
    }
}

// Returns an input with the ends of its range as numbers that comparisons can use.
function withEnds(input) {
    const whole = input.dtype.indexOf('int') >= 0;
    let least = whole ? -Infinity : -LARGEST;
    let most = whole ? Infinity : LARGEST;
    if (typeof input.low === 'number') {
        least = input.low;
        if (input.low_open) {
            least += whole ? 1 : Math.max(SMALLEST, Math.abs(least) * SPACING);
        }
    }
    if (typeof input.high === 'number') {
        most = input.high;
        if (input.high_open) {
            most -= whole ? 1 : Math.max(SMALLEST, Math.abs(most) * SPACING);
        }
        if (most > EXACT) { // It stands for its neighbors too, which may be too large.
            most -= most * Number.EPSILON;
        }
    }
    const fixed = whole && input.shape.length > 1 && input.shape.indexOf(null, 1) < 0;
    return {
        shape: input.shape,
        whole: whole,
        least: least,
        most: most,
        staysText: fixed,
        // What `checkText` has found: brackets by axis, and by text around a number.
        brackets: {},
        known: {},
        forms: 0,
    };
}

// Returns the values of each input, with the examples of rows put into columns.
function columnsOf(request, names, unpacked) {
    const columns = {};
    if (isObject(request.inputs)) {
        Object.keys(request.inputs).forEach((key) => {
            columns[key] = unpacked(request.inputs[key]);
        });
        return columns;
    }
    const form = request.inputs === undefined ? 'instances' : 'inputs';
    const values = unpacked(request[form]);
    if (names.length === 1 && (form === 'inputs' || values instanceof LongList)) {
        columns[names[0]] = values;
        return columns;
    }
    const fields = names.join(', ');
    if (form === 'inputs' || values instanceof LongList) {
        throw new Fault(`${form} must have the fields ${fields}`);
    }
    if (!Array.isArray(values)) {
        throw new Fault('instances must be a list');
    }
    if (values.length === 0) {
        throw new Fault('a request must have at least one example; it has an empty list');
    }
    names.forEach((name) => {
        columns[name] = [];
    });
    const bare = names.length === 1 && !isObject(values[0]); // And so must be all others.
    values.forEach((row) => {
        if (bare) {
            columns[names[0]].push(unpacked(row));
            return;
        }
        const keys = isObject(row) ? Object.keys(row) : [];
        if (keys.length !== names.length || keys.some((key) => names.indexOf(key) < 0)) {
            throw new Fault(`instances must have the fields ${fields}`);
        }
        keys.forEach((key) => {
            columns[key].push(unpacked(row[key]));
        });
    });
    return columns;
}

// Returns how many pairs of name and value the objects of a request have.
function countPairs(request) {
    let count = Object.keys(request).length;
    if (isObject(request.inputs)) {
        count += Object.keys(request.inputs).length;
    }
    if (Array.isArray(request.instances)) {
        request.instances.forEach((row) => {
            if (isObject(row)) {
                count += Object.keys(row).length;
            }
        });
    }
    return count;
}

// Returns a text with its long lists replaced by strings of a tag and a number, and puts
// the lists into `lists`. It only splits and searches: replacing by regular expressions
// takes njs a time that grows with the square of the body.
function withoutLongLists(text, tag, lists) {
    if (text.indexOf('\\') >= 0) {
        throw new Fault('a request must not have backslashes');
    }
    // Every second part is inside a string.
    const parts = text.split('"');
    if (parts.length > 2 * MOST_NAMES) {
        throw new Fault(`a request must have at most ${MOST_NAMES} names`);
    }
    for (let i = 0; i < parts.length; i += 2) {
        const part = parts[i];
        const start = part.indexOf('[');
        if (start < 0 || part.length < LONG) {
            continue;
        }
        const brace = part.substring(start).search(/[{}]/);
        const within = brace < 0 ? part : part.substring(0, start + brace);
        const end = within.lastIndexOf(']') + 1;
        if (end - start >= LONG) {
            lists.push(part.substring(start, end));
            parts[i] = `${part.substring(0, start)}"${tag}${lists.length - 1}"${part.substring(end)}`;
        }
    }
    return parts.join('"');
}

function check(text, rules) {
    const lists = [];
    const tag = `list ${Math.random()} `; // That no client can guess.
    const request = parsed(withoutLongLists(text, tag, lists));
    const unpacked = (value) => {
        if (typeof value === 'string' && value.indexOf(tag) === 0) {
            return new LongList(lists[Number(value.slice(tag.length))]);
        }
        return value;
    };
    if (!isObject(request)) {
        throw new Fault('a request must be an object');
    }
    const given = FORMS.filter((form) => request[form] !== undefined);
    if (given.length !== 1) {
        throw new Fault('a request must have either inputs or instances');
    }
    if (Object.keys(request).length > 1 + (request.signature_name !== undefined)) {
        throw new Fault('a request has inputs or instances, and signature_name; nothing else');
    }
    // Of two equal names, the server may read the one that was not checked here.
    if (text.split(':').length - 1 !== countPairs(request)) {
        throw new Fault('a request must have each name once, and no colons in names');
    }
    const signature = request.signature_name === undefined ? 'serving_default' : request.signature_name;
    if (typeof signature !== 'string' || !Object.prototype.hasOwnProperty.call(rules, signature)) {
        throw new Fault(`signature_name must be one of ${Object.keys(rules).join(', ')}`);
    }
    const rule = rules[signature];
    const names = Object.keys(rule.inputs);
    // Keys that JSON.parse set: an assignment to `constructor` leaves no key behind in njs.
    const keys = isObject(request.inputs) ? Object.keys(request.inputs) : [];
    const unknown = keys.filter((key) => names.indexOf(key) < 0);
    if (unknown.length > 0) {
        throw new Fault(`${signature} has the inputs ${names.join(', ')}, not ${unknown.join(', ')}`);
    }
    const columns = columnsOf(request, names, unpacked);
    let examples;
    names.forEach((name) => {
        if (columns[name] === undefined) {
            throw new Fault(`${signature} needs the input ${name}`);
        }
        const length = checkLists(columns[name], 0, withEnds(rule.inputs[name]), name);
        if (examples !== undefined && length !== examples) {
            throw new Fault('all inputs must have the same number of examples');
        }
        examples = length;
    });
    if (rule.max_examples !== null && examples > rule.max_examples) {
        throw new Fault(`${signature} takes at most ${rule.max_examples} examples, not ${examples}`);
    }
}

// Passes a request on to TensorFlow Serving, or refuses it.
function predict(r) {
    // The server would decompress a body that was not checked.
    if (r.headersIn['Content-Encoding']) {
        refuse(r, 415, 'a request must not be compressed');
        return;
    }
    try {
        check(r.requestText || '', rulesOf(r));
    } catch (fault) {
        if (!(fault instanceof Fault)) {
            throw fault;
        }
        refuse(r, 400, fault.text);
        return;
    }
    r.internalRedirect('@tf_serving');
}

export default { predict };
