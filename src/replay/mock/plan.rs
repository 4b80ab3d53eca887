//! What is answered to a request.

use bytes::Bytes;
use http::HeaderMap;
use serde_json::{Value, json};

use super::core::Core;
use super::library::{Ending, Library, Script};
use super::likeness::{Likeness, Nearest, TOLD_DIFFERENCES, likeness, nearest, salient_params};
use super::record::{Found, MockCall, Recorded};
use super::refusal::contradiction;
use super::session::LiveSession;
use super::{MISSED, OnMiss};
use crate::codec::envelope::{Envelope, Field};
use crate::codec::json::{PathStep, find_path};
use crate::intercept::edit::Difference;
use crate::recording::TextMask;
use crate::replay::mask::masked_at;
use crate::session::pairing::subject;
use crate::transport::bridge::agreement::Disagreement;
use crate::transport::bridge::ids::{IdPlace, spelled_at};

/// A request of a live client.
#[derive(Debug)]
pub(super) struct Request {
    pub(super) text: Bytes,
    pub(super) envelope: Envelope,
    /// Its id and its progress token, as spelled.
    pub(super) id: String,
    pub(super) token: Option<String>,
    pub(super) method: String,
    pub(super) is_modern: bool,
    pub(super) params: Value,
    /// What the client said that it can be asked, where each request says so.
    pub(super) capabilities: Value,
    /// What its headers say otherwise than its body: the code of that, and the words.
    pub(super) contradiction: Option<Disagreement>,
}

impl Request {
    pub(super) fn new(text: Bytes, envelope: Envelope, is_modern: bool) -> Self {
        let spelled = |place| spelled_at(&text, place).map(str::to_owned);
        let method = envelope.method.as_deref().unwrap_or_default().to_owned();
        Self {
            id: spelled(IdPlace::Id).unwrap_or_else(|| "null".to_owned()),
            token: spelled(IdPlace::AskedToken),
            params: salient_params(&method, &text),
            method,
            is_modern,
            capabilities: capabilities(&text),
            contradiction: None,
            envelope,
            text,
        }
    }

    /// The request as it came with `headers`, which repeat what it says (2026-07-28).
    pub(super) fn with_head(self, headers: &HeaderMap, library: &Library) -> Self {
        let is_checked = self.is_modern && library.has_modern;
        let contradiction = is_checked
            .then(|| library.heads.contradiction(headers, &self.text, &self.envelope))
            .flatten();
        Self {
            contradiction,
            ..self
        }
    }

    /// Its params as they were said; `null` without any.
    fn said_params(&self) -> Value {
        let params = find_path(&self.text, &[PathStep::Key("params")]);
        params
            .and_then(|params| serde_json::from_slice(params).ok())
            .unwrap_or_default()
    }
}

fn capabilities(text: &[u8]) -> Value {
    let path = [
        PathStep::Key("params"),
        PathStep::Key("_meta"),
        PathStep::Key("io.modelcontextprotocol/clientCapabilities"),
    ];
    let declared = find_path(text, &path).and_then(|declared| serde_json::from_slice(declared).ok());
    declared.unwrap_or_default()
}

/// What is answered to a request.
#[derive(Debug)]
pub(super) enum Plan {
    /// As in the script at this place.
    Play(usize),
    /// With this `result`.
    Result(Value),
    /// With this `error`; the status is for HTTP.
    Error { error: Value, status: u16 },
    /// By the live server; what is taken down of the request once that has answered.
    Pass(Option<Box<MockCall>>),
}

/// What is answered, and why.
pub(super) struct Decision {
    pub(super) plan: Plan,
    pub(super) found: Found,
    pub(super) recorded: Option<Recorded>,
    pub(super) note: Option<String>,
}

impl Decision {
    const fn new(plan: Plan, found: Found, note: Option<String>) -> Self {
        Self {
            plan,
            found,
            recorded: None,
            note,
        }
    }
}

impl Decision {
    /// Without the secrets of what we quote. Values are without theirs already, since only their place tells them.
    fn masked(mut self, mask: &TextMask) -> Self {
        self.note = self.note.map(|note| mask.masked(&note));
        if let Plan::Error { error, .. } = &mut self.plan
            && let Some(message) = error.get_mut("message")
        {
            *message = mask.masked(message.as_str().unwrap_or_default()).into();
        }
        self
    }
}

impl From<Fit> for Decision {
    fn from(fit: Fit) -> Self {
        Self {
            plan: Plan::Play(fit.script),
            found: fit.found,
            recorded: Some(fit.recorded),
            note: fit.note,
        }
    }
}

/// A script that fits.
struct Fit {
    script: usize,
    found: Found,
    recorded: Recorded,
    note: Option<String>,
}

impl Core {
    /// Decides what is answered, and takes it down.
    pub(super) fn plan(&self, session: &LiveSession, request: &Request) -> Plan {
        let decision = self
            .fit(session, request)
            .unwrap_or_else(|| self.unrecorded(session, request))
            .masked(&self.mask);
        let call = MockCall {
            number: 0,
            at: self.clock.now(),
            session: session.label.clone(),
            method: request.method.clone(),
            subject: subject(&request.envelope).map(str::to_owned),
            params: request.said_params(),
            found: decision.found,
            recorded: decision.recorded,
            note: decision.note,
        };
        if matches!(decision.plan, Plan::Pass(_)) {
            return Plan::Pass(Some(Box::new(call)));
        }
        self.journal.note(call);
        decision.plan
    }

    fn fit(&self, session: &LiveSession, request: &Request) -> Option<Decision> {
        if request.method == "initialize" && !request.is_modern {
            return self.handshake(session, request).map(Decision::from);
        }
        let recorded = session.recorded();
        let all: Vec<(usize, Likeness)> = self
            .scripts_of(request)
            .filter_map(|(place, script)| Some((place, likeness(&script.params, &request.params)?)))
            .collect();
        let best = all.iter().map(|(_, likeness)| *likeness).max()?;
        let alike = all.iter().filter(|(_, likeness)| *likeness == best);
        let alike = match self.playable(request, alike.map(|(place, _)| *place).collect()) {
            Ok(alike) => alike,
            Err(refusal) => return Some(*refusal),
        };
        let found = match best {
            Likeness::Same | Likeness::ButForNulls => Found::Same,
            Likeness::Round => Found::Round,
        };
        let of_session = |place: &usize| Some(self.library.scripts[*place].session) == recorded;
        let own: Vec<usize> = alike.iter().copied().filter(of_session).collect();
        let fit = self.next_of(session, if own.is_empty() { alike } else { own }, found);
        Some(fit.into())
    }

    /// The next of equal requests: each has its turn, then the last one stays.
    fn next_of(&self, session: &LiveSession, mut alike: Vec<usize>, found: Found) -> Fit {
        let is_bare = |place: &usize| self.library.scripts[*place].is_bare_refusal();
        if !alike.iter().all(is_bare) {
            // Nobody logs in here, so a refusal that asked for it would be the end.
            alike.retain(|place| !is_bare(place));
        }
        let kind = alike.first().copied().unwrap_or_default();
        let turn = session.turn(kind).min(alike.len().saturating_sub(1));
        let script = alike.get(turn).copied().unwrap_or(kind);
        Fit {
            script,
            found,
            recorded: Recorded {
                exchange: self.library.scripts[script].exchange.get(),
                id: self.library.scripts[script].told_id(),
                turn: turn + 1,
                turns: alike.len(),
            },
            note: unanswered(&self.library.scripts[script]).map(str::to_owned),
        }
    }

    /// Scripts of the same method and era.
    fn scripts_of<'a>(&'a self, request: &'a Request) -> impl Iterator<Item = (usize, &'a Script)> {
        let scripts = self.library.scripts.iter().enumerate();
        scripts
            .filter(|(_, script)| *script.method == *request.method && script.is_modern == request.is_modern)
    }

    fn handshake(&self, session: &LiveSession, request: &Request) -> Option<Fit> {
        let asked = request.envelope.fields.get(Field::ParamsProtocolVersion);
        let mut alike: Vec<usize> = self.scripts_of(request).map(|(place, _)| place).collect();
        let agreed = |place: &usize| self.revision_of(*place);
        if alike.iter().any(|place| agreed(place).as_deref() == asked) {
            alike.retain(|place| agreed(place).as_deref() == asked);
        }
        if alike.is_empty() {
            return None;
        }
        let mut fit = self.next_of(&self.everybody, alike, Found::Same);
        let agreed = agreed(&fit.script);
        if let (Some(agreed), Some(asked)) = (&agreed, asked)
            && agreed != asked
        {
            fit.note = Some(format!(
                "the client asked for {asked}; the recording agreed on {agreed}, which is answered"
            ));
        }
        let recorded = self.library.scripts[fit.script].session;
        session.begin(Some(recorded), request.said_params());
        Some(fit)
    }

    /// The revision that a recorded handshake agreed on.
    fn revision_of(&self, script: usize) -> Option<String> {
        self.revisions.get(&self.library.scripts[script].session).cloned()
    }

    fn unrecorded(&self, session: &LiveSession, request: &Request) -> Decision {
        if !request.is_modern && request.method == "ping" {
            return Decision::new(Plan::Result(json!({})), Found::MadeUp, None);
        }
        if let OnMiss::Pass(_) = &self.options.on_miss {
            if request.method == "initialize" {
                session.begin(None, request.said_params());
            }
            return Decision::new(Plan::Pass(None), Found::Passed, None);
        }
        if let Some(refusal) = self.other_era(request).or_else(|| contradiction(request)) {
            return refusal;
        }
        if let Some((result, note)) = self.made_up(session, request) {
            return Decision::new(Plan::Result(result), Found::MadeUp, Some(note));
        }
        let near = nearest(self.scripts_of(request), &request.params).map(|near| Nearest {
            differences: self.without_secrets(near.differences),
            ..near
        });
        if self.options.on_miss == OnMiss::Nearest
            && let Some(near) = near.as_ref().filter(|near| !near.is_about_another)
        {
            return match self.playable(request, vec![near.place]) {
                Ok(alike) => {
                    let mut fit = self.next_of(session, alike, Found::Nearest);
                    let open = fit
                        .note
                        .take()
                        .map_or_else(String::new, |note| format!("; {note}"));
                    fit.note = Some(format!("it {}{open}", told(&near.differences)));
                    fit.into()
                }
                Err(refusal) => *refusal,
            };
        }
        self.missed(request, near.as_ref())
    }

    /// What any server would answer, where the recording says nothing about it at all.
    fn made_up(&self, session: &LiveSession, request: &Request) -> Option<(Value, String)> {
        if self.scripts_of(request).next().is_some() {
            return None;
        }
        let note = |what: &str| format!("{what} was not recorded");
        let info = json!({"name": "shadowcat-tui replay", "version": env!("CARGO_PKG_VERSION")});
        match request.method.as_str() {
            "initialize" => {
                session.begin(None, request.said_params());
                let asked = request.envelope.fields.get(Field::ParamsProtocolVersion);
                let revision = self.library.legacy_revision.as_deref().or(asked);
                let result = json!({"protocolVersion": revision, "capabilities": self.capabilities(false), "serverInfo": info});
                Some((result, note("the handshake")))
            }
            "server/discover" => {
                let result = json!({
                    "resultType": "complete",
                    "supportedVersions": self.library.modern_revisions,
                    "capabilities": self.capabilities(true),
                    "_meta": {"io.modelcontextprotocol/serverInfo": info},
                });
                Some((result, note("the discovery")))
            }
            "tools/list" => Some((
                self.listed(request, "tools", "tools/call", "name"),
                note("the list"),
            )),
            "prompts/list" => Some((
                self.listed(request, "prompts", "prompts/get", "name"),
                note("the list"),
            )),
            "resources/list" => Some((
                self.listed(request, "resources", "resources/read", "uri"),
                note("the list"),
            )),
            _ => None,
        }
    }

    /// The things that recorded requests were about.
    fn listed(&self, request: &Request, list: &str, method: &str, key: &str) -> Value {
        let mut names: Vec<&str> = self
            .library
            .scripts
            .iter()
            .filter(|script| &*script.method == method && script.is_modern == request.is_modern)
            // The recorded server did not know it.
            .filter(|script| !script.said.is_unknown)
            .filter_map(|script| script.subject.as_deref())
            .collect();
        names.sort_unstable();
        names.dedup();
        let item = |name: &&str| match list {
            "tools" => json!({key: name, "inputSchema": {"type": "object"}}),
            "resources" => json!({key: name, "name": name}),
            _ => json!({key: name}),
        };
        let items: Vec<Value> = names.iter().map(item).collect();
        let mut result = json!({list: items});
        if request.is_modern {
            result["resultType"] = "complete".into();
            result["ttlMs"] = 0.into();
            result["cacheScope"] = "private".into();
        }
        result
    }

    fn capabilities(&self, is_modern: bool) -> Value {
        let mut capabilities = json!({});
        for (capability, start) in [
            ("tools", "tools/"),
            ("prompts", "prompts/"),
            ("resources", "resources/"),
            ("completions", "completion/"),
            ("logging", "logging/"),
        ] {
            let is_used = |script: &Script| script.is_modern == is_modern && script.method.starts_with(start);
            if self.library.scripts.iter().any(is_used) {
                capabilities[capability] = json!({});
            }
        }
        capabilities
    }

    /// Differences of params as they may be told.
    fn without_secrets(&self, mut differences: Vec<Difference>) -> Vec<Difference> {
        for difference in differences.iter_mut().take(TOLD_DIFFERENCES) {
            let masked = |value: &String| masked_at(&self.mask, &["params"], &difference.path, value);
            let (before, after) = (&difference.before, &difference.after);
            (difference.before, difference.after) = (before.as_ref().map(masked), after.as_ref().map(masked));
        }
        differences
    }

    fn missed(&self, request: &Request, near: Option<&Nearest>) -> Decision {
        let about = subject(&request.envelope).map_or_else(String::new, |subject| format!(" `{subject}`"));
        let (note, nearest) = if let Some(Nearest {
            place, differences, ..
        }) = near
        {
            let script = &self.library.scripts[*place];
            let name = script.subject.as_deref().unwrap_or(&script.method);
            let note = format!(
                "the nearest is {} `{name}` ({}), which {}",
                script.method,
                script.place(),
                told(differences)
            );
            let told: Vec<Value> = differences
                .iter()
                .take(TOLD_DIFFERENCES)
                .map(|difference| {
                    json!({
                        "path": difference.path, "recorded": difference.before, "asked": difference.after,
                    })
                })
                .collect();
            let params = self.mask.masked_value(&[Some("params")], &script.params);
            let mut nearest = json!({"exchange": script.exchange.get(), "method": script.method, "params": params, "differences": told});
            if let Some(id) = script.told_id() {
                nearest["id"] = id;
            }
            (note, nearest)
        } else {
            let methods = self.methods(request.is_modern);
            (
                format!("it has these methods: {}", methods.join(", ")),
                Value::Null,
            )
        };
        let message = format!("Not in the recording: {}{about}; {note}", request.method);
        let data = json!({"origin": "shadowcat", "reason": "not_recorded", "nearest": nearest});
        let error = json!({"code": MISSED, "message": message, "data": data});
        Decision::new(Plan::Error { error, status: 200 }, Found::Missed, Some(note))
    }

    fn methods(&self, is_modern: bool) -> Vec<&str> {
        let scripts = self
            .library
            .scripts
            .iter()
            .filter(|script| script.is_modern == is_modern);
        let mut methods: Vec<&str> = scripts.map(|script| &*script.method).collect();
        methods.sort_unstable();
        methods.dedup();
        methods
    }
}

/// What is told of a script without an answer; what HTTP itself answered speaks for itself.
const fn unanswered(script: &Script) -> Option<&'static str> {
    match script.ending {
        Ending::Open => Some("no answer was recorded, so it stays open"),
        Ending::Closed if !script.has_body() => {
            Some("no answer was recorded, and the response ended without one")
        }
        Ending::Closed | Ending::Answered => None,
    }
}

/// How the nearest request differs, in words.
fn told(differences: &[Difference]) -> String {
    let none = |text: &Option<String>| text.as_deref().map_or_else(|| "nothing".to_owned(), shortened);
    let one = |difference: &Difference| {
        format!(
            "{} (recorded {}, asked {})",
            difference.path,
            none(&difference.before),
            none(&difference.after)
        )
    };
    let mut told: Vec<String> = differences.iter().take(TOLD_DIFFERENCES).map(one).collect();
    if differences.len() > TOLD_DIFFERENCES {
        told.push(format!("{} more", differences.len() - TOLD_DIFFERENCES));
    }
    format!("differs at {}", told.join(", "))
}

/// A value that fits into a line.
fn shortened(text: &str) -> String {
    const ROOM: usize = 60;
    if text.chars().count() <= ROOM {
        return text.to_owned();
    }
    let mut short: String = text.chars().take(ROOM).collect();
    short.push('…');
    short
}
