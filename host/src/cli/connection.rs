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
    let own = match own(&settings.own_connection) {
        // With `--registry` the settings are about another registry: their credentials must not go there.
        Some(own) if arguments.registry.is_none() => Some(own?.connection),
        _ => None,
    };
    if let Some(mut own) = own {
        if let Some(registry_type) = &arguments.registry_type {
            own.registry_type.clone_from(registry_type);
        }
        return Ok(own);
    }
    let registry = arguments.registry.as_deref().ok_or_else(|| {
        Failure::usage("which registry? Give --registry HOST, or set CR_TYPE and CR_BASE in the environment")
    })?;
    let mut fields = vec![("registryBase".to_owned(), SecretString::from(registry))];
    match (&arguments.username, password) {
        (Some(username), password) => {
            fields.push(("username".to_owned(), username.clone().into()));
            let password = password.ok_or_else(|| {
                Failure::usage("--username needs --password-stdin, with the password on standard input")
            })?;
            fields.push(("password".to_owned(), password));
        }
        (None, _) => match docker_config::find(registry) {
            Found::Login(login) => {
                fields.push(("username".to_owned(), login.username.into()));
                fields.push(("password".to_owned(), login.password));
            }
            Found::Helper(helper) => say(format_args!(
                "regent: docker keeps the credentials for {registry} with docker-credential-{helper}, which is not \
                 asked; give --username and --password-stdin if they are needed"
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
