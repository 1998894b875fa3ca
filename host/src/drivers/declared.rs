//! From the egress of a driver's description to hosts, for one connection.

use regent_plugin_api::egress::{EgressEntry, Named, host_of};
use url::Url;

use crate::connection::Connection;
use crate::http::{self, Declared, Egress};

/// The hosts that a description's egress comes to.
///
/// A connection can't name an address that only a driver or the operator may
/// ([`Egress::is_for_drivers_alone`]): a request would reach the credentials of this machine's instance with it.
pub(super) fn hosts(
    egress: &[String],
    connection: &Connection,
    environment: &dyn Fn(&str) -> Option<String>,
) -> Vec<Declared> {
    let mut hosts = Vec::new();
    for entry in egress {
        let EgressEntry { named, metadata } = EgressEntry::of(entry);
        let declared = if metadata { Declared::Metadata } else { Declared::Host };
        match named {
            Named::Pattern(pattern) => hosts.push(declared(pattern.to_owned())),
            Named::Variable(name) => {
                hosts.extend(environment(name).and_then(|url| authority(&url)).map(declared));
            }
            // What a connection names gives no credentials, whatever stands before it.
            Named::RegistryHost => hosts.extend(registry_host(connection).map(Declared::Host)),
            Named::Field(field) => hosts.extend(named_by(connection, field).map(Declared::Host)),
        }
    }
    hosts
}

/// The host of `registryBase`, at the ports that its scheme has anyway.
fn registry_host(connection: &Connection) -> Option<String> {
    let host = http::authority(connection.base()?)?.host_str()?.to_owned();
    (!Egress::is_for_drivers_alone(&host)).then_some(host)
}

fn named_by<'a>(connection: &'a Connection, field: &str) -> impl Iterator<Item = String> + 'a {
    let named = connection.text(field).unwrap_or_default().split(',').map(host_of);
    named.filter(|host| !host.is_empty() && !Egress::is_for_drivers_alone(host)).map(str::to_owned)
}

/// `host:port` of a URL.
fn authority(url: &str) -> Option<String> {
    let url = Url::parse(url.trim()).ok()?;
    Some(format!("{}:{}", url.host_str()?, url.port_or_known_default()?))
}

#[cfg(test)]
mod tests {
    use secrecy::SecretString;

    use super::*;

    fn declared(egress: &[&str], named: &str) -> Vec<Declared> {
        let egress: Vec<_> = egress.iter().map(|&e| e.to_owned()).collect();
        let field = ("tokenService".to_owned(), SecretString::from(named));
        let environment = |name: &str| match name {
            "API" => Some("http://127.0.0.1:5000/path".to_owned()),
            "CREDENTIALS" => Some(" http://[fd00:ec2::23]/v1/credentials".to_owned()),
            "EMPTY" => Some(String::new()),
            _ => None,
        };
        hosts(&egress, &Connection::new("gate", [field]), &environment)
    }

    fn host(text: &str) -> Declared {
        Declared::Host(text.to_owned())
    }

    fn metadata(text: &str) -> Declared {
        Declared::Metadata(text.to_owned())
    }

    #[test]
    fn a_connection_names_hosts_but_no_address_of_instance_metadata() {
        let named = "auth.example, 169.254.169.254,169.254.169.254:80, 0xa9fea9fe, [::ffff:169.254.169.254]:80, \
                     10.0.0.8:5001, metadata:169.254.169.254, metadata:127.0.0.1";
        let found = declared(&["metadata:169.254.170.2", "{tokenService}", "metadata:{tokenService}"], named);
        let hosts: Vec<_> = found.iter().filter(|d| matches!(d, Declared::Host(_))).collect();
        assert_eq!(found.first(), Some(&metadata("169.254.170.2")));
        assert_eq!(found.len(), hosts.len() + 1, "only the driver's own entry is metadata: {found:?}");
        assert!(
            !found.contains(&host("169.254.169.254")) && found.contains(&host("10.0.0.8:5001")),
            "{found:?}"
        );
    }

    #[test]
    fn a_connection_names_a_host_by_its_address_too() {
        let named = "https://n.example:8443/nexus, n.example/nexus, http://169.254.169.254/latest";
        assert_eq!(declared(&["{tokenService}"], named), [host("n.example:8443"), host("n.example")]);
    }

    #[test]
    fn the_registrys_host_is_meant_without_its_port_and_is_no_address_of_instance_metadata() {
        let rows = [
            ("gitlab.example:5050/group", Some("gitlab.example")),
            ("http://[fd00::1]:5000", Some("[fd00::1]")),
            ("gitlab.example", Some("gitlab.example")),
            ("169.254.169.254:5000", None),
            ("/srv/images", None),
        ];
        for (base, expected) in rows {
            let base = [("registryBase".to_owned(), SecretString::from(base))];
            let egress = ["metadata:{registryHost}".to_owned()];
            let found = hosts(&egress, &Connection::new("gate", base), &|_| None);
            assert_eq!(
                found,
                expected.map(host).into_iter().collect::<Vec<_>>(),
                "only a driver's own are metadata"
            );
        }
    }

    #[test]
    fn a_variable_of_the_process_names_the_host_of_its_url() {
        let found = declared(&["{env:API}", "metadata:{env:CREDENTIALS}", "{env:EMPTY}", "{env:UNSET}"], "");
        assert_eq!(found, [host("127.0.0.1:5000"), metadata("[fd00:ec2::23]:80")]);
    }
}
