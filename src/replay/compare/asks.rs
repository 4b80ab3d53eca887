//! What the servers of two recordings asked their clients, compared.

use super::recordings::{Asked, name_of};
use super::{CompareOptions, Moments, Outcome, Report, Row, call_key, compare, pair_up, text_at};
use crate::replay::hearing::{Hearing, own_time};
use crate::replay::tape::{Tape, TapeCall, TapeSession};

/// Why a request that servers make when a client is ready may be in one recording only.
const EARLY_END: &str = "the server asks roots/list in only one of the two; the other may have ended too early for it, or had no stream for it";

/// A request of a server.
struct Ask<'a> {
    tape: &'a Tape,
    session: &'a TapeSession,
    call: &'a TapeCall,
}

/// Adds a row for each request of the servers. `calls` are those of the clients, in `pairs`.
pub(super) fn add(
    report: &mut Report,
    (before, after): (&Tape, &Tape),
    (old, new): (&[Asked<'_>], &[Asked<'_>]),
    pairs: &[(Option<usize>, Option<usize>)],
    options: &CompareOptions,
) {
    let (ones, others) = (asks(before), asks(after));
    let is_same_call = |one: &Ask<'_>, other: &Ask<'_>| {
        let mut both = pairs
            .iter()
            .filter_map(|(one, other)| Some((&old[(*one)?], &new[(*other)?])));
        both.any(|(first, second)| one.is_during(first) && other.is_during(second))
    };
    let options = options.of_asks();
    let mut is_early_end = false;
    for pair in paired(&ones, &others, is_same_call) {
        let row = match pair {
            (Some(one), Some(other)) => Some(ones[one].against(&others[other], &options)),
            (Some(one), None) if ones[one].may_be_too_late(after) => None,
            (Some(one), None) => Some(
                ones[one]
                    .row(Outcome::Missing)
                    .noting("the server does not ask it in the second"),
            ),
            (None, Some(other)) if others[other].may_be_too_late(before) => None,
            (None, Some(other)) => Some(
                others[other]
                    .row(Outcome::Extra)
                    .noting("the server does not ask it in the first"),
            ),
            (None, None) => continue,
        };
        is_early_end |= row.is_none();
        report.rows.extend(row);
    }
    if is_early_end {
        report.remarks.push(EARLY_END.to_owned());
    }
}

fn asks(tape: &Tape) -> Vec<Ask<'_>> {
    let of = |session| TapeSession::server_calls(session).map(move |call| Ask { tape, session, call });
    let asks = tape.sessions.iter().flat_map(of);
    asks.filter(|ask| &*ask.call.method != "ping").collect()
}

/// Those that ask for the same; then those of one method, first within the same call. Each is taken once.
fn paired(
    ones: &[Ask<'_>],
    others: &[Ask<'_>],
    is_same_call: impl Fn(&Ask<'_>, &Ask<'_>) -> bool,
) -> Vec<(Option<usize>, Option<usize>)> {
    let keys = |asks: &[Ask<'_>]| -> Vec<String> { asks.iter().map(|ask| call_key(ask.text())).collect() };
    let mut pairs = pair_up(&keys(ones), &keys(others));
    let alone = |(one, other): &(Option<usize>, Option<usize>)| other.filter(|_| one.is_none());
    let mut left: Vec<usize> = pairs.iter().filter_map(alone).collect();
    pairs.retain(|(one, _)| one.is_some());
    for is_within in [true, false] {
        for (one, partner) in pairs.iter_mut().filter(|(_, partner)| partner.is_none()) {
            let Some(one) = one.map(|one| &ones[one]) else {
                continue;
            };
            let fits = |place: &usize| {
                let other = &others[*place];
                one.call.method == other.call.method && (!is_within || is_same_call(one, other))
            };
            *partner = left.iter().position(fits).map(|place| left.remove(place));
        }
    }
    pairs.extend(left.into_iter().map(|other| (None, Some(other))));
    pairs
}

impl Ask<'_> {
    fn text(&self) -> &[u8] {
        &self.session.messages[self.call.request].text
    }

    /// Whether it came during this request of the client.
    fn is_during(&self, asked: &Asked<'_>) -> bool {
        let during = self.call.during.and_then(|during| self.session.calls.get(during));
        during.is_some_and(|during| std::ptr::eq(during, asked.call))
    }

    fn row(&self, outcome: Outcome) -> Row {
        let about = text_at(self.text(), &["params", "message"]).unwrap_or_default();
        Row {
            is_from_server: true,
            ..Row::new(&name_of(self.session), &self.call.method, &about, outcome)
        }
    }

    fn against(&self, other: &Self, options: &CompareOptions) -> Row {
        let moment = |ask: &Self| Some(ask.tape.moment(ask.session.messages[ask.call.request].us));
        let moments = Moments {
            recorded: moment(self),
            live: moment(other),
        };
        let found = compare(&self.call.method, self.text(), other.text(), moments, options);
        self.row(Outcome::Same).compared(found)
    }

    /// Whether no session of the other recording lasted long enough for it.
    ///
    /// Source: MCP, Roots: servers ask for them when a client is ready, without a reason in any call.
    fn may_be_too_late(&self, other: &Tape) -> bool {
        let own_time = own_time(self.session, self.call).filter(|_| &*self.call.method == "roots/list");
        own_time.is_some_and(|time| {
            let is_during_call = self.call.during.is_some();
            let mut sessions = other.sessions.iter();
            !sessions.any(|session| Hearing::of(session).covers(time, is_during_call))
        })
    }
}
