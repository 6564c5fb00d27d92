//! Every error of every service as each of its protocols writes it, once per code.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use super::{REQUEST_ID, Samples, Visitor, settle, transcript};
use crate::protocol::{Encoding, encode_error};
use crate::{
    ApiError, CommonError, Operation, Protocol, Service, iam, kinesis, lambda, logs, millstream, monitoring, sns, sqs,
    sts,
};

#[derive(Default)]
struct Errors {
    /// By service, encoding and a name that sorts the common errors behind the modelled ones.
    answers: BTreeMap<(String, String, String), Vec<String>>,
}

impl Visitor for Errors {
    fn visit<O: Operation<Error: Samples>>(&mut self, service: &Service) {
        for error in O::Error::samples() {
            self.add(service, &error.into());
        }
        for error in common() {
            self.add(service, &error.into());
        }
    }
}

impl Errors {
    fn add(&mut self, service: &Service, error: &ApiError) {
        let name = match error {
            ApiError::Modelled(error) => error.shape.code.to_owned(),
            ApiError::Common(error) => format!("{error:?}"),
        };
        for encoding in encodings(service) {
            let response = encode_error(service, *encoding, REQUEST_ID, error);
            let key = (service.name.to_owned(), format!("{encoding:?}"), name.clone());
            self.answers.insert(key, transcript::answer(&response, *encoding));
        }
    }
}

fn encodings(service: &Service) -> &'static [Encoding] {
    match service.protocol {
        Protocol::Json { .. } if service.name == "kinesis" => &[Encoding::Json11, Encoding::Cbor],
        Protocol::Json { version: "1.0", .. } => &[Encoding::Json10],
        Protocol::Json { .. } => &[Encoding::Json11],
        Protocol::RestJson => &[Encoding::RestJson],
        Protocol::Query { .. } => &[Encoding::Query],
        Protocol::Several { .. } => &[Encoding::Json10, Encoding::RpcCbor, Encoding::Query],
    }
}

fn common() -> Vec<CommonError> {
    let text = || "Some text".to_owned();
    vec![
        CommonError::Validation(text()),
        CommonError::AccessDenied(text()),
        CommonError::Serialization(text()),
        CommonError::Malformed,
        CommonError::UnknownOperation,
        CommonError::InternalFailure(text()),
        CommonError::Throttling(text()),
        CommonError::Unavailable(text()),
        CommonError::RequestTooLarge("Request must be smaller than 1024 bytes".to_owned()),
        CommonError::MissingAuthenticationToken,
        CommonError::IncompleteSignature(text()),
        CommonError::UnrecognizedClient,
        CommonError::InvalidSignature(text()),
        CommonError::ExpiredToken,
    ]
}

#[test]
fn error_transcripts() {
    let mut errors = Errors::default();
    kinesis::op::visit(&mut errors);
    lambda::op::visit(&mut errors);
    iam::op::visit(&mut errors);
    sts::op::visit(&mut errors);
    logs::op::visit(&mut errors);
    monitoring::op::visit(&mut errors);
    millstream::op::visit(&mut errors);
    sqs::op::visit(&mut errors);
    sns::op::visit(&mut errors);
    let mut text = String::new();
    for ((service, encoding, name), lines) in errors.answers {
        writeln!(text, "# {service} {encoding} {name}\n{}", lines.join("\n")).expect("writing to a string succeeds");
    }
    settle("errors", &text);
}
