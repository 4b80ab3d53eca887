//! Certificates for hosts, made when they are needed and kept for the next connection.

use std::sync::Arc;
use std::time::Duration;

use quick_cache::sync::Cache;
use quick_cache::{DefaultHashBuilder, Lifecycle, OptionsBuilder, UnitWeighter};
use rustls::ServerConfig;
use rustls::server::NoServerSessionStorage;
use rustls::sign::SingleCertAndKey;

use crate::ca::{Authority, CaError, Leaf};
use crate::clock::Timestamp;
use crate::resource::meters::Meters;

/// A certificate with less than this left is made anew.
const LEFT: Duration = Duration::from_hours(24);

/// Counts the certificates that had to go for others.
#[derive(Debug, Clone)]
struct Counting(Arc<Meters>);

impl<K, V> Lifecycle<K, V> for Counting {
    type RequestState = ();

    fn on_evict(&self, (): &mut (), _: K, _: V) {
        self.0.certificates.reach();
    }
}

type Kept = Cache<String, Leaf, UnitWeighter, DefaultHashBuilder, Counting>;

/// The authority and the certificates that it has made.
#[derive(Debug)]
pub(super) struct Leaves {
    authority: Authority,
    kept: Kept,
    config: ServerConfig,
    meters: Arc<Meters>,
}

impl Leaves {
    /// Keeps `most` certificates.
    pub(super) fn new(authority: Authority, most: usize, meters: &Arc<Meters>) -> Result<Self, CaError> {
        // One shard, so that the limit is kept to the letter.
        let options = OptionsBuilder::new()
            .shards(1)
            .estimated_items_capacity(most)
            .weight_capacity(most as u64)
            .build()
            .map_err(|_| rustls::Error::General("no room for certificates".to_owned()))?;
        let counting = Counting(Arc::clone(meters));
        Ok(Self {
            authority,
            kept: Cache::with_options(options, UnitWeighter, DefaultHashBuilder::default(), counting),
            config: server_config()?,
            meters: Arc::clone(meters),
        })
    }

    pub(super) const fn authority(&self) -> &Authority {
        &self.authority
    }

    /// How to be `host` towards a client.
    pub(super) fn config_for(
        &self,
        host: &str,
        now: Timestamp,
        with_h2: bool,
    ) -> Result<ServerConfig, CaError> {
        let mut leaf = self.find_or_make(host, now)?;
        if leaf.not_after.since(now) < LEFT && self.kept.remove(host).is_some() {
            leaf = self.find_or_make(host, now)?;
        }
        let mut config = self.config.clone();
        config.cert_resolver = Arc::new(SingleCertAndKey::from(leaf.key));
        if with_h2 {
            config.alpn_protocols.insert(0, b"h2".to_vec());
        }
        Ok(config)
    }

    fn find_or_make(&self, host: &str, now: Timestamp) -> Result<Leaf, CaError> {
        let leaf = self
            .kept
            .get_or_insert_with(host, || self.authority.leaf(host, now))?;
        self.meters.certificates.set(self.kept.len() as u64);
        Ok(leaf)
    }
}

/// What the configurations for all hosts share. No session is resumed: a handshake on this machine costs little, and a
/// resumed one would hide a client that no longer trusts us.
fn server_config() -> Result<ServerConfig, rustls::Error> {
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let builder = ServerConfig::builder_with_provider(provider).with_safe_default_protocol_versions()?;
    let nobody = Arc::new(rustls::server::ResolvesServerCertUsingSni::new());
    let mut config = builder.with_no_client_auth().with_cert_resolver(nobody);
    config.alpn_protocols = vec![b"http/1.1".to_vec()];
    config.session_storage = Arc::new(NoServerSessionStorage {});
    config.send_tls13_tickets = 0;
    Ok(config)
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: Timestamp = Timestamp::from_micros(1_795_392_000_000_000);

    fn leaves(most: usize) -> (Leaves, Arc<Meters>) {
        let home = tempfile::tempdir().unwrap();
        let authority = Authority::open_or_create(home.path(), NOW).unwrap();
        let meters: Arc<Meters> = Arc::default();
        (Leaves::new(authority, most, &meters).unwrap(), meters)
    }

    #[test]
    fn a_certificate_is_made_once_until_it_is_nearly_over() {
        let (leaves, meters) = leaves(8);
        let end = |at| leaves.find_or_make("x.dev", at).unwrap().not_after;
        let first = end(NOW);
        assert_eq!(end(NOW.plus(Duration::from_hours(1))), first);
        let late = NOW.plus(Duration::from_hours(24 * 80));
        leaves.config_for("x.dev", late, false).unwrap();
        assert!(end(late) > first);
        assert_eq!(meters.certificates.read(), (1, 1, 0));
    }

    #[test]
    fn beyond_the_limit_one_goes_for_the_next() {
        let (leaves, meters) = leaves(2);
        for host in ["a.dev", "b.dev", "c.dev", "c.dev"] {
            leaves.config_for(host, NOW, true).unwrap();
        }
        assert_eq!(meters.certificates.read(), (2, 2, 1));
    }
}
