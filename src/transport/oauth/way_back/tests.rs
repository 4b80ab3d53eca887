use super::*;

const NAMED: &str = "https://as/t";
const OURS: &str = "http://me/1";

fn at(seconds: u64) -> Timestamp {
    Timestamp::from_micros(seconds * 1_000_000)
}

fn client(id: &str) -> Client {
    Client {
        id: id.to_owned(),
        redirect_uris: vec!["http://app/cb".to_owned(), "x-app:cb?own=1".to_owned()],
        back: "http://me/1/back".to_owned(),
    }
}

fn known() -> WayBack {
    let way = WayBack::default();
    way.register(client("c"));
    way
}

fn depart(way: &WayBack, asked: &str, now: Timestamp) -> Option<String> {
    way.depart(asked, OURS.to_owned(), now, &mut Changes::default())
}

/// Departs, and gives the state that the server hears.
fn begin(way: &WayBack, asked: &str, now: Timestamp) -> String {
    form::single(&depart(way, asked, now).unwrap(), "state").unwrap()
}

fn arrive(way: &WayBack, query: &str, now: Timestamp) -> Option<String> {
    way.arrive(query, NAMED, now, &mut Changes::default())
}

const ASKED: &str =
    "response_type=code&client_id=c&redirect_uri=http%3A%2F%2Fapp%2Fcb&state=a%2fb+c&code_challenge=%41";

#[test]
fn a_login_goes_out_and_comes_back_and_only_what_has_to_differ_does() {
    let way = known();
    let out = depart(&way, ASKED, at(1)).unwrap();
    let state = form::single(&out, "state").unwrap();
    assert_eq!(
        out,
        format!(
            "response_type=code&client_id=c&redirect_uri=http%3A%2F%2Fme%2F1%2Fback&state={state}&code_challenge=%41"
        )
    );
    let back = format!("code=%43&state={state}&iss=https%3a%2F%2Fas%2Ft&session=+x");
    assert_eq!(
        arrive(&way, &back, at(2)).unwrap(),
        "http://app/cb?code=%43&state=a%2fb+c&iss=http%3A%2F%2Fme%2F1&session=+x"
    );
    let mut changes = Changes::default();
    let form = "grant_type=authorization_code&code=C&redirect_uri=http://app/cb&x=%41";
    assert_eq!(
        way.redeem(form, at(3), &mut changes).unwrap(),
        "grant_type=authorization_code&code=C&redirect_uri=http%3A%2F%2Fme%2F1%2Fback&x=%41"
    );
    assert_eq!(
        changes.rewrites,
        ["redirect_uri: http://app/cb → http://me/1/back"]
    );
    for other in [
        "code=D&redirect_uri=http://app/cb",
        "code=C&redirect_uri=x-app:cb",
        "code=C",
    ] {
        assert_eq!(way.redeem(other, at(3), &mut changes), None, "{other}");
    }
}

#[test]
fn a_client_without_a_state_gets_none() {
    let way = known();
    let asked = "response_type=code&client_id=c&redirect_uri=x-app:cb?own=1";
    let state = begin(&way, asked, at(1));
    assert_eq!(
        arrive(&way, &format!("error=access_denied&state={state}"), at(2)).unwrap(),
        "x-app:cb?own=1&error=access_denied"
    );
}

#[test]
fn an_issuer_that_the_metadata_does_not_name_is_left_for_the_client_to_refuse() {
    for iss in ["&iss=https://as/t/", "&iss=https://evil", ""] {
        let way = known();
        let state = begin(&way, ASKED, at(1));
        assert_eq!(
            arrive(&way, &format!("state={state}{iss}"), at(2)).unwrap(),
            format!("http://app/cb?state=a%2fb+c{iss}")
        );
    }
}

#[test]
fn nobody_is_sent_to_an_address_that_the_client_did_not_register() {
    let way = known();
    for asked in [
        ASKED.replace("app%2Fcb", "evil%2Fcb"),
        ASKED.replace("app%2Fcb", "app%2Fcb%2F"),
        ASKED.replace("client_id=c", "client_id=other"),
        format!("{ASKED}&redirect_uri=http://evil/"),
        format!("{ASKED}&client_id=c"),
        format!("{ASKED}&state=2"),
        ASKED.replace("&redirect_uri=http%3A%2F%2Fapp%2Fcb", ""),
    ] {
        assert_eq!(depart(&way, &asked, at(1)), None, "{asked}");
    }
    for back in [
        "",
        "state=",
        "state=a%2fb+c",
        "code=1",
        "state=1&redirect_uri=http://evil",
    ] {
        assert_eq!(arrive(&way, back, at(1)), None, "{back}");
    }
}

#[test]
fn what_does_not_come_back_in_the_query_or_is_signed_stays() {
    let way = known();
    for asked in [
        ASKED.replace("response_type=code", "response_type=token"),
        ASKED.replace("response_type=code", "response_type=code+id_token"),
        format!("{ASKED}&response_mode=form_post"),
        format!("{ASKED}&request=ey.J"),
        format!("{ASKED}&request_uri=urn:x"),
        ASKED.replace("state=a", &format!("state={}", "s".repeat(MAX_STATE))),
        ASKED.replace("state=a", "state=\r\n"),
        ASKED.replace("state=a", "state=#"),
    ] {
        assert_eq!(depart(&way, &asked, at(1)), None, "{asked}");
    }
    assert!(depart(&way, &format!("{ASKED}&response_mode=query"), at(1)).is_some());
}

#[test]
fn a_browser_comes_back_once_and_not_after_long() {
    let way = known();
    let back = format!("code=1&state={}", begin(&way, ASKED, at(0)));
    assert_eq!(arrive(&way, &back, at(601)), None);
    assert!(arrive(&way, &back, at(600)).is_some());
    assert_eq!(arrive(&way, &back, at(600)), None);
    let form = "code=1&redirect_uri=http://app/cb";
    assert!(way.redeem(form, at(600), &mut Changes::default()).is_some());
    assert!(way.redeem(form, at(601), &mut Changes::default()).is_none());
}

#[test]
fn clients_and_logins_are_remembered_up_to_a_bound() {
    let way = known();
    let first = begin(&way, ASKED, at(0));
    let states: Vec<String> = (0..MAX_LOGINS).map(|_| begin(&way, ASKED, at(1))).collect();
    assert_eq!(lock(&way.logins).len(), MAX_LOGINS);
    assert_eq!(arrive(&way, &format!("state={first}"), at(2)), None);
    assert!(arrive(&way, &format!("state={}", states[0]), at(2)).is_some());
    for number in 0..MAX_CLIENTS {
        way.register(client(&number.to_string()));
    }
    assert_eq!(lock(&way.clients).len(), MAX_CLIENTS);
    assert_eq!(depart(&way, ASKED, at(3)), None, "the oldest was forgotten");
    way.register(client("1"));
    assert_eq!(lock(&way.clients).len(), MAX_CLIENTS);
}
