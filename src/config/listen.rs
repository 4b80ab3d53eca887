//! Addresses on which clients are accepted.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, ToSocketAddrs as _};
use std::str::FromStr;

use super::ConfigError;
use crate::recording::hide_url_secrets;

/// `HOST:PORT` to listen on; the host may stand for several addresses.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ListenAddress {
    text: String,
    addresses: Vec<SocketAddr>,
}

impl ListenAddress {
    /// The addresses to bind, the first one mandatory; of `:PORT` and `localhost` a missing second family is no error.
    pub fn addresses(&self) -> &[SocketAddr] {
        &self.addresses
    }

    /// The same hosts at another port.
    pub(crate) fn at_port(&self, port: u16) -> Self {
        let at = |address: &SocketAddr| SocketAddr::new(address.ip(), port);
        Self {
            text: self.text.clone(),
            addresses: self.addresses.iter().map(at).collect(),
        }
    }

    /// Whether anyone but this machine can connect.
    pub fn is_open_to_others(&self) -> bool {
        self.addresses.iter().any(|address| !address.ip().is_loopback())
    }
}

impl std::fmt::Display for ListenAddress {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.text)
    }
}

impl FromStr for ListenAddress {
    type Err = ConfigError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let problem = |problem: String| ConfigError::Listen {
            text: hide_url_secrets(text),
            problem,
        };
        if text.contains("://") {
            return Err(problem("that is a URL".to_owned()));
        }
        let (host, port) = text
            .rsplit_once(':')
            .ok_or_else(|| problem("there is no `:PORT`".to_owned()))?;
        let port: u16 = port
            .parse()
            .map_err(|_| problem(format!("`{port}` is not a port from 0 to 65535")))?;
        let addresses = match host {
            "" | "localhost" => {
                vec![
                    (IpAddr::from(Ipv4Addr::LOCALHOST), port).into(),
                    (IpAddr::from(Ipv6Addr::LOCALHOST), port).into(),
                ]
            }
            _ => {
                let host = host
                    .strip_prefix('[')
                    .and_then(|host| host.strip_suffix(']'))
                    .unwrap_or(host);
                let found = (host, port)
                    .to_socket_addrs()
                    .map_err(|error| problem(format!("`{host}`: {error}")))?;
                found.take(1).collect()
            }
        };
        if addresses.is_empty() {
            return Err(problem(format!("`{host}` has no address")));
        }
        Ok(Self {
            text: text.to_owned(),
            addresses,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bare_port_means_both_loopback_addresses() {
        let address: ListenAddress = ":8080".parse().unwrap();
        let shown: Vec<String> = address.addresses().iter().map(ToString::to_string).collect();
        assert_eq!(shown, ["127.0.0.1:8080", "[::1]:8080"]);
        assert!(!address.is_open_to_others());
        assert!("0.0.0.0:1".parse::<ListenAddress>().unwrap().is_open_to_others());
    }

    #[test]
    fn an_address_without_port_says_what_to_write() {
        let error = "localhost".parse::<ListenAddress>().unwrap_err().to_string();
        assert!(
            error.contains("write HOST:PORT such as 127.0.0.1:8080"),
            "{error}"
        );
        assert!("127.0.0.1:99999".parse::<ListenAddress>().is_err());
    }

    #[test]
    fn a_url_is_no_address_and_is_quoted_without_its_password() {
        let error = "http://u:s3cr3t@h".parse::<ListenAddress>().unwrap_err();
        assert!(
            error
                .to_string()
                .starts_with("cannot listen on `http://***@h`: that is a URL; "),
            "{error}"
        );
    }
}
