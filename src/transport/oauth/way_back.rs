//! The way of a browser back from the page where people log in: through us, so that the redirect names the issuer that the
//! client knows. All of it is in memory only.
//!
//! Source: RFC 6749 §4.1 (`redirect_uri`, `state`, `code`), RFC 9207 (`iss`), RFC 9126 (requests that are announced).

use std::sync::Mutex;
use std::time::Duration;

use ring::rand::{SecureRandom as _, SystemRandom};

use super::{form, lock};
use crate::clock::Timestamp;
use crate::transport::rewrite::Changes;
use crate::transport::stated::fingerprint;

/// Clients of one authorization server that are known; beyond, the oldest goes and has to register anew.
const MAX_CLIENTS: usize = 64;
/// Logins at one authorization server that are under way; beyond, the oldest goes and has to begin anew.
const MAX_LOGINS: usize = 64;
/// People have this long to log in, and clients as long from the beginning to fetch their token.
const LOGIN: Duration = Duration::from_mins(10);
/// Bytes of a client's `state`; a request with a longer one is left alone.
const MAX_STATE: usize = 4 * 1024;

/// A client that registered through us.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Client {
    pub(super) id: String,
    /// The addresses that it named itself.
    pub(super) redirect_uris: Vec<String>,
    /// Ours, which the server knows too.
    pub(super) back: String,
}

#[derive(Debug)]
struct Login {
    /// What the server is told in place of the client's state. Nobody can guess it.
    state: String,
    /// The client's state as spelled, if it has one.
    theirs: Option<String>,
    /// Where the client waits.
    redirect_uri: String,
    back: String,
    /// Our issuer, as this client knows it.
    issuer: String,
    begun: Timestamp,
    is_back: bool,
    /// A fingerprint of the code that the browser came back with.
    code: Option<u64>,
}

/// Clients and logins of one relayed authorization server.
#[derive(Debug, Default)]
pub(super) struct WayBack {
    clients: Mutex<Vec<Client>>,
    logins: Mutex<Vec<Login>>,
}

impl WayBack {
    /// A client has registered.
    pub(super) fn register(&self, client: Client) {
        let mut clients = lock(&self.clients);
        clients.retain(|known| known.id != client.id);
        if clients.len() == MAX_CLIENTS {
            clients.remove(0);
        }
        clients.push(client);
    }

    /// A request for the page, as query or as form, with our address in place of the client's. `None` if it stays as it
    /// is: only a code in the query of an address that this client registered can be passed on.
    ///
    /// `issuer` is ours, as the client knows it.
    pub(super) fn depart(
        &self,
        asked: &str,
        issuer: String,
        now: Timestamp,
        changes: &mut Changes,
    ) -> Option<String> {
        let id = form::single(asked, "client_id")?;
        let redirect_uri = form::single(asked, "redirect_uri")?;
        let client = lock(&self.clients)
            .iter()
            .find(|client| client.id == id)
            .cloned()?;
        if !client.redirect_uris.contains(&redirect_uri) {
            changes
                .warn("this `redirect_uri` is not one that the client registered here: it is left as it is");
            return None;
        }
        let theirs = raw_state(asked)?;
        is_plain_code(asked).then_some(())?;
        let state = mint()?;
        changes.rewrote("redirect_uri", &redirect_uri, &client.back);
        changes.rewrote("state", "(the client's)", "(ours)");
        let swapped = form::replaced(asked, "redirect_uri", &client.back);
        let swapped = match theirs {
            Some(_) => form::replaced(&swapped, "state", &state),
            None => [&swapped, "&state=", &state].concat(),
        };
        self.begin(Login {
            state,
            theirs,
            redirect_uri,
            back: client.back,
            issuer,
            begun: now,
            is_back: false,
            code: None,
        });
        Some(swapped)
    }

    fn begin(&self, login: Login) {
        let mut logins = lock(&self.logins);
        let now = login.begun;
        logins.retain(|login| now.since(login.begun) <= LOGIN);
        if logins.len() == MAX_LOGINS {
            logins.remove(0);
        }
        logins.push(login);
    }

    /// Where a browser goes on to that came back with `query`: once, and only for a login that began here. `named` is the
    /// issuer that the server states of itself; another one in `iss`, or none, stays for the client to judge.
    pub(super) fn arrive(
        &self,
        query: &str,
        named: &str,
        now: Timestamp,
        changes: &mut Changes,
    ) -> Option<String> {
        let state = form::single(query, "state")?;
        let mut logins = lock(&self.logins);
        let is_it =
            |login: &&mut Login| !login.is_back && login.state == state && now.since(login.begun) <= LOGIN;
        let login = logins.iter_mut().find(is_it)?;
        login.is_back = true;
        login.code = form::single(query, "code").map(|code| fingerprint(code.as_bytes()));
        changes.rewrote("redirect_uri", &login.back, &login.redirect_uri);
        changes.rewrote("state", "(ours)", "(the client's)");
        let parts = query.split('&').filter_map(|part| {
            if form::raw_value(part, "state").is_some() {
                return login.theirs.as_ref().map(|theirs| ["state=", theirs].concat());
            }
            Some(match form::raw_value(part, "iss").map(form::decoded) {
                Some(theirs) => login.issuer_for(part, &theirs, named, changes),
                None => part.to_owned(),
            })
        });
        let query: Vec<String> = parts.collect();
        let joint = if login.redirect_uri.contains('?') {
            "&"
        } else {
            "?"
        };
        Some([&login.redirect_uri, joint, &query.join("&")].concat())
    }

    /// The form that asks for a token with a code which came through here, with our address as it was when the browser
    /// departed. `None` for any other.
    pub(super) fn redeem(&self, asked: &str, now: Timestamp, changes: &mut Changes) -> Option<String> {
        let code = fingerprint(form::single(asked, "code")?.as_bytes());
        let redirect_uri = form::single(asked, "redirect_uri")?;
        let logins = lock(&self.logins);
        let login = logins.iter().find(|login| {
            login.code == Some(code) && login.redirect_uri == redirect_uri && now.since(login.begun) <= LOGIN
        })?;
        changes.rewrote("redirect_uri", &redirect_uri, &login.back);
        Some(form::replaced(asked, "redirect_uri", &login.back))
    }
}

impl Login {
    fn issuer_for(&self, part: &str, theirs: &str, named: &str, changes: &mut Changes) -> String {
        if theirs == named {
            changes.rewrote("iss", theirs, &self.issuer);
            return ["iss=", &form::encoded(&self.issuer)].concat();
        }
        changes.warn(format!(
            "this redirect names {theirs} as its issuer, and the metadata {named}: it is left as it is, and clients that compare them refuse it"
        ));
        part.to_owned()
    }
}

/// The client's state as spelled, if there is one. `None` if it cannot be given back as it was.
#[expect(
    clippy::option_option,
    reason = "that there is none is as good as that there is one"
)]
fn raw_state(asked: &str) -> Option<Option<String>> {
    let mut states = asked.split('&').filter_map(|part| form::raw_value(part, "state"));
    let state = states.next();
    let fits = |state: &str| {
        state.len() <= MAX_STATE && state.bytes().all(|byte| byte.is_ascii_graphic() && byte != b'#')
    };
    let is_clear = states.next().is_none() && state.is_none_or(fits);
    is_clear.then(|| state.map(str::to_owned))
}

/// Whether a code will come in the query, and nothing else anywhere else; and that no signed copy of the request
/// contradicts what is changed (RFC 9101).
fn is_plain_code(asked: &str) -> bool {
    let is_query = !form::has(asked, "response_mode")
        || form::single(asked, "response_mode").is_some_and(|mode| mode == "query");
    form::single(asked, "response_type").is_some_and(|kind| kind == "code")
        && is_query
        && !form::has(asked, "request")
        && !form::has(asked, "request_uri")
}

/// A state that nobody can guess; `None` if the system has no random bytes.
fn mint() -> Option<String> {
    let mut bytes = [0; 24];
    SystemRandom::new().fill(&mut bytes).ok()?;
    let digits: Vec<String> = bytes.iter().map(|byte| format!("{byte:02x}")).collect();
    Some(digits.concat())
}

#[cfg(test)]
mod tests;
