//! What the SDK's errors mean to an operator. Of an answer nothing is passed on but its error code: its text and headers
//! may hold secrets.

use std::error::Error as StdError;
use std::io;

use aws_config::imds::client::error::ImdsError;
use aws_credential_types::provider::error::CredentialsError;
use aws_sdk_sts::operation::assume_role::AssumeRoleError;
use aws_sdk_sts::operation::assume_role_with_web_identity::AssumeRoleWithWebIdentityError;
use aws_smithy_runtime_api::client::orchestrator::HttpResponse;
use aws_smithy_runtime_api::client::result::SdkError;
use aws_smithy_types::error::metadata::ProvideErrorMetadata;
use regent_plugin_api::Error;
use regent_plugin_api::transport::{Class, TransportError};

/// What was asked of AWS, for messages.
#[derive(Debug, Clone)]
pub(crate) struct Asked {
    /// The action of IAM that permits it.
    pub(crate) action: &'static str,
    /// It, as the end of "to …": `list the repositories of account 123456789012`.
    pub(crate) what: String,
    /// Who asked.
    pub(crate) caller: String,
}

/// What kind of refusal an error code stands for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Meaning {
    Denied,
    Unknown,
    Expired,
    Throttled,
    Absent,
    Invalid,
    RegionOff,
    Failing,
    Other,
}

impl Meaning {
    fn of(code: &str, status: u16) -> Self {
        // Some services put a namespace in front, some a URL behind.
        let code = code.rsplit('#').next().unwrap_or_default();
        match code {
            "AccessDenied" | "AccessDeniedException" | "UnauthorizedOperation" => Self::Denied,
            "ExpiredToken" | "ExpiredTokenException" | "RequestExpired" => Self::Expired,
            "InvalidClientTokenId"
            | "UnrecognizedClientException"
            | "InvalidSignatureException"
            | "SignatureDoesNotMatch"
            | "IncompleteSignature"
            | "IncompleteSignatureException"
            | "MissingAuthenticationToken"
            | "MissingAuthenticationTokenException"
            | "InvalidIdentityToken"
            | "IDPRejectedClaim"
            | "AuthFailure" => Self::Unknown,
            "Throttling"
            | "ThrottlingException"
            | "ThrottledException"
            | "RequestLimitExceeded"
            | "TooManyRequestsException"
            | "RequestThrottled"
            | "RequestThrottledException"
            | "SlowDown" => Self::Throttled,
            "RepositoryNotFoundException" | "ImageNotFoundException" => Self::Absent,
            "InvalidParameterException"
            | "InvalidParameterValue"
            | "ValidationError"
            | "ValidationException" => Self::Invalid,
            "RegionDisabledException" => Self::RegionOff,
            _ if status == 429 => Self::Throttled,
            _ if status >= 500 => Self::Failing,
            _ => Self::Other,
        }
    }
}

/// Whether the credentials that the request was signed with have run out.
pub(crate) fn is_expiry<E: ProvideErrorMetadata>(error: &SdkError<E, HttpResponse>) -> bool {
    meaning(error) == Some(Meaning::Expired)
}

/// The error of a call.
pub(crate) fn of<E>(error: &SdkError<E, HttpResponse>, asked: &Asked) -> Error
where
    E: ProvideErrorMetadata + StdError + 'static,
{
    match meaning(error) {
        Some(meaning) => of_meaning(meaning, error.code().unwrap_or_default(), asked),
        None => of_no_answer(error).unwrap_or_else(|| match error {
            SdkError::TimeoutError(_) => Error::new(
                Class::Timeout,
                "registry_timeout",
                format!("aws did not answer in time to {}", asked.what),
            ),
            SdkError::ResponseError(_) => {
                Error::bad_answer(format!("aws gave an answer that is not of its protocol to {}", asked.what))
            }
            _ => Error::new(
                Class::Internal,
                "internal",
                format!("the request to {} could not be made", asked.what),
            ),
        }),
    }
}

/// Why a role could not be assumed. STS says no more than "access denied", whatever of three things is wrong.
pub(crate) fn of_role(
    error: &SdkError<AssumeRoleError, HttpResponse>,
    role: &str,
    has_external_id: bool,
    region: &str,
) -> Error {
    let asked = Asked {
        action: "sts:AssumeRole",
        what: format!("assume the role {role} in {region}"),
        caller: "the agent's AWS identity".to_owned(),
    };
    match meaning(error) {
        Some(Meaning::Denied) => {
            let id = if has_external_id {
                "check that the external id is the one in its condition"
            } else {
                "give the connection an external id if the policy has a condition for one"
            };
            Error::permission_missing(format!(
                "the agent's AWS identity may not assume the role {role}: name the identity in the role's trust policy, {id}, \
                 and grant the identity sts:AssumeRole"
            ))
        }
        _ => of(error, &asked),
    }
}

/// Why the agent has no credentials.
pub(crate) fn of_identity(error: &CredentialsError) -> Error {
    // The instance's metadata come last, and outside of AWS something else may answer at that address.
    if matches!(error, CredentialsError::CredentialsNotLoaded(_)) || find::<ImdsError>(error).is_some() {
        return Error::new(
            Class::Authentication,
            "credentials_missing",
            "the agent has no AWS identity: there is none in its environment, its profile, a web identity token, its \
             container's credentials or its instance's metadata",
        );
    }
    let asked = |what: &str| Asked {
        action: "sts:AssumeRole",
        what: what.to_owned(),
        caller: "the agent's AWS identity".to_owned(),
    };
    if let Some(error) = find::<AssumeRoleWithWebIdentityError>(error) {
        let meaning = Meaning::of(error.code().unwrap_or_default(), 0);
        if matches!(meaning, Meaning::Denied) {
            return Error::permission_missing(
                "the agent's web identity token may not assume the role in AWS_ROLE_ARN: name its issuer and subject in \
                 that role's trust policy",
            );
        }
        let asked = asked("exchange the agent's web identity token");
        return of_meaning(meaning, error.code().unwrap_or_default(), &asked);
    }
    if let Some(error) = find::<AssumeRoleError>(error) {
        let meaning = Meaning::of(error.code().unwrap_or_default(), 0);
        return of_meaning(
            meaning,
            error.code().unwrap_or_default(),
            &asked("assume the role of the agent's profile"),
        );
    }
    if let Some(error) = of_no_answer(error) {
        return error;
    }
    let why = match (find::<io::Error>(error), error) {
        (Some(io), _) => format!("a file that its settings name can't be read: {}", io.kind()),
        (None, CredentialsError::InvalidConfiguration(_)) => {
            "its profile or its AWS_ variables are not valid".to_owned()
        }
        (None, CredentialsError::ProviderTimedOut(_)) => {
            "the service that gives it did not answer in time".to_owned()
        }
        (None, _) => "the service that gives it answered with an error".to_owned(),
    };
    let message = format!("the agent's AWS identity could not be had: {why}");
    Error::new(Class::Authentication, "credentials_unusable", message)
}

fn meaning<E: ProvideErrorMetadata>(error: &SdkError<E, HttpResponse>) -> Option<Meaning> {
    let SdkError::ServiceError(answer) = error else { return None };
    Some(Meaning::of(answer.err().code().unwrap_or_default(), answer.raw().status().as_u16()))
}

fn of_meaning(meaning: Meaning, code: &str, asked: &Asked) -> Error {
    let Asked { action, what, caller } = asked;
    match meaning {
        Meaning::Denied => Error::permission_missing(format!(
            "{caller} may not {what}: grant it {action}, and see that no service control or endpoint policy forbids it"
        )),
        Meaning::Unknown => Error::credentials_rejected(format!(
            "aws does not accept the credentials of {caller} to {what}: check them, and the agent's clock"
        )),
        Meaning::Expired => {
            Error::credentials_rejected(format!("the credentials of {caller} have expired: renew them"))
        }
        Meaning::Throttled => Error::new(
            Class::Throttled,
            "rate_limited",
            format!("aws was asked too often to {what}: try again later"),
        ),
        Meaning::Absent => Error::not_found(format!(
            "there is nothing to {what}: it does not exist in that account and region"
        )),
        Meaning::Invalid => Error::new(
            Class::Invalid,
            "request_invalid",
            format!("aws takes the request to {what} for invalid ({})", shown(code)),
        ),
        Meaning::RegionOff => Error::new(
            Class::Denied,
            "permission_missing",
            format!("sts is not active there to {what}: activate the region in the account's settings"),
        ),
        Meaning::Failing => Error::new(
            Class::Unavailable,
            "registry_unavailable",
            format!("aws failed to {what}: try again later"),
        ),
        Meaning::Other => Error::bad_answer(format!("aws refused to {what} ({})", shown(code))),
    }
}

/// The host's own error, where the request got no answer.
fn of_no_answer(error: &(dyn StdError + 'static)) -> Option<Error> {
    find::<TransportError>(error).map(|error| error.clone().into())
}

fn find<'a, T: StdError + 'static>(error: &'a (dyn StdError + 'static)) -> Option<&'a T> {
    let mut next = Some(error);
    while let Some(error) = next {
        if let Some(found) = error.downcast_ref::<T>() {
            return Some(found);
        }
        next = error.source();
    }
    None
}

/// An error code, if it looks like one: a word.
fn shown(code: &str) -> &str {
    let is_code = !code.is_empty() && code.len() <= 64 && code.bytes().all(|b| b.is_ascii_alphanumeric());
    if is_code { code } else { "no code" }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn codes_of_both_services_are_sorted() {
        let rows = [
            ("AccessDenied", 403, Meaning::Denied),
            ("AccessDeniedException", 400, Meaning::Denied),
            ("com.amazonaws.ecr#AccessDeniedException", 400, Meaning::Denied),
            ("ExpiredTokenException", 400, Meaning::Expired),
            ("InvalidClientTokenId", 403, Meaning::Unknown),
            ("UnrecognizedClientException", 400, Meaning::Unknown),
            ("ThrottlingException", 400, Meaning::Throttled),
            ("", 429, Meaning::Throttled),
            ("RepositoryNotFoundException", 400, Meaning::Absent),
            ("InvalidParameterException", 400, Meaning::Invalid),
            ("ServerException", 500, Meaning::Failing),
            ("", 400, Meaning::Other),
        ];
        for (code, status, expected) in rows {
            assert_eq!(Meaning::of(code, status), expected, "{code} {status}");
        }
    }

    #[test]
    fn only_a_word_is_shown_of_an_answer() {
        for (code, expected) in
            [("Odd", "Odd"), ("", "no code"), ("<b>", "no code"), ("two words", "no code")]
        {
            assert_eq!(shown(code), expected);
        }
    }
}
