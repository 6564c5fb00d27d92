//! Errors as each protocol writes them.
//!
//! The code, the status and the letter case of an error that any operation can meet depend on the protocol and the
//! service; [`describe`] is the one place that settles them.

use http::HeaderName;

use crate::error::{ApiError, CommonError, ErrorField, Fault, MessageKey, ModelledError};
use crate::operation::{Protocol, Service};
use crate::protocol::{Answer, Encoding, xml};
use crate::shape::Location;
use crate::{cbor, json};

const ERROR_TYPE: HeaderName = HeaderName::from_static("x-amzn-errortype");
/// The code that clients knew while the service spoke the query protocol only; their programs still compare with it.
const QUERY_ERROR: HeaderName = HeaderName::from_static("x-amzn-query-error");
/// Codes of the query protocol whose exception has another name in the protocols that came later (CloudWatch model).
const EXCEPTION_NAMES: [(&str, &str); 4] = [
    ("InternalServiceError", "InternalServiceFault"),
    ("InvalidParameterCombination", "InvalidParameterCombinationException"),
    ("InvalidParameterValue", "InvalidParameterValueException"),
    ("MissingParameter", "MissingRequiredParameterException"),
];

/// An error ready to be written.
#[derive(Clone, Debug, PartialEq)]
pub struct Described {
    pub code: &'static str,
    /// The code in the query protocol, which services of several protocols tell beside the other.
    query_code: &'static str,
    pub status: u16,
    /// Left out of the body when there is none.
    pub message: Option<String>,
    pub message_key: MessageKey,
    /// The restJson body carries `Type`.
    pub typed: bool,
    pub fault: Fault,
    pub fields: Vec<ErrorField>,
}

/// The form of an error in an encoding of a service.
pub fn describe(service: &Service, encoding: Encoding, error: &ApiError) -> Described {
    match error {
        ApiError::Common(error)
            if encoding != Encoding::Query && matches!(service.protocol, Protocol::Several { .. }) =>
        {
            Described { query_code: in_query(service, error).code, ..in_json(service, error) }
        }
        ApiError::Modelled(error) => modelled(error),
        ApiError::Common(error) => match encoding {
            Encoding::Json10 | Encoding::Json11 | Encoding::Cbor | Encoding::RpcCbor => in_json(service, error),
            Encoding::RestJson => in_rest_json(service, error),
            Encoding::Query => in_query(service, error),
        },
    }
}

fn modelled(error: &ModelledError) -> Described {
    let ModelledError { shape, message, fields } = error;
    Described {
        code: shape.code,
        query_code: shape.code,
        status: shape.status,
        message: Some(message.clone()),
        message_key: shape.message_key,
        typed: shape.typed,
        fault: shape.fault,
        fields: fields.clone(),
    }
}

impl Described {
    fn new(code: &'static str, status: u16, message: Option<String>) -> Self {
        let fault = if status < 500 { Fault::Sender } else { Fault::Receiver };
        Self {
            code,
            query_code: code,
            status,
            message,
            message_key: MessageKey::Small,
            typed: false,
            fault,
            fields: Vec::new(),
        }
    }

    fn capital(mut self) -> Self {
        self.message_key = MessageKey::Capital;
        self
    }

    fn typed(mut self) -> Self {
        self.typed = true;
        self
    }
}

const NOT_SIGNED: &str = "Missing Authentication Token";
const UNKNOWN_CLIENT: &str = "The security token included in the request is invalid.";
const EXPIRED: &str = "The security token included in the request is expired";

fn in_json(service: &Service, error: &CommonError) -> Described {
    let new = |code, message: &str| Described::new(code, 400, Some(message.to_owned()));
    match error {
        CommonError::Validation(text) => new(service.validation_code, text),
        CommonError::InvalidParameter(text) => new("InvalidParameterValueException", text),
        CommonError::AccessDenied(text) => new("AccessDeniedException", text).capital(),
        CommonError::Serialization(text) => new("SerializationException", text).capital(),
        CommonError::Malformed => Described::new("SerializationException", 400, None),
        CommonError::UnknownOperation => Described::new("UnknownOperationException", 400, None),
        CommonError::InternalFailure(_) => Described::new("InternalFailure", 500, None),
        CommonError::Throttling(text) => {
            Described::new(service.throttling_code, service.throttling_status, Some(text.clone()))
        }
        CommonError::Unavailable(text) => Described::new("ServiceUnavailableException", 503, Some(text.clone())),
        CommonError::RequestTooLarge(text) => Described::new("RequestEntityTooLargeException", 413, Some(text.clone())),
        CommonError::MissingAuthenticationToken => new("MissingAuthenticationTokenException", NOT_SIGNED),
        CommonError::IncompleteSignature(text) => new("IncompleteSignatureException", text),
        CommonError::UnrecognizedClient => new("UnrecognizedClientException", UNKNOWN_CLIENT),
        CommonError::InvalidSignature(text) => new("InvalidSignatureException", text),
        CommonError::ExpiredToken => new("ExpiredTokenException", EXPIRED),
    }
}

fn in_rest_json(service: &Service, error: &CommonError) -> Described {
    match error {
        CommonError::InternalFailure(_) => {
            let text = "An error occurred and the request cannot be processed.";
            Described::new("ServiceException", 500, Some(text.to_owned())).capital().typed()
        }
        CommonError::UnknownOperation => Described::new("UnknownOperationException", 404, None),
        CommonError::Throttling(_) => in_json(service, error).typed(),
        CommonError::Serialization(text) => Described::new("SerializationException", 400, Some(text.clone())),
        CommonError::AccessDenied(_)
        | CommonError::MissingAuthenticationToken
        | CommonError::IncompleteSignature(_)
        | CommonError::UnrecognizedClient
        | CommonError::InvalidSignature(_)
        | CommonError::ExpiredToken => Described { status: 403, ..in_json(service, error) },
        _ => in_json(service, error),
    }
}

fn in_query(service: &Service, error: &CommonError) -> Described {
    let new = |code, status, message: &str| Described::new(code, status, Some(message.to_owned()));
    match error {
        CommonError::Validation(text) => new(service.validation_code, 400, text),
        CommonError::InvalidParameter(text) => new("InvalidParameterValue", 400, text),
        CommonError::AccessDenied(text) => new("AccessDenied", 403, text),
        CommonError::Serialization(text) => new("MalformedInput", 400, text),
        CommonError::Malformed => new("MalformedInput", 400, "The request is not a valid form"),
        CommonError::UnknownOperation => new("InvalidAction", 400, "Could not find the operation for this version"),
        CommonError::InternalFailure(_) => {
            new("InternalFailure", 500, "The request processing has failed because of an unknown error.")
        }
        CommonError::Throttling(text) => new(service.throttling_code, service.throttling_status, text),
        CommonError::Unavailable(text) => new("ServiceUnavailable", 503, text),
        CommonError::RequestTooLarge(text) => new("RequestEntityTooLarge", 413, text),
        CommonError::MissingAuthenticationToken => {
            new("MissingAuthenticationToken", 403, "Request is missing Authentication Token")
        }
        CommonError::IncompleteSignature(text) => new("IncompleteSignature", 400, text),
        CommonError::UnrecognizedClient => new("InvalidClientTokenId", 403, UNKNOWN_CLIENT),
        CommonError::InvalidSignature(text) => new("SignatureDoesNotMatch", 403, text),
        CommonError::ExpiredToken => new("ExpiredToken", 403, EXPIRED),
    }
}

/// What the header says to clients that know the error by its code of the query protocol.
pub(super) fn query_error(service: &Service, error: &ApiError) -> Option<String> {
    let Protocol::Json { query_codes: Some(codes), .. } = service.protocol else { return None };
    let described = describe(service, Encoding::Query, error);
    let code = codes.iter().find(|(name, _)| *name == described.code).map_or(described.code, |(_, code)| *code);
    Some(format!("{code};{}", fault_text(described.fault)))
}

fn fault_text(fault: Fault) -> &'static str {
    match fault {
        Fault::Sender => "Sender",
        Fault::Receiver => "Receiver",
    }
}

pub(super) fn write_query_error(answer: &mut Answer, text: &str) {
    answer.header(QUERY_ERROR, text);
}

pub(super) fn write(answer: &mut Answer, service: &Service, encoding: Encoding, request_id: &str, error: &Described) {
    match encoding {
        Encoding::Json10 | Encoding::Json11 => write_json(answer, error, Some(exception_name(service, error.code))),
        Encoding::Cbor | Encoding::RpcCbor => write_cbor(answer, error, exception_name(service, error.code)),
        Encoding::RestJson => {
            answer.header(ERROR_TYPE, error.code);
            write_json(answer, error, None);
        }
        Encoding::Query => write_xml(answer, service, request_id, error),
    }
    if matches!(service.protocol, Protocol::Several { .. }) && encoding != Encoding::Query {
        let kind = if error.fault == Fault::Sender { "Sender" } else { "Receiver" };
        answer.header(QUERY_ERROR, &format!("{};{kind}", error.query_code));
    }
    for field in error.fields.iter().filter(|field| field.location == Location::Header) {
        if let Ok(name) = HeaderName::from_bytes(field.name.as_bytes()) {
            answer.header(name, &field.value);
        }
    }
}

/// The texts of the body, in the order in which they are written.
fn texts<'a>(error: &'a Described, code: Option<&'a str>) -> impl Iterator<Item = (&'a str, &'a str)> {
    let kind = match error.fault {
        Fault::Sender => "User",
        Fault::Receiver => "Service",
    };
    let key = match error.message_key {
        MessageKey::Small => "message",
        MessageKey::Capital => "Message",
    };
    let fields = error.fields.iter().filter(|field| field.location == Location::Body);
    code.map(|code| ("__type", code))
        .into_iter()
        .chain((error.typed && code.is_none()).then_some(("Type", kind)))
        .chain(error.message.as_deref().map(|message| (key, message)))
        .chain(fields.map(|field| (field.name, field.value.as_str())))
}

fn write_json(answer: &mut Answer, error: &Described, code: Option<&str>) {
    let mut before = b'{';
    for (key, text) in texts(error, code) {
        answer.body.push(std::mem::replace(&mut before, b','));
        json::write_string(&mut answer.body, key);
        answer.body.push(b':');
        json::write_string(&mut answer.body, text);
    }
    let end: &[u8] = if before == b'{' { b"{}" } else { b"}" };
    answer.body.extend_from_slice(end);
}

/// What the body of an error names in a service that is not spoken to by query alone.
fn exception_name(service: &Service, code: &'static str) -> &'static str {
    if !matches!(service.protocol, Protocol::Several { .. }) {
        return code;
    }
    EXCEPTION_NAMES.iter().find(|(query, _)| *query == code).map_or(code, |(_, name)| name)
}

fn write_cbor(answer: &mut Answer, error: &Described, code: &str) {
    answer.body.push(cbor::INDEFINITE_MAP);
    for (key, text) in texts(error, Some(code)) {
        cbor::write_text(&mut answer.body, key);
        cbor::write_text(&mut answer.body, text);
    }
    answer.body.push(cbor::BREAK);
}

fn write_xml(answer: &mut Answer, service: &Service, request_id: &str, error: &Described) {
    let mut text = format!("<ErrorResponse xmlns=\"{}\"><Error>", xml::namespace(service));
    xml::text_element(&mut text, "Type", fault_text(error.fault));
    xml::text_element(&mut text, "Code", error.code);
    xml::text_element(&mut text, "Message", error.message.as_deref().unwrap_or_default());
    text.push_str("</Error>");
    xml::text_element(&mut text, "RequestId", request_id);
    text.push_str("</ErrorResponse>");
    answer.body.extend_from_slice(text.as_bytes());
}
