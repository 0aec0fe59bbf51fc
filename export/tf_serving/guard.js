// Refuses requests that do not fit their model, before TensorFlow Serving sees them. With
// batching on, the server merges the requests of several clients: one of another shape, or
// one that the model rejects, fails all of them, and one without examples blocks an HTTP
// thread forever. The server also parses nested lists by recursion, so 20,000 levels end
// its process.
//
// Publishing writes the rules, MODELS/NAME/request_rules.json. They are read at each
// request, since njs keeps nothing between requests.

import fs from 'fs';

const EXACT = 9007199254740991; // The largest integer that JavaScript tells from others.
// Of float32: the largest number, the smallest above 0, and the relative spacing.
const LARGEST = 3.4028234e38;
const SMALLEST = 1.1754944e-38;
const SPACING = 1.1920929e-7;
const FORMS = ['inputs', 'instances'];

function Fault(text) {
    this.text = text;
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
        throw new Fault(`no model ${name} with a file request_rules.json, which publishing writes`);
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

// Checks nested lists, from the axis `at` on, against sizes and range.
function checkLists(value, at, input, name) {
    checkSize(value, at, input, name);
    if (at + 1 === input.shape.length) {
        checkNumbers([value], input, name);
        return;
    }
    if (at + 2 === input.shape.length) {
        // Most of a body is here, and function calls are slow in njs.
        const width = Array.isArray(value[0]) ? value[0].length : 0;
        for (let i = 0; i < value.length; i++) {
            if (!Array.isArray(value[i]) || value[i].length !== width || width === 0) {
                checkSize(value[i], at + 1, input, name);
                throw new Fault(`lists of ${name} have different lengths`);
            }
        }
        checkSize(value[0], at + 1, input, name);
        checkNumbers(value, input, name);
        return;
    }
    for (let i = 0; i < value.length; i++) {
        checkLists(value[i], at + 1, input, name);
        if (value[i].length !== value[0].length) {
            throw new Fault(`lists of ${name} have different lengths`);
        }
    }
}

// Checks the numbers of lists of equal lengths.
function checkNumbers(lists, input, name) {
    const least = input.least;
    const most = input.most;
    const whole = input.whole;
    const width = lists[0].length;
    for (let i = 0; i < lists.length; i++) {
        const list = lists[i];
        for (let j = 0; j < width; j++) {
            const number = list[j];
            // Comparisons are false for all but numbers in the range, and for some strings.
            if (number >= least && number <= most && typeof number === 'number') {
                if (whole && number % 1 !== 0) {
                    throw new Fault(`${name} must have whole numbers, not ${number}`);
                }
            } else if (Array.isArray(number)) {
                throw new Fault(`${name} must have ${input.shape.length} axes, not more`);
            } else if (typeof number !== 'number') {
                throw new Fault(`${name} must have numbers, not a ${typeof number}`);
            } else {
                throw new Fault(`${name} must be in its range, which ${number} is not`);
            }
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
    return { shape: input.shape, whole: whole, least: least, most: most };
}

// Returns the values of each input, with the examples of rows put into columns.
function columnsOf(request, names) {
    if (request.inputs !== undefined) {
        if (isObject(request.inputs)) {
            return request.inputs;
        }
        if (names.length !== 1) {
            throw new Fault(`inputs must be an object with ${names.join(', ')}`);
        }
        return { [names[0]]: request.inputs };
    }
    const rows = request.instances;
    if (!Array.isArray(rows)) {
        throw new Fault('instances must be a list');
    }
    if (rows.length === 0) {
        throw new Fault('a request must have at least one example; it has an empty list');
    }
    const columns = {};
    names.forEach((name) => {
        columns[name] = [];
    });
    rows.forEach((row) => {
        if (!isObject(row)) {
            if (names.length !== 1) {
                throw new Fault(`instances must be objects with ${names.join(', ')}`);
            }
            columns[names[0]].push(row);
            return;
        }
        const keys = Object.keys(row);
        if (keys.length !== names.length) {
            throw new Fault(`instances must have the inputs ${names.join(', ')}`);
        }
        keys.forEach((key) => {
            if (names.indexOf(key) < 0) {
                throw new Fault(`instances must have the inputs ${names.join(', ')}`);
            }
            columns[key].push(row[key]);
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

function check(text, rules) {
    let request;
    try {
        request = JSON.parse(text);
    } catch (error) {
        throw new Fault('a request must be JSON, nested at most 10 deep');
    }
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
    const columns = columnsOf(request, names);
    const unknown = Object.keys(columns).filter((key) => names.indexOf(key) < 0);
    if (unknown.length > 0) {
        throw new Fault(`${signature} has the inputs ${names.join(', ')}, not ${unknown.join(', ')}`);
    }
    let examples;
    names.forEach((name) => {
        if (columns[name] === undefined) {
            throw new Fault(`${signature} needs the input ${name}`);
        }
        const input = withEnds(rule.inputs[name]);
        checkLists(columns[name], 0, input, name);
        if (examples !== undefined && columns[name].length !== examples) {
            throw new Fault('all inputs must have the same number of examples');
        }
        examples = columns[name].length;
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
