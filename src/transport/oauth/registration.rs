//! Clients that register with a relayed authorization server: it hears of one more address to send browsers to, which is
//! ours.
//!
//! Source: RFC 7591 §2 (`redirect_uris`), §3.1 and §3.2.1 (request and response).

use std::sync::{Arc, OnceLock};

use reqwest::Url;

use super::splice::Splice;
use super::way_back::Client;
use crate::codec::json::{elements, string_value};
use crate::transport::rewrite::Changes;

/// Addresses of one client, and bytes of one of them or of a client's id; a registration with more is left alone.
const MAX_ADDRESSES: usize = 16;
const MAX_BYTES: usize = 2 * 1024;
/// What a browser would not go to, but run or open.
const NO_PLACES: [&str; 6] = ["javascript", "data", "vbscript", "blob", "file", "about"];

/// A registration on its way: what was asked for, which its response needs.
#[derive(Debug, Default, Clone)]
pub(crate) struct Registration(Arc<OnceLock<Sent>>);

#[derive(Debug)]
struct Sent {
    /// Those of the client itself.
    redirect_uris: Vec<String>,
    /// Ours.
    back: String,
}

impl Registration {
    /// Adds `back` to the addresses that a client names. `None` if it names none, or some that cannot be kept.
    pub(super) fn request(&self, text: &[u8], back: &str, changes: &mut Changes) -> Option<Vec<u8>> {
        let mut splice = Splice::new(text);
        let members = splice.members();
        let mut lists = members.iter().filter(|member| member.name == "redirect_uris");
        let list = lists.next().filter(|_| lists.next().is_none())?;
        let spelled: Vec<&[u8]> = elements(list.value).collect();
        let theirs: Vec<String> = spelled
            .iter()
            .map(|element| string_value(element).into_owned())
            .collect();
        let is_known = theirs.iter().any(|address| address == back);
        if is_known || theirs.len() > MAX_ADDRESSES || !theirs.iter().all(|address| is_address(address)) {
            return None;
        }
        let added = [spelled.last()?, &b", "[..], &quoted(back)].concat();
        splice.replace_raw(spelled.last()?, added);
        let before = theirs.join(" ");
        changes.rewrote("redirect_uris", &before, &[&before, " ", back].concat());
        let sent = Sent {
            redirect_uris: theirs,
            back: back.to_owned(),
        };
        self.0.set(sent).ok()?;
        splice.finish()
    }

    /// What the server made of it: the client hears of its own addresses only. Gives the client too, if browsers can be
    /// sent back through us.
    pub(super) fn response(&self, text: &[u8], changes: &mut Changes) -> (Option<Vec<u8>>, Option<Client>) {
        let Some(Sent { redirect_uris, back }) = self.0.get() else {
            return (None, None);
        };
        let mut splice = Splice::new(text);
        let members = splice.members();
        let id = members.iter().find(|member| member.name == "client_id");
        let id = id.map(|member| string_value(member.value).into_owned());
        let Some(id) = id.filter(|id| id.len() <= MAX_BYTES) else {
            return (None, None);
        };
        if let Some(list) = members.iter().find(|member| member.name == "redirect_uris") {
            let is_ours = |element: &&[u8]| string_value(element) == back.as_str();
            let (ours, theirs): (Vec<_>, Vec<_>) = elements(list.value).partition(is_ours);
            if ours.is_empty() {
                changes.warn(format!(
                    "the authorization server left {back} out of the `redirect_uris`: it sends browsers straight to the client and names itself"
                ));
                return (None, None);
            }
            let shown: Vec<_> = theirs.iter().map(|element| string_value(element)).collect();
            let shown = shown.join(" ");
            changes.rewrote("redirect_uris", &[&shown, " ", back].concat(), &shown);
            splice.replace_raw(list.value, [b"[", &theirs.join(&b", "[..])[..], b"]"].concat());
        }
        let client = Client {
            id,
            redirect_uris: redirect_uris.clone(),
            back: back.clone(),
        };
        (splice.finish(), Some(client))
    }

    /// Says what may be the matter if a registration to which we added something is refused.
    pub(super) fn refused(&self, text: &[u8], changes: &mut Changes) {
        let error = crate::codec::json::find_path(text, &[crate::codec::json::PathStep::Key("error")]);
        let is_about_it = [&br#""invalid_redirect_uri""#[..], br#""invalid_client_metadata""#];
        let is_about_it = error.is_some_and(|error| is_about_it.contains(&error));
        if let Some(sent) = self.0.get().filter(|_| is_about_it) {
            changes.warn(format!(
                "the authorization server refuses this registration; perhaps since --oauth relay added {} to its `redirect_uris`",
                sent.back
            ));
        }
    }
}

/// Whether browsers can be sent there, with something added to its query (RFC 6749 §3.1.2: no fragment).
fn is_address(address: &str) -> bool {
    let is_plain = address
        .bytes()
        .all(|byte| byte.is_ascii_graphic() && byte != b'#');
    is_plain
        && address.len() <= MAX_BYTES
        && Url::parse(address).is_ok_and(|url| !NO_PLACES.contains(&url.scheme()))
}

fn quoted(text: &str) -> Vec<u8> {
    serde_json::Value::from(text).to_string().into_bytes()
}

#[cfg(test)]
mod tests {
    use super::*;

    const BACK: &str = "http://me/back";

    fn asked(text: &str) -> (Registration, Option<String>) {
        let registration = Registration::default();
        let changed = registration.request(text.as_bytes(), BACK, &mut Changes::default());
        (registration, changed.map(|text| String::from_utf8(text).unwrap()))
    }

    #[test]
    fn our_address_is_added_for_the_server_and_taken_out_for_the_client() {
        let (registration, document) =
            asked(r#"{ "client_name":"c", "redirect_uris" : ["http://a/cb" , "x-app:cb" ],"n":1.0}"#);
        assert_eq!(
            document.unwrap(),
            r#"{ "client_name":"c", "redirect_uris" : ["http://a/cb" , "x-app:cb", "http://me/back" ],"n":1.0}"#
        );
        let response = r#"{"redirect_uris":["x-app:cb","http:\/\/me\/back","http://a/cb"], "client_id":"\u0041","n":1.0}"#;
        let mut changes = Changes::default();
        let (document, client) = registration.response(response.as_bytes(), &mut changes);
        assert_eq!(
            String::from_utf8(document.unwrap()).unwrap(),
            r#"{"redirect_uris":["x-app:cb", "http://a/cb"], "client_id":"A","n":1.0}"#
                .replace('A', r"\u0041")
        );
        let client = client.unwrap();
        assert_eq!((client.id.as_str(), client.back.as_str()), ("A", BACK));
        assert_eq!(client.redirect_uris, ["http://a/cb", "x-app:cb"]);
        assert_eq!(
            changes.rewrites,
            ["redirect_uris: x-app:cb http://a/cb http://me/back → x-app:cb http://a/cb"]
        );
    }

    #[test]
    fn a_registration_that_no_browser_comes_back_from_stays() {
        let many = vec!["\"http://a/\""; MAX_ADDRESSES + 1].join(",");
        for list in [
            "[]",
            "\"http://a\"",
            "[7]",
            r#"["javascript:alert(1)"]"#,
            r#"["http://a/#f"]"#,
            r#"["http://a/\r\nX: y"]"#,
            r#"["http://a/", "http://me/back"]"#,
            &format!("[{many}]"),
        ] {
            let (registration, document) = asked(&format!(r#"{{"redirect_uris":{list}}}"#));
            assert_eq!(document, None, "{list}");
            let (document, client) = registration.response(br#"{"client_id":"c"}"#, &mut Changes::default());
            assert!(document.is_none() && client.is_none(), "{list}");
        }
    }

    #[test]
    fn a_server_that_does_not_take_our_address_is_said_and_left() {
        let (registration, _) = asked(r#"{"redirect_uris":["http://a/"]}"#);
        let mut changes = Changes::default();
        let response = br#"{"client_id":"c","redirect_uris":["http://a/"]}"#;
        let (document, client) = registration.response(response, &mut changes);
        assert!(document.is_none() && client.is_none());
        assert!(changes.findings[0].text.contains("left http://me/back out"));
        let mut changes = Changes::default();
        registration.refused(br#"{"error":"invalid_redirect_uri"}"#, &mut changes);
        assert!(changes.findings[0].text.contains("refuses this registration"));
    }

    #[test]
    fn a_response_that_does_not_repeat_the_addresses_has_accepted_them() {
        let (registration, _) = asked(r#"{"redirect_uris":["http://a/"]}"#);
        let (document, client) = registration.response(br#"{"client_id":"c"}"#, &mut Changes::default());
        assert_eq!(document, None);
        assert_eq!(client.unwrap().redirect_uris, ["http://a/"]);
    }
}
