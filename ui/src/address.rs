//! Addresses to dial for those that are bound: nobody can dial `0.0.0.0` everywhere.

use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr};

/// Where this machine reaches what listens at `address`.
pub(crate) fn dialled(mut address: SocketAddr) -> SocketAddr {
    match address {
        SocketAddr::V4(v4) if v4.ip().is_unspecified() => address.set_ip(Ipv4Addr::LOCALHOST.into()),
        SocketAddr::V6(v6) if v6.ip().is_unspecified() => address.set_ip(Ipv6Addr::LOCALHOST.into()),
        _ => {}
    }
    address
}

/// The same of an address as text; what is no address stays as it is.
pub(crate) fn dialled_text(address: &str) -> String {
    match address.parse() {
        Ok(address) => dialled(address).to_string(),
        Err(_) => address.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_bound_everywhere_is_dialled_at_the_loopback_address() {
        for (bound, dialled) in [
            ("0.0.0.0:80", "127.0.0.1:80"),
            ("[::]:80", "[::1]:80"),
            ("10.0.0.1:80", "10.0.0.1:80"),
            ("", ""),
        ] {
            assert_eq!(dialled_text(bound), dialled);
        }
    }
}
