//! The connection that a command's flags name.

use std::io::BufRead as _;

use secrecy::{ExposeSecret as _, SecretString};

use super::docker_config::{self, Found};
use super::output::say;
use super::{Failure, RegistryArgs};
use crate::connection::{Connection, own};
use crate::settings::Settings;

/// The driver that serves any registry that speaks the distribution protocol.
const DEFAULT_TYPE: &str = "oci-cr";
/// A password on standard input is not longer than this.
const MAX_PASSWORD_BYTES: u64 = 64 << 10;

/// The connection: flags first, then the agent's own settings where the flags name no other registry, then the
/// credentials that `docker login` left.
pub(super) fn connection(arguments: &RegistryArgs, settings: &Settings) -> Result<Connection, Failure> {
    let password = if arguments.password_stdin { Some(read_password()?) } else { None };
    let mut connection = match own(&settings.own_connection) {
        Some(own) if arguments.registry.is_none() => {
            let own = own?.connection;
            // With another registry or type the settings are about something else: their credentials must not go there.
            if arguments.registry_type.as_ref().is_none_or(|t| t.eq_ignore_ascii_case(&own.registry_type)) {
                own
            } else {
                from_flags(arguments, password)?
            }
        }
        _ => from_flags(arguments, password)?,
    };
    for (name, value) in &arguments.fields {
        connection = connection.with_field(name, value.as_str());
    }
    Ok(connection)
}

/// The connection that a command is about, if there is one.
pub(super) fn maybe(arguments: &RegistryArgs, settings: &Settings) -> Option<Result<Connection, Failure>> {
    let is_given = !arguments.names_none() || own(&settings.own_connection).is_some();
    is_given.then(|| connection(arguments, settings))
}

impl RegistryArgs {
    /// Whether the flags leave the registry to the settings.
    fn names_none(&self) -> bool {
        self.registry.is_none() && self.registry_type.is_none()
    }
}

fn from_flags(arguments: &RegistryArgs, password: Option<SecretString>) -> Result<Connection, Failure> {
    if arguments.names_none() {
        return Err(Failure::usage(
            "which registry? Give --registry HOST, or set CR_TYPE and CR_BASE in the environment",
        ));
    }
    let mut fields = Vec::new();
    let registry = arguments.registry.as_deref();
    fields.extend(registry.map(|registry| ("registryBase".to_owned(), SecretString::from(registry))));
    match (&arguments.username, password) {
        (Some(username), password) => {
            fields.push(("username".to_owned(), username.clone().into()));
            let password = password.ok_or_else(|| {
                Failure::usage("--username needs --password-stdin, with the password on standard input")
            })?;
            fields.push(("password".to_owned(), password));
        }
        // As the Broker Client sends a token: once as the user, once as the password.
        (None, Some(token)) => {
            fields.push(("username".to_owned(), token.clone()));
            fields.push(("password".to_owned(), token));
        }
        (None, None) => match registry.map_or(Found::Nothing, docker_config::find) {
            Found::Login(login) => {
                fields.push(("username".to_owned(), login.username.into()));
                fields.push(("password".to_owned(), login.password));
            }
            Found::Helper(helper) => say(format_args!(
                "regent: docker keeps the credentials for {} with docker-credential-{helper}, which is not asked; give \
                 --username and --password-stdin if they are needed",
                registry.unwrap_or_default()
            )),
            Found::Nothing => {}
        },
    }
    let registry_type = arguments.registry_type.as_deref().unwrap_or(DEFAULT_TYPE);
    Ok(Connection::new(registry_type, fields))
}

fn read_password() -> Result<SecretString, Failure> {
    let mut line = String::new();
    std::io::Read::take(std::io::stdin().lock(), MAX_PASSWORD_BYTES).read_line(&mut line)?;
    let password = SecretString::from(line.trim_end_matches(['\r', '\n']));
    if password.expose_secret().is_empty() {
        return Err(Failure::usage("--password-stdin: there is no password on standard input"));
    }
    Ok(password)
}
