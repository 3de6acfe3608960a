//! What SQS and the SDK report when something fails, as what the caller can do about it.

use std::error::Error;

use aws_credential_types::provider::error::CredentialsError;
use aws_sdk_sqs::config::http::HttpResponse;
use aws_sdk_sqs::error::{ProvideErrorMetadata, SdkError};
use aws_sdk_sqs::types::BatchResultErrorEntry;
use upbeat_service::aws::describe;

use super::super::{EntryError, ErrorKind, QueueError};

/// A whole request failed.
#[expect(clippy::needless_pass_by_value, reason = "it serves `map_err`")]
pub(super) fn failure<E>(error: SdkError<E, HttpResponse>) -> QueueError
where
    E: ProvideErrorMetadata + Error + 'static,
{
    QueueError::new(kind(&error), describe(&error))
}

fn kind<E>(error: &SdkError<E, HttpResponse>) -> ErrorKind
where
    E: ProvideErrorMetadata + Error + 'static,
{
    match error {
        SdkError::ServiceError(context) => {
            let status = context.raw().status().as_u16();
            context.err().code().and_then(kind_of_code).unwrap_or_else(|| kind_of_status(status))
        }
        SdkError::TimeoutError(_) => ErrorKind::Timeout,
        SdkError::DispatchFailure(failure) if failure.is_timeout() => ErrorKind::Timeout,
        SdkError::DispatchFailure(_) | SdkError::ConstructionFailure(_)
            if error.source().is_some_and(is_about_credentials) =>
        {
            ErrorKind::AccessDenied
        }
        SdkError::ConstructionFailure(_) => ErrorKind::Invalid,
        // Not sent, or an answer that can't be read: a proxy's error page, a connection that broke half-way.
        _ => ErrorKind::Unavailable,
    }
}

/// SQS API reference, "Common errors" and the errors of each action; older names too, which LocalStack and others use.
fn kind_of_code(code: &str) -> Option<ErrorKind> {
    let code = code.rsplit_once('.').map_or(code, |(_, code)| code);
    let code = code.strip_suffix("Exception").unwrap_or(code);
    match code {
        "QueueDoesNotExist" | "NonExistentQueue" => Some(ErrorKind::NotFound),
        "AccessDenied"
        | "AuthFailure"
        | "ExpiredToken"
        | "IncompleteSignature"
        | "InvalidAccessKeyId"
        | "InvalidClientTokenId"
        | "InvalidSecurity"
        | "InvalidSignature"
        | "KmsAccessDenied"
        | "MissingAuthenticationToken"
        | "NotAuthorized"
        | "OptInRequired"
        | "RequestExpired"
        | "SignatureDoesNotMatch"
        | "UnrecognizedClient" => Some(ErrorKind::AccessDenied),
        // Over the limit of messages in flight, too, waiting is what helps.
        "KmsThrottled"
        | "LimitExceeded"
        | "OverLimit"
        | "RequestLimitExceeded"
        | "RequestThrottled"
        | "SlowDown"
        | "Throttled"
        | "Throttling"
        | "TooManyRequests" => Some(ErrorKind::Throttled),
        "RequestTimeout" => Some(ErrorKind::Timeout),
        "InternalError" | "InternalFailure" | "ServiceUnavailable" => Some(ErrorKind::Unavailable),
        _ => None,
    }
}

const fn kind_of_status(status: u16) -> ErrorKind {
    match status {
        401 | 403 => ErrorKind::AccessDenied,
        408 | 504 => ErrorKind::Timeout,
        429 => ErrorKind::Throttled,
        400..500 => ErrorKind::Invalid,
        _ => ErrorKind::Unavailable,
    }
}

fn is_about_credentials(error: &(dyn Error + 'static)) -> bool {
    error.is::<CredentialsError>() || error.source().is_some_and(is_about_credentials)
}

/// One entry of a batch failed.
pub(super) fn entry_failure(entry: BatchResultErrorEntry) -> EntryError {
    let BatchResultErrorEntry { sender_fault, code, message, .. } = entry;
    // LocalStack calls nothing the sender's fault.
    let sender_fault = sender_fault || can_never_succeed(&code);
    let reason = message.map_or_else(|| code.clone(), |message| format!("{code}: {message}"));
    EntryError { sender_fault, reason }
}

fn can_never_succeed(code: &str) -> bool {
    let code = code.rsplit_once('.').map_or(code, |(_, code)| code);
    let code = code.strip_suffix("Exception").unwrap_or(code);
    matches!(code, "InvalidIdFormat" | "InvalidParameterValue" | "MessageNotInflight" | "ReceiptHandleIsInvalid")
}
