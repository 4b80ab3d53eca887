//! Logins through a relay, for clients that compare the issuer of a redirect with that of the metadata.

use super::*;

const ADDRESS: &str = "http://127.0.0.1:3030/cb?app=1";

/// A relay whose authorization server is known, and which is asked from here on.
struct Login {
    stage: Stage,
    /// Its issuer.
    theirs: String,
    /// Ours.
    ours: String,
}

impl Login {
    async fn begin() -> Self {
        let mut stage = stage("http://{}/mcp", |config| config.oauth = OauthMode::Relay).await;
        let issuer = RawServer::bind().await;
        let theirs = format!("http://{}/t", issuer.address());
        let body = format!(
            r#"{{"resource":"http://{}/mcp","authorization_servers":["{theirs}"]}}"#,
            stage.server.address()
        );
        stage
            .get("/.well-known/oauth-protected-resource/mcp", &json(&body))
            .await;
        stage.server = issuer;
        let names = [
            "authorization",
            "token",
            "registration",
            "pushed_authorization_request",
        ];
        let endpoints: String = names.iter().fold(String::new(), |all, name| {
            format!(r#"{all},"{name}_endpoint":"{theirs}/{name}""#)
        });
        let body = format!(r#"{{"issuer":"{theirs}"{endpoints}}}"#);
        stage
            .get(
                "/.well-known/oauth-authorization-server/.shadowcat/as/1",
                &json(&body),
            )
            .await;
        let ours = format!("http://{}/.shadowcat/as/1", stage.own());
        Self { stage, theirs, ours }
    }

    fn back(&self) -> String {
        format!("{}/back", self.ours)
    }

    /// Posts to an endpoint; the body that the server got, and what the client was answered.
    async fn post(&self, endpoint: &str, kind: &str, body: &str, response: &str) -> (String, Seen) {
        let mut client = RawPeer::connect(self.stage.own()).await;
        client
            .send(format!(
                "POST /.shadowcat/as/1/{endpoint}_endpoint HTTP/1.1\r\nHost: {}\r\nConnection: close\r\nContent-Type: {kind}\r\nContent-Length: {}\r\n\r\n{body}",
                self.stage.own(),
                body.len()
            ))
            .await;
        let mut upstream = self.stage.server.accept().await;
        let request = upstream.read_head().await;
        let length = request
            .lines()
            .find_map(|line| line.strip_prefix("Content-Length: "));
        let got = upstream.read_exactly(length.unwrap().parse().unwrap()).await;
        upstream.send(response).await;
        drop(upstream);
        let head = client.read_head().await;
        let (rest, _) = client.read_to_end().await;
        let body = String::from_utf8(rest).unwrap();
        (String::from_utf8(got).unwrap(), Seen { request, head, body })
    }

    /// Registers a client at [`ADDRESS`], as `c`.
    async fn register(&self) {
        let theirs = format!(r#"{{"client_name":"n", "redirect_uris":["{ADDRESS}"]}}"#);
        let both = format!(
            r#"{{"client_name":"n", "redirect_uris":["{ADDRESS}", "{}"]}}"#,
            self.back()
        );
        let answer = |list: &str| format!(r#"{{"client_id":"c",{}"#, list.strip_prefix('{').unwrap());
        let response = json(&answer(&both)).replace("200 OK", "201 Created");
        let (got, seen) = self
            .post("registration", "application/json", &theirs, &response)
            .await;
        assert_eq!(got, both);
        assert_eq!(
            seen.body,
            answer(&theirs),
            "the client hears of its own address only"
        );
        let length = format!("Content-Length: {}\r\n", seen.body.len());
        assert!(
            seen.head.contains(&length) && !seen.head.contains("ETag"),
            "{}",
            seen.head
        );
    }

    /// What a browser is answered that asks for a path of ours.
    async fn browse(&self, path: &str) -> String {
        let mut browser = RawPeer::connect(self.stage.own()).await;
        browser
            .send(format!(
                "GET /.shadowcat/as/1/{path} HTTP/1.1\r\nHost: {}\r\nConnection: close\r\n\r\n",
                self.stage.own()
            ))
            .await;
        browser.read_head().await
    }

    /// Where a browser is sent on to.
    async fn sent_on(&self, path: &str) -> String {
        let head = self.browse(path).await;
        assert!(head.starts_with("HTTP/1.1 302 Found\r\n"), "{head}");
        let location = head.lines().find_map(|line| line.strip_prefix("location: "));
        location.unwrap().to_owned()
    }
}

fn encoded(text: &str) -> String {
    text.replace(':', "%3A")
        .replace('/', "%2F")
        .replace('?', "%3F")
        .replace('=', "%3D")
}

/// The state in a URL or a form.
fn state_of(text: &str) -> &str {
    let state = text.split_once("state=").unwrap().1;
    state.split('&').next().unwrap()
}

#[tokio::test]
async fn a_client_that_registered_through_the_relay_gets_its_redirect_from_the_issuer_it_knows() {
    let mut login = Login::begin().await;
    login.register().await;
    let (mine, back) = (encoded(ADDRESS), encoded(&login.back()));
    let query = |address: &str, state: &str| {
        format!("response_type=code&client_id=c&redirect_uri={address}&state={state}&x=%41")
    };
    let page = login
        .sent_on(&format!("authorization_endpoint?{}", query(&mine, "a%2fb+c")))
        .await;
    let state = state_of(&page).to_owned();
    assert_eq!(
        page,
        format!("{}/authorization?{}", login.theirs, query(&back, &state))
    );

    let iss = encoded(&login.theirs);
    let client = login
        .sent_on(&format!("back?code=%43&state={state}&iss={iss}"))
        .await;
    assert_eq!(
        client,
        format!("{ADDRESS}&code=%43&state=a%2fb+c&iss={}", encoded(&login.ours))
    );

    let form = |address: &str| format!("grant_type=authorization_code&code=C&redirect_uri={address}");
    let kind = "application/x-www-form-urlencoded";
    let (got, _) = login
        .post("token", kind, &form(&mine), &json(r#"{"access_token":"t"}"#))
        .await;
    assert_eq!(got, form(&back));

    let (ours, theirs) = (login.ours.clone(), login.theirs.clone());
    for change in [
        format!("redirect_uris: {ADDRESS} → {ADDRESS} {ours}/back"),
        format!("redirect_uris: {ADDRESS} {ours}/back → {ADDRESS}"),
        format!("redirect_uri: {ADDRESS} → {ours}/back"),
        format!("redirect_uri: {ours}/back → {ADDRESS}"),
        format!("iss: {theirs} → {ours}"),
        "state: (the client's) → (ours)".to_owned(),
    ] {
        login.stage.changed(&change).await;
    }
}

#[tokio::test]
async fn the_way_back_leads_nowhere_without_a_login_that_began_here() {
    let mut login = Login::begin().await;
    login.register().await;
    let evil = "authorization_endpoint?response_type=code&client_id=c&redirect_uri=http%3A%2F%2Fevil&state=s";
    let page = login.sent_on(evil).await;
    assert!(
        page.ends_with("&redirect_uri=http%3A%2F%2Fevil&state=s"),
        "{page}"
    );
    login.stage.found("not one that the client registered").await;
    for path in [
        "back",
        "back?code=1&state=s",
        "back?code=1&redirect_uri=http%3A%2F%2Fevil",
    ] {
        let head = login.browse(path).await;
        assert!(
            head.starts_with("HTTP/1.1 400 ") && head.contains("unknown_login") && !head.contains("location"),
            "{head}"
        );
    }
    let asked = format!(
        "authorization_endpoint?response_type=code&client_id=c&redirect_uri={}",
        encoded(ADDRESS)
    );
    let page = login.sent_on(&asked).await;
    let back = format!("back?error=access_denied&state={}", state_of(&page));
    assert_eq!(
        login.sent_on(&back).await,
        format!("{ADDRESS}&error=access_denied"),
        "a client without a state gets none, and no issuer that the server did not name"
    );
    let head = login.browse(&back).await;
    assert!(head.starts_with("HTTP/1.1 400 "), "once only: {head}");
}

#[tokio::test]
async fn an_issuer_that_is_not_the_one_of_the_metadata_stays_for_the_client_to_refuse() {
    let mut login = Login::begin().await;
    login.register().await;
    let asked = format!(
        "authorization_endpoint?response_type=code&client_id=c&redirect_uri={}&state=s",
        encoded(ADDRESS)
    );
    let page = login.sent_on(&asked).await;
    let client = login
        .sent_on(&format!(
            "back?code=1&state={}&iss=http%3A%2F%2Fevil",
            state_of(&page)
        ))
        .await;
    assert_eq!(client, format!("{ADDRESS}&code=1&state=s&iss=http%3A%2F%2Fevil"));
    login.stage.found("names http://evil as its issuer").await;
}

#[tokio::test]
async fn a_client_with_a_registration_of_its_own_stays_as_it_is() {
    let login = Login::begin().await;
    let query = format!(
        "response_type=code&client_id=https%3A%2F%2Fclient%2Fc.json&redirect_uri={}&state=s",
        encoded(ADDRESS)
    );
    let page = login.sent_on(&format!("authorization_endpoint?{query}")).await;
    assert_eq!(page, format!("{}/authorization?{query}", login.theirs));
    let form = format!("code=1&redirect_uri={}", encoded(ADDRESS));
    let kind = "application/x-www-form-urlencoded";
    let (got, _) = login.post("token", kind, &form, &json("{}")).await;
    assert_eq!(got, form);
    let registration = r#"{"grant_types":["client_credentials"]}"#;
    let answer = r#"{"client_id":"d"}"#;
    let (got, seen) = login
        .post("registration", "application/json", registration, &json(answer))
        .await;
    assert_eq!((got.as_str(), seen.body.as_str()), (registration, answer));
}

#[tokio::test]
async fn a_login_that_is_announced_beforehand_comes_back_through_the_relay_too() {
    let login = Login::begin().await;
    login.register().await;
    let form = format!(
        "client_id=c&response_type=code&redirect_uri={}&state=s",
        encoded(ADDRESS)
    );
    let kind = "application/x-www-form-urlencoded";
    let answer = json(r#"{"request_uri":"urn:r"}"#).replace("200 OK", "201 Created");
    let (got, _) = login
        .post("pushed_authorization_request", kind, &form, &answer)
        .await;
    let state = state_of(&got);
    assert_eq!(
        got,
        format!(
            "client_id=c&response_type=code&redirect_uri={}&state={state}",
            encoded(&login.back())
        )
    );
    let page = login
        .sent_on("authorization_endpoint?client_id=c&request_uri=urn:r")
        .await;
    assert!(page.ends_with("?client_id=c&request_uri=urn:r"), "{page}");
    let client = login.sent_on(&format!("back?code=1&state={state}")).await;
    assert_eq!(client, format!("{ADDRESS}&code=1&state=s"));
}

#[tokio::test]
async fn a_registration_that_is_refused_for_our_address_says_so() {
    let mut login = Login::begin().await;
    let registration = format!(r#"{{"redirect_uris":["{ADDRESS}"]}}"#);
    let answer = r#"{"error":"invalid_redirect_uri"}"#;
    let response = json(answer).replace("200 OK", "400 Bad Request");
    let (_, seen) = login
        .post("registration", "application/json", &registration, &response)
        .await;
    assert_eq!(seen.body, answer);
    login.stage.found("refuses this registration").await;
}
