//! What our bootstrap does otherwise than AWS's client, each with its reason.

use std::collections::BTreeMap;

use crate::transcript::{Request, Transcript};

/// A change of AWS's transcripts into what ours have to be.
struct Difference {
    name: &'static str,
    adapt: fn(&str, &mut Transcript),
}

const DIFFERENCES: &[Difference] = &[
    // Nothing here reads it, and the stack of a deep recursion would exceed what an HTTP header can carry.
    Difference { name: "no cause for X-Ray", adapt: no_cause_for_xray },
    // Client 4, of nodejs24.x, looks there too. A function that AWS's newest runtime runs shall run here.
    Difference { name: "handlers are found in the default export", adapt: default_export },
    // Client 3 loses them, which leaves nothing to find the mistake by; client 4 shows them.
    Difference { name: "syntax errors have their file and line", adapt: syntax_errors },
    // Client 3 has forgotten to import the class of this error; client 4 has it.
    Difference { name: "a streaming mark of another kind is reported as such", adapt: streaming_mark },
    // AWS's copies some functions of an HTTP request into an object, and a request stays writable for ever.
    Difference { name: "the stream is one of Node.js's", adapt: whole_stream },
    // AWS's breaks the request with the error that the request has just reported, which reports it again.
    Difference { name: "a stream's listeners hear of an error once", adapt: heard_once },
];

/// Stacks of syntax errors, as in JSON, after the name of the error's class.
const SYNTAX_ERRORS: &[(&str, &str)] = &[
    (
        "load: syntax error",
        r#"/var/task/index.js:2","  return (;","          ^","","SyntaxError: Unexpected token ';'""#,
    ),
    (
        "load: syntax error in another file",
        r#"/var/task/inner.js:1","const = 1;","      ^","","SyntaxError: Unexpected token '='","    at Object.<anonymous> (/var/task/index.js:1:1)""#,
    ),
    (
        "load: import of a missing name",
        r#"file:///var/task/index.mjs:1","import { nothing } from './other.mjs'; export const handler = () => {};","         ^^^^^^^","SyntaxError: The requested module './other.mjs' does not provide an export named 'nothing'""#,
    ),
    (
        "load: bad JSON required",
        r#"SyntaxError: /var/task/data.json: Unexpected end of JSON input","    at Object.<anonymous> (/var/task/index.js:1:1)""#,
    ),
];

/// Adapts all; the names of those that changed nothing come back.
pub(crate) fn apply(transcripts: &mut BTreeMap<String, Transcript>) -> Vec<&'static str> {
    let mut unused = Vec::new();
    for difference in DIFFERENCES {
        let before = transcripts.clone();
        for (name, transcript) in &mut *transcripts {
            (difference.adapt)(name, transcript);
        }
        if *transcripts == before {
            unused.push(difference.name);
        }
    }
    unused
}

fn no_cause_for_xray(_: &str, run: &mut Transcript) {
    for request in &mut run.requests {
        request.headers.remove("lambda-runtime-function-xray-error-cause");
    }
}

fn default_export(name: &str, run: &mut Transcript) {
    if !["handler: in the default export", "handler: deep in the default export"].contains(&name) {
        return;
    }
    let call = |call: &str, headers: BTreeMap<String, String>, body: &str| Request {
        call: call.to_owned(),
        headers,
        body: body.to_owned(),
        trailers: BTreeMap::new(),
    };
    let json = BTreeMap::from([("content-type".to_owned(), "application/json".to_owned())]);
    let next = call("GET /runtime/invocation/next", BTreeMap::new(), "");
    let response = call("POST /runtime/invocation/request-1/response", json, "\"inner\"");
    let requests = vec![next.clone(), response, next];
    *run = Transcript { requests, end: "waits for an event".to_owned(), ..Transcript::default() };
}

fn syntax_errors(name: &str, run: &mut Transcript) {
    let Some((_, stack)) = SYNTAX_ERRORS.iter().find(|(case, _)| *case == name) else { return };
    let class = r#"["Runtime.UserCodeSyntaxError: "#;
    for text in run.requests.iter_mut().map(|request| &mut request.body).chain(&mut run.log) {
        if let Some((before, rest)) = text.split_once(class)
            && let Some((_, after)) = rest.split_once(']')
        {
            *text = format!("{before}{class}{stack}]{after}");
        }
    }
}

fn streaming_mark(name: &str, run: &mut Transcript) {
    if name != "handler: streaming mark of another kind" {
        return;
    }
    let right = |text: &mut String| {
        *text = text.replace("ReferenceError", "Runtime.MalformedStreamingHandler");
        *text = text.replace("MalformedStreamingHandler is not defined", "Only response streaming is supported.");
    };
    run.log.iter_mut().for_each(right);
    for request in &mut run.requests {
        right(&mut request.body);
        request.headers.values_mut().for_each(right);
    }
}

fn heard_once(name: &str, run: &mut Transcript) {
    if name == "stream fails: write after the end" {
        run.log.dedup();
    }
}

fn whole_stream(name: &str, run: &mut Transcript) {
    if name == "stream: properties" {
        let event = &mut run.log[0];
        *event = event.replace("\"undefined\"", "\"function\"").replace("[true,true", "[false,true");
    }
}
