//! The authority as clients' verifiers see it, and as others on this machine must not.

use rustls::RootCertStore;
use rustls::client::WebPkiServerVerifier;
use rustls::client::danger::ServerCertVerifier as _;
use rustls::pki_types::{ServerName, UnixTime};

use super::*;

/// 2026-11-23T00:00:00Z.
const NOW: Timestamp = Timestamp::from_micros(1_795_392_000_000_000);

fn verify(authority: &Authority, leaf: &Leaf, host: &str, at: Timestamp) -> Result<(), rustls::Error> {
    let mut roots = RootCertStore::empty();
    roots.add(authority.certificate.clone()).unwrap();
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let verifier = WebPkiServerVerifier::builder_with_provider(Arc::new(roots), provider)
        .build()
        .unwrap();
    let name = ServerName::try_from(host.to_owned()).unwrap();
    let now = UnixTime::since_unix_epoch(Duration::from_micros(at.as_micros()));
    let chain = &leaf.key.cert;
    verifier
        .verify_server_cert(&chain[0], &chain[1..], &name, &[], now)
        .map(|_| ())
}

#[test]
fn the_first_use_makes_an_authority_and_the_next_finds_it() {
    let home = tempfile::tempdir().unwrap();
    let directory = home.path().join("a/ca");
    assert!(Authority::open(&directory).unwrap().is_none());
    let first = Authority::open_or_create(&directory, NOW).unwrap();
    let second = Authority::open_or_create(&directory, NOW).unwrap();
    assert_eq!(first.fingerprint(), second.fingerprint());
    assert_eq!(first.fingerprint().len(), 32 * 3 - 1);
    let on_disk = std::fs::read_to_string(directory.join(CERTIFICATE_FILE)).unwrap();
    assert_eq!(on_disk, first.certificate_pem());
    assert!(!on_disk.contains("PRIVATE"));
    let third = Authority::replace(&directory, NOW).unwrap();
    assert_ne!(first.fingerprint(), third.fingerprint());
    let files = std::fs::read_dir(&directory).unwrap().count();
    assert_eq!(files, 2, "drafts are left over");
}

#[test]
fn threads_that_need_it_at_once_get_the_same() {
    let home = tempfile::tempdir().unwrap();
    let found: Vec<String> = std::thread::scope(|scope| {
        let open = || Authority::open_or_create(home.path(), NOW).map(|authority| authority.fingerprint());
        let threads: Vec<_> = (0..8).map(|_| scope.spawn(open)).collect();
        threads
            .into_iter()
            .map(|thread| thread.join().unwrap().unwrap())
            .collect()
    });
    assert!(found.windows(2).all(|pair| pair[0] == pair[1]));
}

#[cfg(unix)]
#[test]
fn the_key_is_for_its_owner_only_and_is_refused_once_it_is_not() {
    use std::os::unix::fs::PermissionsExt as _;
    let home = tempfile::tempdir().unwrap();
    let directory = home.path().join("ca");
    Authority::open_or_create(&directory, NOW).unwrap();
    let mode = |path: &Path| std::fs::metadata(path).unwrap().permissions().mode() & 0o777;
    let key = directory.join(KEY_FILE);
    assert_eq!((mode(&key), mode(&directory)), (0o600, 0o700));
    std::fs::set_permissions(&key, std::fs::Permissions::from_mode(0o640)).unwrap();
    let refused = Authority::open_or_create(&directory, NOW).unwrap_err();
    assert!(refused.to_string().contains("ca --new"), "{refused}");
}

#[test]
fn certificates_are_believed_for_their_host_and_for_less_than_ninety_days() {
    let home = tempfile::tempdir().unwrap();
    let authority = Authority::open_or_create(home.path(), NOW).unwrap();
    let day = Duration::from_hours(24);
    let long = format!("{}.example.com", "a".repeat(60));
    for host in ["localhost", "api.example.com", "127.0.0.1", "::1", long.as_str()] {
        let leaf = authority.leaf(host, NOW).unwrap();
        verify(&authority, &leaf, host, NOW).unwrap();
        verify(&authority, &leaf, "other.example.com", NOW).unwrap_err();
        verify(&authority, &leaf, host, NOW.plus(day * 90)).unwrap_err();
        let (from, until) = validity::of(&leaf.key.cert[0]).unwrap();
        assert!(until.since(from) < day * 90 && from < NOW && until == leaf.not_after);
    }
    assert!(authority.leaf("ä.example.com", NOW).is_err());
}

#[test]
fn no_certificate_outlives_its_authority_and_an_old_authority_is_refused() {
    let home = tempfile::tempdir().unwrap();
    let authority = Authority::open_or_create(home.path(), NOW).unwrap();
    assert!(authority.not_before() < NOW && authority.not_after() > NOW.plus(Duration::from_hours(24 * 365)));
    let late = Timestamp::from_micros(authority.not_after().as_micros() - 1_000_000);
    assert_eq!(
        authority.leaf("x.dev", late).unwrap().not_after,
        authority.not_after()
    );
    let refused = Authority::open_or_create(home.path(), authority.not_after()).unwrap_err();
    assert!(matches!(refused, CaError::Expired { .. }));
}

#[test]
fn a_file_with_something_else_is_refused_with_the_way_out() {
    let home = tempfile::tempdir().unwrap();
    files::write_key(home.path(), "hello", false).unwrap();
    let refused = Authority::open_or_create(home.path(), NOW).unwrap_err();
    assert!(refused.to_string().contains("ca --new"), "{refused}");
}
